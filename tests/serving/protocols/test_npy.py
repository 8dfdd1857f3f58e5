"""Bodies in the .npy format: what numpy writes is read, and nothing that lies about itself."""

import io
from typing import Any

import numpy as np
import pytest

from maas.schema import Field, Schema
from maas.serving.protocols import Asked, Given, Identity, Outcome, Problem, Reader
from maas.serving.protocols._npy import NpyWriter, read_npy
from maas.task import Answers

VECTOR = Schema((Field("x", "numeric", "number", shape=(3,)),))
TABLE = Schema((Field("b", "numeric", "number"), Field("a", "numeric", "number")))
STEPS = Schema((Field("sequence", "sequence", "number", shape=(None, 2)),))


def npy(array: np.ndarray[Any, Any], version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version, allow_pickle=True)
    return file.getvalue()


def read(body: bytes, schema: Schema = VECTOR, media: str = "application/x-npy") -> Asked:
    asked = Reader(schema).read({"body": bytearray(body)}, {"Content-Type": media})
    assert isinstance(asked, Asked)
    return asked


def columns_of(asked: Asked, schema: Schema = VECTOR) -> Any:
    columns, errors = schema.check(asked.rows, asked.length)  # type: ignore[arg-type]
    assert not errors
    return columns


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "|u1", "<i8", "|b1"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_what_numpy_writes_is_read(dtype: str, version: tuple[int, int]) -> None:
    for array in (
        np.arange(6).reshape(2, 3).astype(dtype),
        np.asfortranarray(np.arange(6).reshape(2, 3).astype(dtype)),
    ):
        found = read_npy(npy(array, version))
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype


def test_one_value_is_a_row_and_one_more_axis_counts_rows() -> None:
    single = read(npy(np.array([1.0, 2.0, 3.0])))
    assert (single.single, single.length) == (True, 1)
    np.testing.assert_array_equal(columns_of(single)["x"], [[1.0, 2.0, 3.0]])
    many = read(npy(np.arange(12.0).reshape(4, 3)), media="application/octet-stream")
    assert (many.single, many.length) == (False, 4)
    np.testing.assert_array_equal(columns_of(many)["x"], np.arange(12.0).reshape(4, 3))
    steps = read(npy(np.arange(12, dtype="f4").reshape(6, 2)), STEPS)
    assert columns_of(steps, STEPS)["sequence"][0].shape == (6, 2)


def test_the_last_axis_is_several_fields_in_their_order() -> None:
    many = read(npy(np.array([[1, 2], [3, 4], [5, 6]], "i2")), TABLE)
    assert (many.single, many.length) == (False, 3)
    columns = columns_of(many, TABLE)
    assert (columns["b"].tolist(), columns["a"].tolist()) == ([1.0, 3.0, 5.0], [2.0, 4.0, 6.0])
    assert read(npy(np.array([1.0, 2.0])), TABLE).single


@pytest.mark.parametrize(
    ("array", "schema", "message"),
    [
        (np.zeros(4), VECTOR, "a row must be an array of shape 3, got 4"),
        (np.zeros((2, 5)), TABLE, "a row must be 2 numbers in the order of the fields, got 5"),
        (np.zeros((5, 3)), STEPS, "a row must be an array of shape any x 2, got 5 x 3"),
        (np.zeros(3, bool), VECTOR, "must hold numbers, got bool"),
    ],
)
def test_a_row_of_another_shape_is_refused(array: np.ndarray[Any, Any], schema: Schema, message: str) -> None:
    with pytest.raises(Problem) as caught:
        read(npy(array), schema)
    assert (caught.value.status, caught.value.kind, caught.value.row) == (422, "bad-row", 0)
    assert message in caught.value.detail


def test_a_number_alone_is_an_array_without_axes() -> None:
    number = Schema((Field("x", "numeric", "number"),))
    asked = read(npy(np.array(2.5, "f4")), number)
    assert asked.single
    assert columns_of(asked, number)["x"].tolist() == [2.5]


def written(columns: dict[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    answers = Answers(columns)
    outcome = Outcome(Given(answers), range(len(answers)), {})
    return read_npy(NpyWriter().write(outcome, Identity("m", "1", "d")).body)


def test_the_answer_is_the_first_column_of_floats() -> None:
    labels = np.array(["a", "b"], object)
    probabilities = np.array([[0.25, 0.75], [0.5, 0.5]], "f4")
    found = written({"label": labels, "probabilities": probabilities})
    np.testing.assert_array_equal(found, probabilities)
    assert found.dtype == np.float32
    with pytest.raises(Problem, match=r"the answers \(label\) are no array of numbers; accept application/json"):
        written({"label": labels})


def lying(header: str) -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(24)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "must be a row as a JSON object"),
        (b"PK\x03\x04", "magic string"),
        (b"\x93NUMPY\x03\x00" + bytes(100), "format version 3.0, known are 1.0 and 2.0"),
        (b"\x93NUMPY\x01\x00", "EOF"),
        (npy(np.zeros(3))[:-1], "its header says shape '(3,)' of float64, and 23 bytes follow"),
        (npy(np.zeros(3)) + b"\0", "and 25 bytes follow"),
        (npy(np.array([{"a": 1}], object)), "an array must hold numbers, got dtype 'object'"),
        (npy(np.array(["a"])), "an array must hold numbers, got dtype '<U1'"),
        (npy(np.zeros(2, [("a", "f4"), ("b", "f4")])), "an array must hold numbers, got dtype"),
        (npy(np.zeros((0, 3))), "2 of which the first counts rows, got shape (0, 3)"),
        (npy(np.zeros((2, 2, 3))), "1 axes for one row, or 2 of which the first counts rows, got shape (2, 2, 3)"),
        (lying("{'descr': '<f8', 'fortran_order': False, 'shape': (10**18,)}"), "its header cannot be read: malformed"),
        (lying("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000000,)}"), "and 24 bytes follow"),
        (lying("{'descr': '<f8', 'fortran_order': False, 'shape': (-3,)}"), "and 24 bytes follow"),
        (lying("{'descr': '<f8', 'fortran_order': False, 'shape': (0, True)}")[:-24], "header says shape '(0, True)'"),
        (lying("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), 'more': 1}"), "keys"),
        (lying("__import__('os').getpid()"), "its header cannot be read: malformed"),
        (lying("(" * 100), "its header cannot be read"),
    ],
)
def test_a_body_that_lies_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(Problem) as caught:
        read(body)
    assert caught.value.status == 400
    assert message in caught.value.detail
    caught.value.body().decode("ascii")


def test_rows_whose_answer_could_not_be_sent_are_refused_before_they_run() -> None:
    with pytest.raises(Problem) as caught:
        read(npy(np.zeros((1_000_000, 3), "u1")))
    assert (caught.value.status, caught.value.kind) == (413, "answer-too-large")


def test_an_array_is_not_for_rows_of_other_fields() -> None:
    two = Schema((*VECTOR.fields, *STEPS.fields))
    with pytest.raises(Problem) as caught:
        read(npy(np.zeros(3)), two)
    assert caught.value.status == 415
    with pytest.raises(Problem) as caught:
        read(npy(np.zeros(3)), media="text/csv")
    assert caught.value.status == 415
    assert "or an array in the .npy format as Content-Type: application/x-npy" in caught.value.detail
