"""Answers of the Open Inference Protocol (V2): one tensor for each column, in JSON or as bytes behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from maas.errors import show
from maas.serving.protocols._accept import JSON, OCTETS
from maas.serving.protocols._outcome import Identity, Outcome, Written
from maas.serving.protocols._problems import Problem
from maas.serving.protocols._v2_types import to_binary, to_tensor


class V2Writer:
    """Writes the answer to one request.

    Args:
        identifier: the request's `id`, which the answer repeats.
        binary: whether tensors are bytes behind the JSON.
        outputs: those that are asked for, each with whether it is binary; none asked for is all.
    """

    least_row_bytes = 1

    def __init__(
        self, identifier: str | None, binary: bool = False, outputs: Mapping[str, bool | None] | None = None
    ) -> None:
        self.identifier = identifier
        self.binary = binary
        self.outputs = dict(outputs or {})

    def write(self, outcome: Outcome, identity: Identity) -> Written:
        columns = outcome.answers().columns
        if unknown := [name for name in self.outputs if name not in columns]:
            known = ", ".join(columns)
            raise Problem("not-v2", f"there is no output {show(unknown[0])}, there are {known}", field=None)
        described, blobs = [], []
        for name in self.outputs or columns:
            datatype, values = to_tensor(columns[name])
            tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(values.shape)}
            binary = self.outputs.get(name)
            if self.binary if binary is None else binary:
                blobs.append(to_binary(values))
                tensor["parameters"] = {"binary_data_size": len(blobs[-1])}
            else:
                tensor["data"] = values.ravel().tolist()
            described.append(tensor)
        document = orjson.dumps(
            {
                "model_name": identity.name,
                "model_version": identity.version,
                **({} if self.identifier is None else {"id": self.identifier}),
                "parameters": {"digest": identity.digest},
                "outputs": described,
            }
        )
        if not blobs:
            return Written(document, JSON)
        return Written(document + b"".join(blobs), OCTETS, {"Inference-Header-Content-Length": str(len(document))})

    def refuse(self, problem: Problem) -> Problem:
        """The problem with `error`, which the protocol wants, and the request's `id`."""
        problem.more["error"] = problem.detail
        if self.identifier is not None:
            problem.more["id"] = self.identifier
        return problem


def asked_outputs(request: Mapping[str, Any]) -> tuple[bool, dict[str, bool | None]]:
    """Whether outputs are binary unless they say otherwise, and which are asked for.

    Raises:
        Problem: `outputs` is no list of named outputs.
    """
    binary = _flag(request, "binary_data_output") or False
    outputs: dict[str, bool | None] = {}
    listed = request.get("outputs")
    if listed is not None and type(listed) is not list:
        raise Problem("not-v2", f"`outputs` must be a list of objects with `name`, got {show(listed)}")
    for one in listed or []:
        if type(one) is not dict or type(one.get("name")) is not str:
            raise Problem("not-v2", f"an output is an object with `name`, got {show(one)}")
        outputs[one["name"]] = _flag(one, "binary_data")
    return binary, outputs


def _flag(holder: Mapping[str, Any], name: str) -> bool | None:
    parameters = holder.get("parameters")
    if parameters is not None and type(parameters) is not dict:
        raise Problem("not-v2", f"`parameters` must be an object, got {show(parameters)}")
    flag = (parameters or {}).get(name)
    if flag is not None and type(flag) is not bool:
        raise Problem("not-v2", f"`{name}` must be true or false, got {show(flag)}")
    return flag
