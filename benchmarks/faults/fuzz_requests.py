"""Requests for `fuzz.py`: valid ones in every form that the worker reads, and ways to spoil them.

They are made by a grammar and a seeded generator, so most of them come past the first check: a row with one odd value,
a tensor of one wrong size, a .npy file whose header lies, JSON with a name twice, bytes flipped, ends cut off.
"""

from __future__ import annotations

import base64
import io
import json
import random
import struct
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from maas.client import DESCRIPTION, IDENTITY
from maas.schema import Field, Schema

FORM = "multipart/form-data; boundary=fuzz"
ODD: list[Any] = [
    None, True, False, 0, -1, 2**63, -(2**70), 1e308, -1e-308, 0.1, "", "x", "\x00", "é\r\nX: y", "很好", "🙂" * 50,
    "NaN", [], {}, [[]], [None], [1, [2]], {"a": 1}, [True] * 3, "A" * 5000, [0] * 2000, "2026-01-01T00:00:00Z", '":{[',
]  # fmt: skip
TEXTS = [
    b"NaN",
    b"1e999",
    b'{"a":1,"a":2}',
    b"[" * 70 + b"]" * 70,
    b'"\\ud800"',
    b"\xff",
    b"-0",
    b"9" * 400,
    b"{",
    b"\x00",
]
MEDIA = [
    "", "application/json", "application/x-npy", "application/octet-stream", "text/plain", "image/png", "text/csv",
    "application/vnd.x+json", "a;b;c", "/", "*/*", "application/problem+json", "APPLICATION/JSON; charset=utf-16",
]  # fmt: skip
ACCEPTS = [
    "*/*", "application/json", "application/x-npy", "image/png", "", "application/json;q=0", ";;,", "text/html",
    "text/html,*/*;q=0.1", "application/octet-stream", IDENTITY, DESCRIPTION, "application/x-npy;q=x,application/*",
]  # fmt: skip


@dataclass(frozen=True)
class Request:
    """One request.

    Args:
        parts: as TorchServe hands it over: "body", or the parts of a form.
        headers: as a client sends them.
        good: whether it must be answered.
    """

    parts: dict[str, bytes]
    headers: dict[str, str] = field(default_factory=dict)
    good: bool = True


