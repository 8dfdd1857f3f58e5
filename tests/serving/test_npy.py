"""Bodies in the .npy format: what numpy writes is read, and nothing that lies about itself."""

import io
from typing import Any

import numpy as np
import pytest

from maas.schema import Field, Schema
from maas.serving._npy import read_npy
from maas.serving._requests import MOST_ROWS, Asked, Problem, read_request

VECTOR = Schema((Field("x", "numeric", "number", shape=(3,)),))
STEPS = Schema((Field("sequence", "sequence", "number", shape=(None, 2)),))


def npy(array: np.ndarray[Any, Any], version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version, allow_pickle=True)
    return file.getvalue()


def read(body: bytes, schema: Schema = VECTOR, media: str = "application/x-npy") -> Asked:
    return read_request({"body": bytearray(body)}, {"Content-Type": media}, schema)


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
    assert single.single
    np.testing.assert_array_equal(single.rows[0]["x"], [1.0, 2.0, 3.0])
    many = read(npy(np.arange(12.0).reshape(4, 3)), media="application/octet-stream")
    assert (many.single, len(many.rows)) == (False, 4)
    columns, errors = VECTOR.rows_to_columns(many.rows)
    assert not errors
    np.testing.assert_array_equal(columns["x"], np.arange(12.0).reshape(4, 3))
    steps = read(npy(np.arange(12, dtype="f4").reshape(6, 2)), STEPS)
    columns, errors = STEPS.rows_to_columns(steps.rows)
    assert not errors
    assert columns["sequence"][0].shape == (6, 2)


def test_a_value_of_another_shape_is_left_to_the_check_of_rows() -> None:
    _, errors = VECTOR.rows_to_columns(read(npy(np.zeros(4))).rows)
    assert "field 'x' must be 3 numbers" in errors[0].detail


def test_a_number_alone_is_an_array_without_axes() -> None:
    number = Schema((Field("x", "numeric", "number"),))
    asked = read(npy(np.array(2.5, "f4")), number)
    columns, errors = number.rows_to_columns(asked.rows)
    assert asked.single
    assert not errors
    assert columns["x"].tolist() == [2.5]


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


def test_too_many_rows_are_refused() -> None:
    with pytest.raises(Problem) as caught:
        read(npy(np.zeros((MOST_ROWS + 1, 3), "u1")))
    assert (caught.value.status, caught.value.kind) == (413, "too-many-rows")


def test_an_array_is_not_for_rows_of_other_fields() -> None:
    two = Schema((*VECTOR.fields, *STEPS.fields))
    with pytest.raises(Problem) as caught:
        read(npy(np.zeros(3)), two)
    assert caught.value.status == 415
    with pytest.raises(Problem) as caught:
        read(npy(np.zeros(3)), media="text/csv")
    assert caught.value.status == 415
    assert "or an array in the .npy format as Content-Type: application/x-npy" in caught.value.detail
