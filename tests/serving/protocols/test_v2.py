"""The Open Inference Protocol: tensors in JSON and as bytes, to columns, and answers back to tensors."""

import json
import struct
from typing import Any

import numpy as np
import orjson
import pytest

from maas.schema import Field, Schema
from maas.serving.protocols import Asked, Given, Identity, Outcome, Problem, Reader
from maas.task import Answers

TABLE = Schema(
    (
        Field("size", "numeric", "number"),
        Field("point", "numeric", "number", shape=(2,)),
        Field("new", "boolean", "boolean"),
        Field("colour", "categorical", "label"),
        Field("note", "text", "string"),
        Field("sound", "audio", "bytes"),
        Field("more", "text", "string", nullable=True, optional=True),
    )
)
STEPS = Schema((Field("steps", "sequence", "number", shape=(None, 2)),))
NUMBER = Schema((Field("x", "numeric", "number"),))
INPUTS: list[dict[str, Any]] = [
    {"name": "colour", "shape": [2], "datatype": "BYTES", "data": ["red", "blue"]},
    {"name": "size", "shape": [2, 1], "datatype": "FP32", "data": [[1], [2.5]]},
    {"name": "point", "shape": [2, 2], "datatype": "INT64", "data": [1, 2, 3, 4]},
    {"name": "new", "shape": [2], "datatype": "BOOL", "data": [True, False]},
    {"name": "note", "shape": [2], "datatype": "BYTES", "data": ["很好", ""]},
    {"name": "sound", "shape": [2], "datatype": "BYTES", "data": ["AAE=", "Ag=="]},
]


def read(request: Any, schema: Schema = TABLE, blobs: bytes = b"", **headers: str) -> Asked:
    body = orjson.dumps(request)
    if blobs:
        headers["Inference-Header-Content-Length"] = str(len(body))
    asked = Reader(schema).read({"body": bytearray(body + blobs)}, headers)
    assert isinstance(asked, Asked)
    return asked


def refused(request: Any, schema: Schema = TABLE, blobs: bytes = b"", **headers: str) -> Problem:
    with pytest.raises(Problem) as caught:
        read(request, schema, blobs, **headers)
    document = json.loads(caught.value.body())
    assert document["error"] == document["detail"] == caught.value.detail
    return caught.value


def columns_of(asked: Asked, schema: Schema = TABLE) -> dict[str, Any]:
    columns, errors = schema.check(asked.rows, asked.length)  # type: ignore[arg-type]
    assert not errors
    return {name: column.tolist() for name, column in columns.items()}


WANTED = {
    "size": [1.0, 2.5],
    "point": [[1.0, 2.0], [3.0, 4.0]],
    "new": [1.0, 0.0],
    "colour": ["red", "blue"],
    "note": ["很好", ""],
    "sound": [b"\x00\x01", b"\x02"],
    "more": [None, None],
}


def test_tensors_in_json_are_columns() -> None:
    asked = read({"inputs": INPUTS})
    assert (asked.length, asked.single) == (2, False)
    assert columns_of(asked) == WANTED