class Requests:
    """Draws requests to a model.

    Args:
        schema: of its rows.
        rows: some that it answers, as JSON has them.
        seed: of the generator.
    """

    def __init__(self, schema: Schema, rows: list[dict[str, Any]], seed: int) -> None:
        self.schema = schema
        self.rows = rows
        self.random = random.Random(seed)

    def good(self) -> Request:
        """A valid request, in a form drawn at random."""
        forms = [self._row, self._instances, self._v2, self._v2_binary, self._form]
        fields = self.schema.fields
        if len(fields) == 1 and fields[0].dtype == "bytes":
            forms += [self._bare] * 2
        if all(one.dtype == "number" for one in fields) and (len(fields) == 1 or not any(one.shape for one in fields)):
            forms += [self._npy] * 2
        return self.random.choice(forms)()

    def any(self) -> Request:
        """A request that is valid, or was before it was spoiled in up to three ways."""
        request = self.good()
        ways = [self._odd_value, self._odd_value, self._bytes, self._text, self._repeat, self._header, self._shape]
        for _ in range(self.random.choice([0, 1, 1, 1, 2, 3])):
            request = replace(self.random.choice(ways)(request), good=False)
        return request

    def _row(self) -> Request:
        media = self.random.choice([{}, {"Content-Type": "application/json"}])
        return Request({"body": json.dumps(self.random.choice(self.rows)).encode()}, media)

    def _instances(self) -> Request:
        body = json.dumps({"instances": self.random.choices(self.rows, k=self.random.choice([1, 2, 3, 8]))})
        return Request({"body": body.encode()}, {"content-type": "application/json"})

    def _form(self) -> Request:
        row = self.random.choice(self.rows)
        return Request({one.name: _part(one, row[one.name]) for one in self.schema.fields}, {"Content-Type": FORM})

    def _bare(self) -> Request:
        (value,) = self.random.choice(self.rows).values()
        media = self.random.choice(["image/png", "application/octet-stream"])
        return Request({"body": base64.b64decode(value)}, {"Content-Type": media})

    def _npy(self) -> Request:
        rows = self._alike()
        columns = [[row[name] for row in rows] for name in self.schema.names]
        array = np.array(columns[0] if len(columns) == 1 else list(zip(*columns, strict=True)), np.float32)
        file = io.BytesIO()
        np.save(file, array)
        accept = self.random.choice([{}, {"Accept": "application/x-npy"}])
        return Request({"body": file.getvalue()}, {"Content-Type": "application/x-npy", **accept})

    def _v2(self) -> Request:
        return Request({"body": json.dumps({"id": "7", "inputs": self._tensors()[0]}).encode()})

    def _v2_binary(self) -> Request:
        inputs, blobs = self._tensors(binary=True)
        document = {"inputs": inputs, "parameters": {"binary_data_output": self.random.random() < 0.5}}
        head = json.dumps(document).encode()
        return Request({"body": head + blobs}, {"Inference-Header-Content-Length": str(len(head))})

    def _alike(self) -> list[dict[str, Any]]:
        """Rows whose sequences have one length, as an array wants."""
        return [self.random.choice(self.rows)] * self.random.choice([1, 3])

    def _tensors(self, *, binary: bool = False) -> tuple[list[dict[str, Any]], bytes]:
        rows = self._alike()
        inputs, blobs = [], b""
        for one in self.schema.fields:
            values = [row[one.name] for row in rows]
            if one.dtype == "number":
                array = np.array([np.nan if value is None else value for value in values], np.float64)
                datatype, data, shape = "FP64", array.ravel().tolist(), list(array.shape)
                if np.isnan(array).any():  # JSON has no NaN: another row then
                    return self._tensors(binary=binary)
                blob = array.astype("<f8").tobytes()
            elif one.dtype == "boolean":
                datatype, data, shape, blob = "BOOL", values, [len(values)], bytes(values)
            else:
                raw = [base64.b64decode(value) if one.dtype == "bytes" else str(value).encode() for value in values]
                blob = b"".join(struct.pack("<I", len(value)) + value for value in raw)
                datatype, data, shape = "BYTES", [str(value) for value in values], [len(values)]
            tensor: dict[str, Any] = {"name": one.name, "datatype": datatype, "shape": shape}
            if binary:
                blobs += blob
                tensor["parameters"] = {"binary_data_size": len(blob)}
            else:
                tensor["data"] = data
            inputs.append(tensor)
        return inputs, blobs

    def _name(self, request: Request) -> str:
        return self.random.choice(list(request.parts))

    def _with(self, request: Request, name: str, part: bytes) -> Request:
        return replace(request, parts={**request.parts, name: part})

    def _odd_value(self, request: Request) -> Request:
        """One node of a JSON document replaced, renamed or removed."""
        name = self._name(request)
        length = request.headers.get("Inference-Header-Content-Length")
        head = request.parts[name][: int(length)] if length and length.isdecimal() else request.parts[name]
        rest = request.parts[name][len(head) :]
        try:
            value = json.loads(head)
        except ValueError:
            return self._bytes(request)
        node, key = None, None
        child = value
        while isinstance(child, (dict, list)) and child and (node is None or self.random.random() < 0.8):
            node, key = child, self.random.choice(list(child) if isinstance(child, dict) else range(len(child)))
            child = node[key]
        if node is None:
            value = self.random.choice(ODD)
        elif self.random.random() < 0.7:
            node[key] = self.random.choice(ODD)
        elif isinstance(node, dict):
            taken = node.pop(key)
            if self.random.random() < 0.5:
                node[self.random.choice(["", "é", "instances", "inputs", "body", f"{key} "])] = taken
        else:
            node.append(node[key])
        text = json.dumps(value).encode()
        headers = request.headers
        if length and self.random.random() < 0.9:
            headers = {**headers, "Inference-Header-Content-Length": str(len(text))}
        return replace(self._with(request, name, text + rest), headers=headers)

    def _bytes(self, request: Request) -> Request:
        """Bytes flipped, cut out or put in."""
        name = self._name(request)
        part = bytearray(request.parts[name])
        place = self.random.randrange(len(part) + 1)
        way = self.random.randrange(4)
        if way == 0 and part:
            part[place - 1] ^= 1 << self.random.randrange(8)
        elif way == 1:
            del part[place:]
        elif way == 2:
            del part[place : place + self.random.randrange(1, 20)]
        else:
            part[place:place] = self.random.randbytes(self.random.randrange(1, 20))
        return self._with(request, name, bytes(part))

    def _text(self, request: Request) -> Request:
        """What no JSON writer writes, at one place of the text."""
        name = self._name(request)
        part = request.parts[name]
        spots = [place for place, one in enumerate(part[:4000]) if one in b":,[{"] or [0]
        spot = self.random.choice(spots) + 1
        return self._with(
            request, name, part[:spot] + self.random.choice(TEXTS) + part[spot + self.random.randrange(3) :]
        )

    def _repeat(self, request: Request) -> Request:
        name = self._name(request)
        part = request.parts[name]
        start, stop = sorted(self.random.randrange(len(part) + 1) for _ in range(2))
        return self._with(request, name, part[:stop] + part[start:stop] + part[stop:])

    def _header(self, request: Request) -> Request:
        name, values = self.random.choice(
            [
                ("Content-Type", MEDIA),
                ("Accept", ACCEPTS),
                ("Inference-Header-Content-Length", ["", "0", "2", "-7", "x", "10"]),
            ]
        )
        headers = {key: value for key, value in request.headers.items() if key.lower() != name.lower()}
        return replace(request, headers={**headers, name: self.random.choice(values)})

    def _shape(self, request: Request) -> Request:
        """An array of another shape or dtype, with numbers that are none."""
        shape = [self.random.choice([0, 1, 2, 3, len(self.schema.fields)]) for _ in range(self.random.randrange(5))]
        value, dtype = (
            self.random.choice([0, 1, np.nan, np.inf]),
            self.random.choice(["f4", ">f8", "f2", "?", "c8", "U1"]),
        )
        array = np.full(shape, value).astype(dtype)
        file = io.BytesIO()
        np.save(file, array)
        return replace(request, parts={"body": file.getvalue()}, headers={"Content-Type": "application/x-npy"})


def _part(one: Field, value: Any) -> bytes:
    if one.dtype == "bytes":
        return base64.b64decode(value)
    return value.encode() if one.dtype == "string" else json.dumps(value).encode()
