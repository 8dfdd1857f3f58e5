"""Hostile artifacts: whole by their digests where the attack lies deeper, and refused by a plain error all the same.

Each case changes a copy of one good artifact. Loading it must raise an ArtifactError soon, without much memory,
without running anything and without writing a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import resource
import shutil
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import maas
from maas.errors import ArtifactError, FormatError, IntegrityError, SkewError
from maas.preprocess import Table
from maas.schema import Field, Schema
from maas.task import Classification

Attack = Callable[[Path], None]
WEIGHTS = "model.safetensors"
MOST_SECONDS = 3.0
MOST_KILOBYTES = 200 * 1024
CLEAR = Path("/proc/self/clear_refs")
FORBIDDEN = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen")
_watching = False
_events: list[str] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event in FORBIDDEN or event in ("exec", "compile", "import"):
        _events.append(f"{event} {str(arguments)[:200]}")
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        _events.append(f"open for writing {arguments[0]}")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two numbers, a category, three classes: small, and with a part of every kind."""
    schema = Schema(
        (
            Field("a", "numeric", "number", range=(-2.0, 2.0)),
            Field("b", "numeric", "number", nullable=True),
            Field("c", "categorical", "label", values=("p", "q")),
        )
    )
    colours = np.array(["p", "q", "p", "q", "r"], object)
    table = Table.learn(schema, {"a": np.arange(5.0), "b": np.array([1, np.nan, 2, 3, 4]), "c": colours})
    width = table.outputs["x"].shape[0]
    model = maas.Model(
        maas.nn.MLP(width, 3, hidden=(2,), seed=0),
        recipe=maas.recipe(maas.nn.MLP, hidden=(2,)).resolve(table.outputs, 3),
        schema=schema,
        preprocess=table,
        task=Classification(("n", "y", "z")),
    )
    return model.save(tmp_path_factory.mktemp("hostile") / "good")


@pytest.fixture(scope="module", autouse=True)
def _warm(good: Path) -> None:
    """Everything that is imported on first use is imported here; an audit hook can never be removed again."""
    maas.load(good)
    for kind in ("mlp", "unknown"):
        with pytest.raises(maas.MaasError):
            maas.recipe(kind, unknown=1)
    sys.addaudithook(_watch)


@pytest.fixture
def watched() -> Iterator[list[str]]:
    global _watching
    _events.clear()
    _watching = True
    yield _events
    _watching = False


def _peak_kilobytes(*, afresh: bool = False) -> int:
    """The most memory that this process had, on Linux since the last call with `afresh`."""
    if not CLEAR.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if afresh:
        CLEAR.write_text("5")
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])


def _rehash(folder: Path) -> None:
    names = sorted(name for name in os.listdir(folder) if name != "SHA256SUMS")
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


def _raw(name: str, change: Callable[[bytes], bytes]) -> Attack:
    """Other bytes, with their right digest."""

    def attack(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))
        if name != "SHA256SUMS":
            _rehash(folder)

    return attack


def _put(value: Any, *path: str | int, file: str = "artifact.json") -> Attack:
    """Another value at a path of keys in a JSON file; `...` takes the key away."""

    def attack(folder: Path) -> None:
        document = json.loads((folder / file).read_text())
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        if value is ...:
            del parent[path[-1]]
        else:
            parent[path[-1]] = value
        (folder / file).write_text(json.dumps(document))
        _rehash(folder)

    return attack


def _argument(name: str, value: Any) -> Attack:
    return _put(value, "recipe", "arguments", name)


def _narrowed(sizes: Any) -> Attack:
    return _put([{"kind": "narrowed", "arguments": {"sizes": sizes}}], "transforms")


def _one_unit() -> dict[str, Any]:
    return {"kind": "narrowed", "arguments": {"sizes": {"hidden.0": [None, 1], "output": [1, None]}}}


def _field(key: str, value: Any, place: int = 0) -> Attack:
    return _put(value, "schema", place, key)


def _example(key: str, value: Any) -> Attack:
    return _put(value, key, file="example.json")


def _tensors(change: Callable[[dict[str, torch.Tensor]], Any]) -> Attack:
    def attack(folder: Path) -> None:
        tensors = safetensors.torch.load_file(folder / WEIGHTS)
        change(tensors)
        (folder / WEIGHTS).write_bytes(safetensors.torch.save(tensors))
        _rehash(folder)

    return attack