def texts(*values: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


def binary_inputs() -> tuple[list[dict[str, Any]], bytes]:
    data = {
        "colour": texts(b"red", b"blue"),
        "size": np.array([1, 2.5], "<f4").tobytes(),
        "point": np.array([1, 2, 3, 4], "<i8").tobytes(),
        "new": b"\x01\x00",
        "note": texts("很好".encode(), b""),
        "sound": texts(b"\x00\x01", b"\x02"),
    }
    inputs = [
        {key: one[key] for key in ("name", "shape", "datatype")}
        | {"parameters": {"binary_data_size": len(data[one["name"]])}}
        for one in INPUTS
    ]
    return inputs, b"".join(data[one["name"]] for one in INPUTS)


def test_tensors_as_bytes_are_the_same_columns() -> None:
    inputs, blobs = binary_inputs()
    assert columns_of(read({"inputs": inputs}, blobs=blobs)) == WANTED


def test_json_and_bytes_may_be_mixed() -> None:
    inputs, blobs = binary_inputs()
    mixed = [inputs[0], *INPUTS[1:]]
    assert columns_of(read({"inputs": mixed}, blobs=blobs[: len(texts(b"red", b"blue"))])) == WANTED


def test_a_tensor_of_sequences_has_as_many_steps_in_each_row() -> None:
    steps = {"name": "steps", "shape": [2, 3, 2], "datatype": "FP64", "data": [float(n) for n in range(12)]}
    columns, errors = STEPS.check(read({"inputs": [steps]}, STEPS).rows, 2)  # type: ignore[arg-type]
    assert not errors
    np.testing.assert_array_equal(columns["steps"][1], [[6, 7], [8, 9], [10, 11]])
    problem = refused({"inputs": [{**steps, "shape": [4, 3]}]}, STEPS)
    assert "`shape` must be [rows, any, 2], got [4, 3]" in problem.detail


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "shape": [2], "datatype": "FP64", "data": [1.0, 2.0], **changes}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"datatype": "BOOL", "data": [True, False]}, "`datatype` must be FP64, FP32 or an integer type, got BOOL"),
        ({"datatype": "float"}, "`datatype` must be one of BOOL, FP16"),
        ({"shape": [2, 2], "data": [1, 2, 3, 4]}, "`shape` must be [rows], got [2, 2]"),
        ({"shape": [3]}, "its shape says 3 values, `data` has 2"),
        ({"shape": []}, "`shape` must be a list of sizes"),
        ({"shape": [-1]}, "`shape` must be a list of sizes"),
        ({"shape": [True]}, "`shape` must be a list of sizes"),
        ({"shape": [2**40]}, "`shape` must be a list of sizes"),
        ({"shape": [2**39]}, "its shape says 549755813888 values, `data` has 2"),
        ({"data": [1.0, "2"]}, "`data` must hold FP64, got str"),
        ({"data": [1.0, True]}, "`data` must hold FP64, got bool"),
        ({"data": [1.0, None]}, "`data` must hold FP64, got NoneType"),
        ({"data": [[1.0], 2.0]}, "`data` must hold FP64, got list"),
        ({"data": 1.0}, "`data` must be a list, got 1.0"),
        ({"datatype": "INT8", "data": [1, 200]}, "`data` has a number that is no INT8"),
        ({"datatype": "INT64", "data": [1, 2.5]}, "`data` must hold INT64, got float"),
        ({"data": None}, "`data` must be a list, got None"),
        ({"parameters": {"binary_data_size": 16}}, "`binary_data_size` is 16, bytes that follow the JSON: none"),
        ({"name": "y"}, "there is no such field"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    problem = refused({"inputs": [tensor(**change)]}, NUMBER)
    assert (problem.status, problem.kind) == (422, "bad-tensor")
    assert problem.field == change.get("name", "x")
    assert message in problem.detail


@pytest.mark.parametrize(
    ("change", "blobs", "message"),
    [
        (
            {"parameters": {"binary_data_size": 16}},
            bytes(15),
            "is 16, bytes that follow the JSON: 15",
        ),
        ({"parameters": {"binary_data_size": 8}}, bytes(8), "its shape says 16 bytes, it has 8"),
        (
            {"datatype": "BYTES", "parameters": {"binary_data_size": 4}},
            b"\xff\xff\xff\xff",
            "its last value is cut off",
        ),
        ({"datatype": "BYTES", "parameters": {"binary_data_size": 3}}, b"\x00\x00\x00", "its last value is cut off"),
        ({"datatype": "BYTES", "parameters": {"binary_data_size": 4}}, bytes(4), "its bytes hold 1"),
        ({"datatype": "BYTES", "parameters": {"binary_data_size": 12}}, bytes(12), "its bytes hold more"),
        ({"datatype": "BOOL", "parameters": {"binary_data_size": 2}}, b"\x00\x02", "a BOOL is a byte of 0 or 1"),
    ],
)
def test_bytes_that_do_not_fit_are_refused(change: dict[str, Any], blobs: bytes, message: str) -> None:
    problem = refused({"inputs": [tensor(**change)]}, NUMBER, blobs)
    assert (problem.kind, problem.field) == ("bad-tensor", "x")
    assert message in problem.detail


@pytest.mark.parametrize(
    ("request_", "kind", "message"),
    [
        ({"inputs": []}, "not-v2", "`inputs` must be a list of at least one tensor, got list of 0"),
        ({"inputs": {}}, "not-v2", "`inputs` must be a list"),
        ({"inputs": ["x"]}, "not-v2", "a tensor is an object with `name`, `shape`, `datatype`, `data`, got 'x'"),
        ({"inputs": [tensor(), tensor()]}, "not-v2", "the tensor 'x' is there twice"),
        ({"inputs": [tensor(shape=[0], data=[])]}, "no-rows", "the tensors have no row"),
        ({"inputs": [tensor()], "id": 7}, "not-v2", "`id` must be a string, got 7"),
        ({"inputs": [tensor()], "outputs": ["label"]}, "not-v2", "an output is an object with `name`"),
        ({"inputs": [tensor()], "parameters": []}, "not-v2", "`parameters` must be an object"),
        ({"inputs": [tensor()], "parameters": {"binary_data_output": 1}}, "not-v2", "must be true or false, got 1"),
    ],
)
def test_a_request_that_is_none_is_refused_in_the_protocols_form(request_: Any, kind: str, message: str) -> None:
    problem = refused(request_, NUMBER)
    assert problem.kind == kind
    assert message in problem.detail


def test_a_problem_repeats_the_id() -> None:
    assert json.loads(refused({"id": "a-7", "inputs": []}).body())["id"] == "a-7"


def test_bytes_left_over_are_refused() -> None:
    assert "9 bytes follow the last tensor" in refused({"inputs": [tensor()]}, NUMBER, bytes(9)).detail


@pytest.mark.parametrize("length", ["-1", "0", "9999", "x", "²", "1e3"])
def test_a_length_that_lies_is_refused(length: str) -> None:
    with pytest.raises(Problem, match="Inference-Header-Content-Length must be the bytes of the JSON") as caught:
        Reader(NUMBER).read({"body": b"{}"}, {"inference-header-content-length": length})
    assert "error" in json.loads(caught.value.body())


def test_rows_of_tensors_must_agree_and_none_be_missing() -> None:
    short = [one if one["name"] != "new" else {**one, "shape": [1], "data": [True]} for one in INPUTS]
    assert "tensor 'new': it has 1 rows, other tensors have 2" in refused({"inputs": short}).detail
    assert "tensor 'colour': the tensor is missing" in refused({"inputs": INPUTS[1:]}).detail


def test_rows_of_texts_are_limited_and_those_of_numbers_are_not() -> None:
    note = Schema((Field("note", "text", "string"),))
    many = {"name": "note", "shape": [10_001], "datatype": "BYTES", "data": [""] * 10_001}
    assert refused({"inputs": [many]}, note).kind == "too-many-rows"
    numbers = tensor(shape=[20_000], data=[0] * 20_000)
    assert read({"inputs": [numbers]}, NUMBER).length == 20_000


ANSWERS = Answers(
    {
        "label": np.array(["a", "b"], object),
        "place": np.array([1, 2], object),
        "fine": np.array([True, False], object),
        "probabilities": np.array([[0.25, 0.75], [0.5, 0.5]], "f4"),
        "items": np.array([["x"], ["y", "z"]], object),
    }
)
IDENTITY = Identity("wine", "1.0", "d" * 64)


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The document, and the bytes behind it."""
    asked = read({"inputs": [tensor()], **request}, NUMBER)
    body, media, headers = asked.writer.write(Outcome(Given(ANSWERS), range(2), {}), IDENTITY)
    length = int(headers.get("Inference-Header-Content-Length", len(body)))
    assert media == ("application/octet-stream" if headers else "application/json")
    return json.loads(body[:length]), body[length:]


def test_answers_are_tensors() -> None:
    document, blobs = answer({"id": "7"})
    assert not blobs
    assert document == {
        "model_name": "wine",
        "model_version": "1.0",
        "id": "7",
        "parameters": {"digest": "d" * 64},
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]},
            {"name": "place", "datatype": "INT64", "shape": [2], "data": [1, 2]},
            {"name": "fine", "datatype": "BOOL", "shape": [2], "data": [True, False]},
            {"name": "probabilities", "datatype": "FP32", "shape": [2, 2], "data": [0.25, 0.75, 0.5, 0.5]},
            {"name": "items", "datatype": "BYTES", "shape": [2], "data": ['["x"]', '["y","z"]']},
        ],
    }


def test_outputs_are_chosen_and_may_be_bytes() -> None:
    wanted = [{"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "label"}]
    document, blobs = answer({"outputs": wanted})
    assert [one["name"] for one in document["outputs"]] == ["probabilities", "label"]
    assert document["outputs"][0]["parameters"] == {"binary_data_size": len(blobs)}
    np.testing.assert_array_equal(np.frombuffer(blobs, "<f4"), [0.25, 0.75, 0.5, 0.5])
    document, blobs = answer({"parameters": {"binary_data_output": True}, "outputs": [{"name": "label"}]})
    assert blobs == texts(b"a", b"b")


def test_an_output_that_is_none_is_refused() -> None:
    with pytest.raises(Problem, match="there is no output 'logits', there are label, place"):
        answer({"outputs": [{"name": "logits"}]})


def test_an_answer_that_the_client_does_not_take_is_refused() -> None:
    assert refused({"inputs": [tensor()]}, NUMBER, Accept="application/x-npy").status == 406
    binary = {"inputs": [tensor()], "parameters": {"binary_data_output": True}}
    assert refused(binary, NUMBER, Accept="application/json").status == 406
    assert read(binary, NUMBER, Accept="application/octet-stream").length == 2
