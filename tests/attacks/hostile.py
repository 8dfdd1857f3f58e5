"""Hostile artifacts: what is changed in a good one, and what the refusal says; by the kind of error."""

from __future__ import annotations

import json
import os
import pickle
import struct

import torch

from .tampering import (
    WEIGHTS,
    Attack,
    Evil,
    argument,
    example_with,
    field_with,
    header_of,
    instead,
    narrowed,
    one_unit,
    put,
    raw_bytes,
    reordered,
    sums_with,
    tensor_with,
    tensors_with,
)

ZEROS = "0" * 64
DEEP = b"[" * 100_000 + b"]" * 100_000
NETWORK = "does not describe this network"
JSON = "is not strict JSON"
REPLAY = "the golden rows cannot be answered"
SAFE = "is not a safetensors file"

INTEGRITY: dict[str, tuple[Attack, str]] = {
    "sums with a path upwards": (
        sums_with(lambda text: text + f"{ZEROS}  ../../etc/passwd\n"),
        "SHA256SUMS is damaged",
    ),
    "sums with an absolute path": (sums_with(lambda text: f"{ZEROS}  /etc/passwd\n" + text), "SHA256SUMS is damaged"),
    "sums with a folder": (sums_with(lambda text: text + f"{ZEROS}  sub/file\n"), "SHA256SUMS is damaged"),
    "sums with a hidden file": (sums_with(lambda text: f"{ZEROS}  .hidden\n" + text), "SHA256SUMS is damaged"),
    "sums in upper case": (sums_with(lambda text: text[:64].upper() + text[64:]), "SHA256SUMS is damaged"),
    "sums with CRLF": (sums_with(lambda text: text.replace("\n", "\r\n")), "SHA256SUMS is damaged"),
    "sums unsorted": (sums_with(reordered), "names must be sorted and differ"),
    "sums with a repeated line": (sums_with(lambda text: text.splitlines(True)[0] + text), "must be sorted and differ"),
    "sums with a repeated name": (
        sums_with(lambda text: f"{ZEROS}{text.splitlines(True)[0][64:]}{text}"),
        "names must be sorted and differ",
    ),
    "sums with a blank line": (sums_with(lambda text: text + "\n"), "SHA256SUMS is damaged"),
    "sums without a last line feed": (sums_with(lambda text: text[:-1]), "SHA256SUMS is damaged"),
    "sums with one space": (sums_with(lambda text: text.replace("  ", " ")), "SHA256SUMS is damaged"),
    "sums in binary mode": (sums_with(lambda text: text.replace("  ", " *")), "SHA256SUMS is damaged"),
    "sums with a BOM": (sums_with(lambda text: b"\xef\xbb\xbf" + text.encode()), "SHA256SUMS is not ASCII"),
    "sums with a wide digit": (sums_with(lambda text: "１" + text[1:]), "SHA256SUMS is not ASCII"),
    "sums with NUL": (sums_with(lambda text: text + "\0"), "SHA256SUMS is damaged"),
    "sums empty": (sums_with(lambda text: ""), "SHA256SUMS is damaged"),
    "sums without card": (
        sums_with(lambda text: "".join(line for line in text.splitlines(True) if "card" not in line)),
        "SHA256SUMS does not list card.json",
    ),
    "sums without weights": (
        sums_with(lambda text: "".join(line for line in text.splitlines(True) if WEIGHTS not in line)),
        f"SHA256SUMS lists|SHA256SUMS does not list {WEIGHTS}",
    ),
    "sums listing what is not there": (
        sums_with(lambda text: text + f"{ZEROS}  x\n"),
        "x cannot be read: No such file",
    ),
    "sums listing itself": (
        sums_with(lambda text: f"{ZEROS}  SHA256SUMS\n" + text),
        "SHA256SUMS is not what was saved",
    ),
    "sums of a megabyte": (
        sums_with(lambda text: "".join(f"{ZEROS}  {one:09}\n" for one in range(15_000))),
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
    INTEGRITY[f"{_name} a link"] = (instead(_name, lambda path, aside: path.symlink_to(aside)), f"{_name} cannot be")
    INTEGRITY[f"{_name} a pipe"] = (
        instead(_name, lambda path, aside: os.mkfifo(path)),
        f"{_name} is not a regular file",
    )
    INTEGRITY[f"{_name} a folder"] = (instead(_name, lambda path, aside: path.mkdir()), f"{_name} is not a regular")
    INTEGRITY[f"{_name} a dangling link"] = (instead(_name, lambda path, aside: path.symlink_to("nowhere")), _name)

FORMAT: dict[str, tuple[Attack, str]] = {
    # The recipe.
    "hidden of a billion": (argument("hidden", [10**9]), NETWORK),
    "a thousand times a billion": (argument("hidden", [10**9] * 1000), NETWORK),
    "hidden beyond int64": (argument("hidden", [2**63]), "cannot be built"),
    "hidden with 30,000 entries": (argument("hidden", [1] * 30_000), "take at most 65536 bytes, got 9"),
    "hidden with 1,001 entries": (argument("hidden", [1] * 1001), "at most 1000 layers, got 1001"),
    "hidden of another size": (argument("hidden", [3]), NETWORK),
    "hidden negative": (argument("hidden", [-1]), "`hidden` must be positive integers"),
    "hidden text": (argument("hidden", "22"), "`hidden` must be a sequence"),
    "hidden of text": (argument("hidden", ["2"]), "`hidden` must be positive integers"),
    "hidden of floats": (argument("hidden", [2.0]), "`hidden` must be positive integers"),
    "hidden of booleans": (argument("hidden", [True]), "`hidden` must be positive integers"),
    "hidden an object": (argument("hidden", {"0": 2}), "`hidden` must be a sequence"),
    "in_features 10**18": (argument("in_features", 10**18), NETWORK),
    "in_features 10**30": (argument("in_features", 10**30), "cannot be built"),
    "out_features 10**18": (argument("out_features", 10**18), NETWORK),
    "in_features negative": (argument("in_features", -6), "`in_features` must be a positive integer, got -6"),
    "in_features text": (argument("in_features", "6"), "`in_features` must be a positive integer, got '6'"),
    "in_features a float": (argument("in_features", 6.0), "`in_features` must be a positive integer, got 6.0"),
    "in_features true": (argument("in_features", True), "`in_features` must be a positive integer, got True"),
    "in_features missing": (argument("in_features", ...), "missing 1 required positional argument"),
    "an unknown argument": (argument("__class__", "os"), "MLP has no argument '__class__'"),
    "an activation that is a path": (argument("activation", "os.system"), "`activation` must be one of"),
    "dropout text": (argument("dropout", "0"), "`dropout` must be from 0 to below 1, got '0'"),
    "seed text": (argument("seed", "x"), "describe a model"),
    "seed of 30 digits": (argument("seed", 10**30), "describe a model"),
    "arguments a list": (put([], "recipe", "arguments"), "a recipe is {kind: string, arguments: object}"),
    "recipe null": (put(None, "recipe"), "does not describe a model"),
    "no recipe": (put(..., "recipe"), "does not describe a model: 'recipe'"),
    "recipe os.system": (put("os.system", "recipe", "kind"), "no network is registered as 'os.system'"),
    "recipe builtins.eval": (put("builtins.eval", "recipe", "kind"), "no network is registered as 'builtins.eval'"),
    "recipe a path": (put("../../mlp", "recipe", "kind"), "no network is registered as '../../mlp'"),
    "recipe of a megabyte": (put("a" * 10**6, "recipe", "kind"), "no network is registered as 'aaa"),
    "recipe kind a list": (put(["mlp"], "recipe", "kind"), "a recipe is {kind: string, arguments: object}"),
    "recipe kind null": (put(None, "recipe", "kind"), "a recipe is {kind: string, arguments: object}"),
    # Preprocessing and task.
    "preprocess pickle": (put("pickle", "preprocess", "kind"), "unknown preprocessing 'pickle'"),
    "preprocess kind a number": (put(3, "preprocess", "kind"), "a kind is a string, got 3"),
    "preprocess kind a list": (put(["table"], "preprocess", "kind"), "a kind is a string, got list of 1"),
    "preprocess null": (put(None, "preprocess"), "does not describe a model"),
    "preprocess state null": (put(None, "preprocess", "state"), "does not describe a model"),
    "categories of no field": (
        put({}, "preprocess", "state", "categories"),
        "categories must be given for the fields",
    ),
    "categories of numbers": (put([1, 2], "preprocess", "state", "categories", "c"), "must be different strings"),
    "categories repeated": (put(["p", "p"], "preprocess", "state", "categories", "c"), "must be different strings"),
    "categories a text": (put("pq", "preprocess", "state", "categories", "c"), "categories"),
    "others of no field": (put(["x"], "preprocess", "state", "others"), "categories must be given for the fields"),
    "task os.system": (put("os.system", "task", "kind"), "unknown task 'os.system'"),
    "task regression": (put("regression", "task", "kind"), "does not describe a model: 'mean'"),
    "task null": (put(None, "task"), "does not describe a model"),
    "classes of one label": (put(["n"], "task", "state", "classes"), "at least two classes"),
    "classes repeated": (put(["n", "n", "y"], "task", "state", "classes"), "classes must differ as text"),
    "classes nested": (put([["n"], ["y"], ["z"]], "task", "state", "classes"), "classes must be strings, integers"),
    "classes of floats": (put([0.0, 1.0, 2.0], "task", "state", "classes"), "classes must be strings, integers"),
    "classes a text": (put("nyz", "task", "state", "classes"), "classes"),
    "classes four for three": (put(["n", "y", "z", "more"], "task", "state", "classes"), "wants outputs of shape"),
    "classes two of three": (put(["n", "y"], "task", "state", "classes"), "wants outputs of shape"),
    # The schema and the rest of artifact.json.
    "no field": (put([], "schema"), "a schema needs at least one field"),
    "schema an object": (put({"a": 1}, "schema"), "does not describe a model"),
    "field names repeated": (field_with("name", "b"), "field names must differ, got 'b' more than once"),
    "field name a number": (field_with("name", 3), "'name' must be str, got 3"),
    "field kind image": (field_with("kind", "image"), "a table's fields are numeric, boolean or categorical"),
    "field dtype object": (field_with("dtype", "object"), "field 'a' has the unknown dtype 'object'"),
    "field dtype bytes": (field_with("dtype", "bytes"), "does not describe a model"),
    "field shape absurd": (field_with("shape", [10**12]), "field 'a' has the impossible shape"),
    "field shape of absurd product": (field_with("shape", [1 << 20] * 8), "field 'a' has the impossible shape"),
    "field shape large": (field_with("shape", [1 << 24]), "preprocessing array 'fill' must be float64 of shape"),
    "field shape of nine axes": (field_with("shape", [1] * 9), "field 'a' has the impossible shape"),
    "field shape zero": (field_with("shape", [0]), "field 'a' has the impossible shape"),
    "field shape negative": (field_with("shape", [-1]), "field 'a' has the impossible shape"),
    "field shape true": (field_with("shape", [True]), "field 'a' has the impossible shape"),
    "field nullable text": (field_with("nullable", "no"), "'nullable' must be bool, got 'no'"),
    "field range of three": (field_with("range", [0, 1, 2]), "has a range that is not two finite numbers"),
    "field range of text": (field_with("range", ["0", "x"]), "has a range that is not two finite numbers"),
    "field range reversed": (field_with("range", [2, -2]), "has a range that is not two finite numbers"),
    "field values of numbers": (field_with("values", [1, 2], 2), "has values that are not strings"),
    "field without shape": (field_with("shape", ...), "does not describe a model: 'shape'"),
    "target a number": (put(3, "target"), "target"),
    "target null": (put(None, "target"), "target"),
    "target an object": (put({"os": "system"}, "target"), "target"),
    "no target": (put(..., "target"), "target"),
    "format 2": (put(2, "format"), "has format 2, this version of maas reads format 1"),
    "format text": (put("1", "format"), "has format '1', this version of maas reads format 1"),
    "format null": (put(None, "format"), "has format None, this version of maas reads format 1"),
    "format true": (put(True, "format"), "has format True"),
    "format a float": (put(1.0, "format"), "has format 1.0"),
    "no format": (put(..., "format"), "has format None"),
    "weights a path": (put(["../../etc/passwd"], "weights"), "lists the weights .*passwd.*SHA256SUMS lists"),
    "weights none": (put([], "weights"), "artifact.json lists the weights"),
    "weights twice": (put([WEIGHTS, WEIGHTS], "weights"), "artifact.json lists the weights"),
    "weights a text": (put(WEIGHTS, "weights"), "artifact.json lists the weights"),
    "transforms": (put([{"kind": "quantise", "arguments": {}}], "transforms"), "unknown transform 'quantise'"),
    "transforms without arguments": (put([{"kind": "prune"}], "transforms"), "a transform is"),
    "transforms null": (put(None, "transforms"), "transforms are a list, got None"),
    "transforms an object": (put({}, "transforms"), "transforms are a list, got dict of 0"),
    "narrowed to more than there is": (narrowed({"hidden.0": [None, 10**9]}), "it cannot be narrowed to"),
    "narrowed to nothing": (narrowed({"hidden.0": [None, 0]}), "must be .taken, given. by a layer's name"),
    "narrowed by words": (narrowed({"hidden.0": ["1", None]}), "must be .taken, given. by a layer's name"),
    "narrowed a list": (narrowed([["hidden.0", 1, 1]]), "must be .taken, given. by a layer's name"),
    "narrowed a layer that is not there": (narrowed({"hidden.7": [None, 1]}), "there is no layer 'hidden.7'"),
    "narrowed what is no layer": (narrowed({"": [None, 1]}), "the layer '', a MLP, cannot be narrowed"),
    "narrowed by attributes": (narrowed({"forward.__func__": [1, 1]}), "there is no layer 'forward.__func__'"),
    "narrowed thousands": (narrowed({str(i): [1, 1] for i in range(40_000)}), "there is no layer '0'"),
    "narrowed and not its weights": (
        narrowed({"hidden.0": [None, 1], "output": [1, None]}),
        "does not describe this network: 'hidden.0.",
    ),
    "narrowed twice": (put([one_unit(), one_unit()], "transforms"), "does not describe this network: 'hidden.0."),
    # The tensors.
    "a pickle for weights": (raw_bytes(WEIGHTS, lambda _: pickle.dumps(Evil())), SAFE),
    "a header of 2**60 bytes": (raw_bytes(WEIGHTS, lambda data: struct.pack("<Q", 2**60) + data[8:]), SAFE),
    "a header longer than the file": (raw_bytes(WEIGHTS, lambda data: struct.pack("<Q", len(data)) + data[8:]), SAFE),
    "an empty weights file": (raw_bytes(WEIGHTS, lambda _: b""), SAFE),
    "a header that is no JSON": (header_of(b"{'a': 1}"), SAFE),
    "a header of deep nesting": (header_of(b'{"a":' + DEEP + b"}"), SAFE),
    "tensors that overlap": (
        header_of({name: {"dtype": "F32", "shape": [16], "data_offsets": [0, 64]} for name in ("task.a", "task.b")}),
        SAFE,
    ),
    "a tensor beyond the file": (
        header_of({"a": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}),
        SAFE,
    ),
    "a tensor of another length": (header_of({"a": {"dtype": "F32", "shape": [17], "data_offsets": [0, 64]}}), SAFE),
    "a tensor whose size overflows": (
        header_of({"a": {"dtype": "F32", "shape": [2**33, 2**33], "data_offsets": [0, 64]}}),
        SAFE,
    ),
    "a tensor of no known dtype": (header_of({"a": {"dtype": "PY", "shape": [16], "data_offsets": [0, 64]}}), SAFE),
    "a tensor of four bits": (
        header_of({"task.a": {"dtype": "F4", "shape": [128], "data_offsets": [0, 64]}}),
        "does not describe a model|is not a safetensors file",
    ),
    "a weight of another dtype": (tensor_with("network.output.bias", torch.zeros(3, dtype=torch.float64)), NETWORK),
    "a weight of another shape": (tensor_with("network.output.bias", torch.zeros(3, 1)), NETWORK),
    "a weight missing": (
        tensors_with(lambda tensors: tensors.pop("network.output.bias")),
        "only one has 'output.bias'",
    ),
    "a weight too many": (tensor_with("network.more", torch.zeros(1)), "only one has 'more'"),
    "a tensor of no part": (tensor_with("more", torch.zeros(1)), "does not describe a model"),
    "a preprocess tensor too many": (tensor_with("preprocess.more", torch.zeros(1)), "more"),
    "a task tensor too many": (tensor_with("task.more", torch.zeros(1)), "more"),
    "a preprocess tensor missing": (
        tensors_with(lambda tensors: tensors.pop("preprocess.mean")),
        "describe a model: 'mean'",
    ),
    "scale zero": (
        tensor_with("preprocess.scale", torch.zeros(2, dtype=torch.float64)),
        "'scale' holds values that no",
    ),
    "scale negative": (
        tensor_with("preprocess.scale", -torch.ones(2, dtype=torch.float64)),
        "'scale' holds values that",
    ),
    "mean NaN": (
        tensor_with("preprocess.mean", torch.full((2,), torch.nan, dtype=torch.float64)),
        "'mean' holds values",
    ),
    "fill infinite": (tensor_with("preprocess.fill", torch.full((2,), torch.inf, dtype=torch.float64)), "'fill' holds"),
    "mean in float32": (tensor_with("preprocess.mean", torch.zeros(2)), "'mean' must be float64 of shape"),
    "mean in bfloat16": (
        tensor_with("preprocess.mean", torch.zeros(2, dtype=torch.bfloat16)),
        "does not describe a model",
    ),
    "mean of another length": (
        tensor_with("preprocess.mean", torch.zeros(9, dtype=torch.float64)),
        "'mean' must be float64",
    ),
    # The golden rows.
    "no golden row": (example_with("rows", []), "example.json needs rows"),
    "golden rows of other fields": (example_with("rows", [{"x": 1}] * 4), "4 of 4 rows cannot be answered"),
    "golden rows that are no rows": (example_with("rows", [1, 2, 3, 4]), "a row must be an object of fields"),
    "golden rows a text": (example_with("rows", "rows"), REPLAY),
    "golden rows an object": (example_with("rows", {"a": 1, "b": 2, "c": "p", "d": 4}), REPLAY),
    "golden rows a number": (example_with("rows", 4), REPLAY),
    "no golden rows at all": (example_with("rows", ...), f"{REPLAY}: 'rows'"),
    "fewer answers": (example_with("answers", [{}]), "as many answers"),
    "answers null": (example_with("answers", None), REPLAY),
    "tolerance 1e9": (example_with("tolerance", {"float32": 1e9}), "a tolerance below 1"),
    "tolerance 0": (example_with("tolerance", {"float32": 0}), "a tolerance below 1"),
    "tolerance negative": (example_with("tolerance", {"float32": -1e-5}), "a tolerance below 1"),
    "tolerance true": (example_with("tolerance", {"float32": True}), "a tolerance below 1"),
    "tolerance text": (example_with("tolerance", {"float32": "1e-5"}), "tolerance"),
    "tolerance of 400 digits": (example_with("tolerance", {"float32": 10**400}), REPLAY),
    "tolerance of another dtype": (example_with("tolerance", {"int8": 0.1}), f"{REPLAY}: 'float32'"),
    "tolerance missing": (example_with("tolerance", ...), f"{REPLAY}: 'tolerance'"),
    "tolerance null": (example_with("tolerance", None), REPLAY),
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
        FORMAT[f"{_name} with {_id}"] = (raw_bytes(_name, _change), f"{_name} {JSON}")
    FORMAT[f"{_name} a list"] = (
        raw_bytes(_name, lambda data: b"[" + data + b"]"),
        f"{_name} must be a JSON object, got list",
    )
    FORMAT[f"{_name} null"] = (raw_bytes(_name, lambda data: b"null"), f"{_name} must be a JSON object, got None")

SKEW: dict[str, tuple[Attack, str]] = {
    "weights NaN": (tensor_with("network.output.bias", torch.full((3,), torch.nan)), "golden row 0 was answered"),
    "weights infinite": (tensor_with("network.output.bias", torch.full((3,), torch.inf)), "golden row 0 was answered"),
    "weights zero": (tensor_with("network.output.weight", torch.zeros(3, 2)), "golden row 0 was answered"),
    "another mean": (tensor_with("preprocess.mean", torch.full((2,), 9.0, dtype=torch.float64)), "golden row 0"),
    "classes exchanged": (put(["y", "n", "z"], "task", "state", "classes"), "golden row 0 was answered"),
    "categories exchanged": (put(["q", "p"], "preprocess", "state", "categories", "c"), "golden row 0 was answered"),
    "another activation": (argument("activation", "tanh"), "golden row 0 was answered"),
    "answers a text": (example_with("answers", "four"), "golden row 0 was answered 'f"),
    "answers null each": (example_with("answers", [None] * 4), "golden row 0 was answered 'None"),
    "answers of 400 digits": (
        put(10**400, "answers", 0, "probabilities", "n", file="example.json"),
        "golden row 0 was answered",
    ),
    "answers of true": (put(True, "answers", 0, "probabilities", "n", file="example.json"), "golden row 0"),
    "answers of 400 levels": (
        put(json.loads("[" * 400 + "]" * 400), "answers", 0, file="example.json"),
        "golden row 0",
    ),
}