def _tensor(name: str, value: torch.Tensor) -> Attack:
    return _tensors(lambda tensors: tensors.update({name: value}))


def _header(header: Any, body: bytes = b"\0" * 64) -> Attack:
    """A safetensors file with a header of one's own."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return _raw(WEIGHTS, lambda _: struct.pack("<Q", len(text)) + text + body)


def _text(name: str, old: bytes, new: bytes) -> Attack:
    def change(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new, 1)

    return _raw(name, change)


def _sums(change: Callable[[str], str | bytes]) -> Attack:
    def encoded(data: bytes) -> bytes:
        changed = change(data.decode())
        return changed if isinstance(changed, bytes) else changed.encode()

    return _raw("SHA256SUMS", encoded)


def _instead(name: str, make: Callable[[Path, Path], Any]) -> Attack:
    """Something else where a file was; its bytes lie beside the folder."""

    def attack(folder: Path) -> None:
        aside = folder.parent / "aside"
        (folder / name).rename(aside)
        make(folder / name, aside)

    return attack


def _reorder(text: str) -> str:
    first, second, *others = text.splitlines(keepends=True)
    return "".join([second, first, *others])


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch pwned",)


ZEROS = "0" * 64
DEEP = b"[" * 100_000 + b"]" * 100_000
NETWORK = "does not describe this network"
JSON = "is not strict JSON"
REPLAY = "the golden rows cannot be answered"
SAFE = "is not a safetensors file"

INTEGRITY: dict[str, tuple[Attack, str]] = {
    "sums with a path upwards": (_sums(lambda text: text + f"{ZEROS}  ../../etc/passwd\n"), "SHA256SUMS is damaged"),
    "sums with an absolute path": (_sums(lambda text: f"{ZEROS}  /etc/passwd\n" + text), "SHA256SUMS is damaged"),
    "sums with a folder": (_sums(lambda text: text + f"{ZEROS}  sub/file\n"), "SHA256SUMS is damaged"),
    "sums with a hidden file": (_sums(lambda text: f"{ZEROS}  .hidden\n" + text), "SHA256SUMS is damaged"),
    "sums in upper case": (_sums(lambda text: text[:64].upper() + text[64:]), "SHA256SUMS is damaged"),
    "sums with CRLF": (_sums(lambda text: text.replace("\n", "\r\n")), "SHA256SUMS is damaged"),
    "sums unsorted": (_sums(_reorder), "names must be sorted and differ"),
    "sums with a repeated line": (_sums(lambda text: text.splitlines(True)[0] + text), "must be sorted and differ"),
    "sums with a repeated name": (
        _sums(lambda text: f"{ZEROS}{text.splitlines(True)[0][64:]}{text}"),
        "names must be sorted and differ",
    ),
    "sums with a blank line": (_sums(lambda text: text + "\n"), "SHA256SUMS is damaged"),
    "sums without a last line feed": (_sums(lambda text: text[:-1]), "SHA256SUMS is damaged"),
    "sums with one space": (_sums(lambda text: text.replace("  ", " ")), "SHA256SUMS is damaged"),
    "sums in binary mode": (_sums(lambda text: text.replace("  ", " *")), "SHA256SUMS is damaged"),
    "sums with a BOM": (_sums(lambda text: b"\xef\xbb\xbf" + text.encode()), "SHA256SUMS is not ASCII"),
    "sums with a wide digit": (_sums(lambda text: "１" + text[1:]), "SHA256SUMS is not ASCII"),
    "sums with NUL": (_sums(lambda text: text + "\0"), "SHA256SUMS is damaged"),
    "sums empty": (_sums(lambda text: ""), "SHA256SUMS is damaged"),
    "sums without card": (
        _sums(lambda text: "".join(line for line in text.splitlines(True) if "card" not in line)),
        "SHA256SUMS does not list card.json",
    ),
    "sums without weights": (
        _sums(lambda text: "".join(line for line in text.splitlines(True) if WEIGHTS not in line)),
        f"SHA256SUMS lists|SHA256SUMS does not list {WEIGHTS}",
    ),
    "sums listing what is not there": (_sums(lambda text: text + f"{ZEROS}  x\n"), "x cannot be read: No such file"),
    "sums listing itself": (
        _sums(lambda text: f"{ZEROS}  SHA256SUMS\n" + text),
        "SHA256SUMS is not what was saved",
    ),
    "sums of a megabyte": (
        _sums(lambda text: "".join(f"{ZEROS}  {one:09}\n" for one in range(15_000))),
        "SHA256SUMS is larger than 65536 bytes",
    ),
    "card of 128 MiB": (
        lambda folder: os.truncate(folder / "card.json", 1 << 27),
        "card.json is larger than 67108864 bytes",
    ),
    "weights not re-hashed": (
        lambda folder: os.truncate(folder / WEIGHTS, 1 << 24),
        f"{WEIGHTS} is not what was saved",
    ),
}
for _name in ("SHA256SUMS", "artifact.json", WEIGHTS):
    INTEGRITY[f"{_name} a link"] = (_instead(_name, lambda path, aside: path.symlink_to(aside)), f"{_name} cannot be")
    INTEGRITY[f"{_name} a pipe"] = (
        _instead(_name, lambda path, aside: os.mkfifo(path)),
        f"{_name} is not a regular file",
    )
    INTEGRITY[f"{_name} a folder"] = (_instead(_name, lambda path, aside: path.mkdir()), f"{_name} is not a regular")
    INTEGRITY[f"{_name} a dangling link"] = (_instead(_name, lambda path, aside: path.symlink_to("nowhere")), _name)

FORMAT: dict[str, tuple[Attack, str]] = {
    # The recipe.
    "hidden of a billion": (_argument("hidden", [10**9]), NETWORK),
    "a thousand times a billion": (_argument("hidden", [10**9] * 1000), NETWORK),
    "hidden beyond int64": (_argument("hidden", [2**63]), "cannot be built"),
    "hidden with 30,000 entries": (_argument("hidden", [1] * 30_000), "take at most 65536 bytes, got 9"),
    "hidden with 1,001 entries": (_argument("hidden", [1] * 1001), "at most 1000 layers, got 1001"),
    "hidden of another size": (_argument("hidden", [3]), NETWORK),
    "hidden negative": (_argument("hidden", [-1]), "`hidden` must be positive integers"),
    "hidden text": (_argument("hidden", "22"), "`hidden` must be a sequence"),
    "hidden of text": (_argument("hidden", ["2"]), "`hidden` must be positive integers"),
    "hidden of floats": (_argument("hidden", [2.0]), "`hidden` must be positive integers"),
    "hidden of booleans": (_argument("hidden", [True]), "`hidden` must be positive integers"),
    "hidden an object": (_argument("hidden", {"0": 2}), "`hidden` must be a sequence"),
    "in_features 10**18": (_argument("in_features", 10**18), NETWORK),
    "in_features 10**30": (_argument("in_features", 10**30), "cannot be built"),
    "out_features 10**18": (_argument("out_features", 10**18), NETWORK),
    "in_features negative": (_argument("in_features", -6), "`in_features` must be a positive integer, got -6"),
    "in_features text": (_argument("in_features", "6"), "`in_features` must be a positive integer, got '6'"),
    "in_features a float": (_argument("in_features", 6.0), "`in_features` must be a positive integer, got 6.0"),
    "in_features true": (_argument("in_features", True), "`in_features` must be a positive integer, got True"),
    "in_features missing": (_argument("in_features", ...), "missing 1 required positional argument"),
    "an unknown argument": (_argument("__class__", "os"), "MLP has no argument '__class__'"),
    "an activation that is a path": (_argument("activation", "os.system"), "`activation` must be one of"),
    "dropout text": (_argument("dropout", "0"), "`dropout` must be from 0 to below 1, got '0'"),
    "seed text": (_argument("seed", "x"), "describe a model"),
    "seed of 30 digits": (_argument("seed", 10**30), "describe a model"),
    "arguments a list": (_put([], "recipe", "arguments"), "a recipe is {kind: string, arguments: object}"),
    "recipe null": (_put(None, "recipe"), "does not describe a model"),
    "no recipe": (_put(..., "recipe"), "does not describe a model: 'recipe'"),
    "recipe os.system": (_put("os.system", "recipe", "kind"), "no network is registered as 'os.system'"),
    "recipe builtins.eval": (_put("builtins.eval", "recipe", "kind"), "no network is registered as 'builtins.eval'"),
    "recipe a path": (_put("../../mlp", "recipe", "kind"), "no network is registered as '../../mlp'"),
    "recipe of a megabyte": (_put("a" * 10**6, "recipe", "kind"), "no network is registered as 'aaa"),
    "recipe kind a list": (_put(["mlp"], "recipe", "kind"), "a recipe is {kind: string, arguments: object}"),
    "recipe kind null": (_put(None, "recipe", "kind"), "a recipe is {kind: string, arguments: object}"),
    # Preprocessing and task.
    "preprocess pickle": (_put("pickle", "preprocess", "kind"), "unknown preprocessing 'pickle'"),
    "preprocess kind a number": (_put(3, "preprocess", "kind"), "a kind is a string, got 3"),
    "preprocess kind a list": (_put(["table"], "preprocess", "kind"), "a kind is a string, got list of 1"),
    "preprocess null": (_put(None, "preprocess"), "does not describe a model"),
    "preprocess state null": (_put(None, "preprocess", "state"), "does not describe a model"),
    "categories of no field": (
        _put({}, "preprocess", "state", "categories"),
        "categories must be given for the fields",
    ),
    "categories of numbers": (_put([1, 2], "preprocess", "state", "categories", "c"), "must be different strings"),
    "categories repeated": (_put(["p", "p"], "preprocess", "state", "categories", "c"), "must be different strings"),
    "categories a text": (_put("pq", "preprocess", "state", "categories", "c"), "categories"),
    "others of no field": (_put(["x"], "preprocess", "state", "others"), "categories must be given for the fields"),
    "task os.system": (_put("os.system", "task", "kind"), "unknown task 'os.system'"),
    "task regression": (_put("regression", "task", "kind"), "does not describe a model: 'mean'"),
    "task null": (_put(None, "task"), "does not describe a model"),
    "classes of one label": (_put(["n"], "task", "state", "classes"), "at least two classes"),
    "classes repeated": (_put(["n", "n", "y"], "task", "state", "classes"), "classes must differ as text"),
    "classes nested": (_put([["n"], ["y"], ["z"]], "task", "state", "classes"), "classes must be strings, integers"),
    "classes of floats": (_put([0.0, 1.0, 2.0], "task", "state", "classes"), "classes must be strings, integers"),
    "classes a text": (_put("nyz", "task", "state", "classes"), "classes"),
    "classes four for three": (_put(["n", "y", "z", "more"], "task", "state", "classes"), "wants outputs of shape"),
    "classes two of three": (_put(["n", "y"], "task", "state", "classes"), "wants outputs of shape"),
    # The schema and the rest of artifact.json.
    "no field": (_put([], "schema"), "a schema needs at least one field"),
    "schema an object": (_put({"a": 1}, "schema"), "does not describe a model"),
    "field names repeated": (_field("name", "b"), "field names must differ, got 'b' more than once"),
    "field name a number": (_field("name", 3), "'name' must be str, got 3"),
    "field kind image": (_field("kind", "image"), "a table's fields are numeric, boolean or categorical"),
    "field dtype object": (_field("dtype", "object"), "field 'a' has the unknown dtype 'object'"),
    "field dtype bytes": (_field("dtype", "bytes"), "does not describe a model"),
    "field shape absurd": (_field("shape", [10**12]), "field 'a' has the impossible shape"),
    "field shape of absurd product": (_field("shape", [1 << 20] * 8), "field 'a' has the impossible shape"),
    "field shape large": (_field("shape", [1 << 24]), "preprocessing array 'fill' must be float64 of shape"),
    "field shape of nine axes": (_field("shape", [1] * 9), "field 'a' has the impossible shape"),
    "field shape zero": (_field("shape", [0]), "field 'a' has the impossible shape"),
    "field shape negative": (_field("shape", [-1]), "field 'a' has the impossible shape"),
    "field shape true": (_field("shape", [True]), "field 'a' has the impossible shape"),
    "field nullable text": (_field("nullable", "no"), "'nullable' must be bool, got 'no'"),
    "field range of three": (_field("range", [0, 1, 2]), "has a range that is not two finite numbers"),
    "field range of text": (_field("range", ["0", "x"]), "has a range that is not two finite numbers"),
    "field range reversed": (_field("range", [2, -2]), "has a range that is not two finite numbers"),
    "field values of numbers": (_field("values", [1, 2], 2), "has values that are not strings"),
    "field without shape": (_field("shape", ...), "does not describe a model: 'shape'"),
    "target a number": (_put(3, "target"), "target"),
    "target null": (_put(None, "target"), "target"),
    "target an object": (_put({"os": "system"}, "target"), "target"),
    "no target": (_put(..., "target"), "target"),
    "format 2": (_put(2, "format"), "has format 2, this version of maas reads format 1"),
    "format text": (_put("1", "format"), "has format '1', this version of maas reads format 1"),
    "format null": (_put(None, "format"), "has format None, this version of maas reads format 1"),
    "format true": (_put(True, "format"), "has format True"),
    "format a float": (_put(1.0, "format"), "has format 1.0"),
    "no format": (_put(..., "format"), "has format None"),
    "weights a path": (_put(["../../etc/passwd"], "weights"), "lists the weights .*passwd.*SHA256SUMS lists"),
    "weights none": (_put([], "weights"), "artifact.json lists the weights"),
    "weights twice": (_put([WEIGHTS, WEIGHTS], "weights"), "artifact.json lists the weights"),
    "weights a text": (_put(WEIGHTS, "weights"), "artifact.json lists the weights"),
    "transforms": (_put([{"kind": "quantize"}], "transforms"), "a transform is {kind: string"),
    "transforms null": (_put(None, "transforms"), "transforms are a list, got None"),
    "transforms an object": (_put({}, "transforms"), "transforms are a list, got dict of 0"),
    "narrowed to more than there is": (_narrowed({"hidden.0": [None, 10**9]}), "it cannot be narrowed to"),
    "narrowed to nothing": (_narrowed({"hidden.0": [None, 0]}), "must be .taken, given. by a layer's name"),
    "narrowed by words": (_narrowed({"hidden.0": ["1", None]}), "must be .taken, given. by a layer's name"),
    "narrowed a list": (_narrowed([["hidden.0", 1, 1]]), "must be .taken, given. by a layer's name"),
    "narrowed a layer that is not there": (_narrowed({"hidden.7": [None, 1]}), "there is no layer 'hidden.7'"),
    "narrowed what is no layer": (_narrowed({"": [None, 1]}), "the layer '', a MLP, cannot be narrowed"),
    "narrowed by attributes": (_narrowed({"forward.__func__": [1, 1]}), "there is no layer 'forward.__func__'"),
    "narrowed thousands": (_narrowed({str(i): [1, 1] for i in range(40_000)}), "there is no layer '0'"),
    "narrowed and not its weights": (
        _narrowed({"hidden.0": [None, 1], "output": [1, None]}),
        "does not describe this network: 'hidden.0.",
    ),
    "narrowed twice": (_put([_one_unit(), _one_unit()], "transforms"), "does not describe this network: 'hidden.0."),
    # The tensors.
    "a pickle for weights": (_raw(WEIGHTS, lambda _: pickle.dumps(_Evil())), SAFE),
    "a header of 2**60 bytes": (_raw(WEIGHTS, lambda data: struct.pack("<Q", 2**60) + data[8:]), SAFE),
    "a header longer than the file": (_raw(WEIGHTS, lambda data: struct.pack("<Q", len(data)) + data[8:]), SAFE),
    "an empty weights file": (_raw(WEIGHTS, lambda _: b""), SAFE),
    "a header that is no JSON": (_header(b"{'a': 1}"), SAFE),
    "a header of deep nesting": (_header(b'{"a":' + DEEP + b"}"), SAFE),
    "tensors that overlap": (
        _header({name: {"dtype": "F32", "shape": [16], "data_offsets": [0, 64]} for name in ("task.a", "task.b")}),
        SAFE,
    ),
    "a tensor beyond the file": (
        _header({"a": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}),
        SAFE,
    ),
    "a tensor of another length": (_header({"a": {"dtype": "F32", "shape": [17], "data_offsets": [0, 64]}}), SAFE),
    "a tensor whose size overflows": (
        _header({"a": {"dtype": "F32", "shape": [2**33, 2**33], "data_offsets": [0, 64]}}),
        SAFE,
    ),
    "a tensor of no known dtype": (_header({"a": {"dtype": "PY", "shape": [16], "data_offsets": [0, 64]}}), SAFE),
    "a tensor of four bits": (
        _header({"task.a": {"dtype": "F4", "shape": [128], "data_offsets": [0, 64]}}),
        "does not describe a model|is not a safetensors file",
    ),
    "a weight of another dtype": (_tensor("network.output.bias", torch.zeros(3, dtype=torch.float64)), NETWORK),
    "a weight of another shape": (_tensor("network.output.bias", torch.zeros(3, 1)), NETWORK),
    "a weight missing": (_tensors(lambda tensors: tensors.pop("network.output.bias")), "only one has 'output.bias'"),
    "a weight too many": (_tensor("network.more", torch.zeros(1)), "only one has 'more'"),
    "a tensor of no part": (_tensor("more", torch.zeros(1)), "does not describe a model"),
    "a preprocess tensor too many": (_tensor("preprocess.more", torch.zeros(1)), "more"),
    "a task tensor too many": (_tensor("task.more", torch.zeros(1)), "more"),
    "a preprocess tensor missing": (
        _tensors(lambda tensors: tensors.pop("preprocess.mean")),
        "describe a model: 'mean'",
    ),
    "scale zero": (_tensor("preprocess.scale", torch.zeros(2, dtype=torch.float64)), "'scale' holds values that no"),
    "scale negative": (_tensor("preprocess.scale", -torch.ones(2, dtype=torch.float64)), "'scale' holds values that"),
    "mean NaN": (_tensor("preprocess.mean", torch.full((2,), torch.nan, dtype=torch.float64)), "'mean' holds values"),
    "fill infinite": (_tensor("preprocess.fill", torch.full((2,), torch.inf, dtype=torch.float64)), "'fill' holds"),
    "mean in float32": (_tensor("preprocess.mean", torch.zeros(2)), "'mean' must be float64 of shape"),
    "mean in bfloat16": (_tensor("preprocess.mean", torch.zeros(2, dtype=torch.bfloat16)), "does not describe a model"),
    "mean of another length": (
        _tensor("preprocess.mean", torch.zeros(9, dtype=torch.float64)),
        "'mean' must be float64",
    ),
    # The golden rows.
    "no golden row": (_example("rows", []), "example.json needs rows"),
    "golden rows of other fields": (_example("rows", [{"x": 1}] * 4), "4 of 4 rows cannot be answered"),
    "golden rows that are no rows": (_example("rows", [1, 2, 3, 4]), "a row must be an object of fields"),
    "golden rows a text": (_example("rows", "rows"), REPLAY),
    "golden rows an object": (_example("rows", {"a": 1, "b": 2, "c": "p", "d": 4}), REPLAY),
    "golden rows a number": (_example("rows", 4), REPLAY),
    "no golden rows at all": (_example("rows", ...), f"{REPLAY}: 'rows'"),
    "fewer answers": (_example("answers", [{}]), "as many answers"),
    "answers null": (_example("answers", None), REPLAY),
    "tolerance 1e9": (_example("tolerance", {"float32": 1e9}), "a tolerance below 1"),
    "tolerance 0": (_example("tolerance", {"float32": 0}), "a tolerance below 1"),
    "tolerance negative": (_example("tolerance", {"float32": -1e-5}), "a tolerance below 1"),
    "tolerance true": (_example("tolerance", {"float32": True}), "a tolerance below 1"),
    "tolerance text": (_example("tolerance", {"float32": "1e-5"}), "tolerance"),
    "tolerance of 400 digits": (_example("tolerance", {"float32": 10**400}), REPLAY),
    "tolerance of another dtype": (_example("tolerance", {"int8": 0.1}), f"{REPLAY}: 'float32'"),
    "tolerance missing": (_example("tolerance", ...), f"{REPLAY}: 'tolerance'"),
    "tolerance null": (_example("tolerance", None), REPLAY),
}
for _name in ("artifact.json", "card.json", "example.json"):
    for _id, _change in {
        "NaN": lambda data: b'{"a": NaN,' + data[1:],
        "Infinity": lambda data: b'{"a": -Infinity,' + data[1:],
        "1e999": lambda data: b'{"a": 1e999,' + data[1:],
        "a repeated key": lambda data: b'{"a": 1, "a": 1,' + data[1:],
        "a repeated key deep down": lambda data: b'{"a": [{"b": 1, "b": 2}],' + data[1:],
        "100,000 levels": lambda data: b'{"a": ' + DEEP + b"," + data[1:],
        "100,000 open levels": lambda data: b'{"a":' * 100_000,
        "an integer of 100,000 digits": lambda data: b'{"a": ' + b"9" * 100_000 + b"," + data[1:],
        "a BOM": lambda data: b"\xef\xbb\xbf" + data,
        "no UTF-8": lambda data: b'{"a": "\xff\xfe",' + data[1:],
        "UTF-16": lambda data: data.decode().encode("utf-16"),
        "something after it": lambda data: data + b"{}",
        "a comment": lambda data: b"// hello\n" + data,
        "nothing": lambda data: b"",
    }.items():
        FORMAT[f"{_name} with {_id}"] = (_raw(_name, _change), f"{_name} {JSON}")
    FORMAT[f"{_name} a list"] = (
        _raw(_name, lambda data: b"[" + data + b"]"),
        f"{_name} must be a JSON object, got list",
    )
    FORMAT[f"{_name} null"] = (_raw(_name, lambda data: b"null"), f"{_name} must be a JSON object, got None")

SKEW: dict[str, tuple[Attack, str]] = {
    "weights NaN": (_tensor("network.output.bias", torch.full((3,), torch.nan)), "golden row 0 was answered"),
    "weights infinite": (_tensor("network.output.bias", torch.full((3,), torch.inf)), "golden row 0 was answered"),
    "weights zero": (_tensor("network.output.weight", torch.zeros(3, 2)), "golden row 0 was answered"),
    "another mean": (_tensor("preprocess.mean", torch.full((2,), 9.0, dtype=torch.float64)), "golden row 0"),
    "classes exchanged": (_put(["y", "n", "z"], "task", "state", "classes"), "golden row 0 was answered"),
    "categories exchanged": (_put(["q", "p"], "preprocess", "state", "categories", "c"), "golden row 0 was answered"),
    "another activation": (_argument("activation", "tanh"), "golden row 0 was answered"),
    "answers a text": (_example("answers", "four"), "golden row 0 was answered 'f"),
    "answers null each": (_example("answers", [None] * 4), "golden row 0 was answered 'None"),
    "answers of 400 digits": (
        _put(10**400, "answers", 0, "probabilities", "n", file="example.json"),
        "golden row 0 was answered",
    ),
    "answers of true": (_put(True, "answers", 0, "probabilities", "n", file="example.json"), "golden row 0"),
    "answers of 400 levels": (
        _put(json.loads("[" * 400 + "]" * 400), "answers", 0, file="example.json"),
        "golden row 0",
    ),
}

CASES = [
    pytest.param(attack, kind, message, id=f"{name}")
    for kind, group in ((IntegrityError, INTEGRITY), (FormatError, FORMAT), (SkewError, SKEW))
    for name, (attack, message) in group.items()
]


@pytest.mark.parametrize(("attack", "kind", "message"), CASES)
def test_refused_soon_and_without_harm(
    attack: Attack, kind: type[ArtifactError], message: str, good: Path, tmp_path: Path, watched: list[str]
) -> None:
    global _watching
    _watching = False
    folder = Path(shutil.copytree(good, tmp_path / "hostile"))
    attack(folder)
    before, start = _peak_kilobytes(afresh=True), time.perf_counter()
    _watching = True
    try:
        maas.load(folder)
        caught: BaseException | None = None
    except Exception as error:
        caught = error
    _watching = False
    seconds = time.perf_counter() - start
    grown = _peak_kilobytes() - before
    assert caught is not None, "it was loaded"
    assert type(caught) is kind, repr(caught)
    assert re.search(message, str(caught))
    assert watched == []
    assert seconds < MOST_SECONDS
    assert grown < MOST_KILOBYTES
    assert len(str(caught)) < 2000


def test_the_watch_would_see_harm(watched: list[str], tmp_path: Path) -> None:
    """Else an empty list of events would prove nothing."""
    pickle.loads(pickle.dumps(Path("x")))
    exec("1 + 1")  # noqa: S102
    (tmp_path / "file").write_text("x")
    found = " ".join(watched)
    assert "pickle.find_class" in found
    assert "exec" in found
    assert "open for writing" in found


def test_the_good_one_loads_and_does_nothing_forbidden_either(good: Path, watched: list[str]) -> None:
    model = maas.load(good)
    assert watched == []
    assert model.task.classes == ("n", "y", "z")


@pytest.mark.skipif(not CLEAR.exists(), reason="only Linux measures the peak of a part of a run")
def test_a_peak_of_memory_would_be_seen() -> None:
    for _ in range(2):
        before = _peak_kilobytes(afresh=True)
        assert np.ones(40_000_000).sum() == 40_000_000  # 320 MB
        assert _peak_kilobytes() - before > MOST_KILOBYTES
