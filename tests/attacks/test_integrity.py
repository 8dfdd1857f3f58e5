"""No damage goes unnoticed: every bit, every length and every file of a small artifact."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import maas
from maas import artifact
from maas.errors import IntegrityError
from maas.preprocess import Table
from maas.schema import Field, Schema
from maas.task import Regression

FILES = ("SHA256SUMS", "artifact.json", "card.json", "example.json", "model.safetensors")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two numbers and a linear model; about three kilobytes in all."""
    schema = Schema((Field("a", "numeric", "number"), Field("b", "numeric", "number")))
    model = maas.Model(
        maas.nn.MLP(2, 1, hidden=(), seed=0),
        recipe=maas.recipe(maas.nn.MLP, in_features=2, out_features=1, hidden=()),
        schema=schema,
        preprocess=Table.identity(schema),
        task=Regression(),
    )
    return model.save(tmp_path_factory.mktemp("tiny") / "tiny", examples=[{"a": 1.0, "b": -2.0}])


@pytest.fixture(autouse=True)
def _whole_before_and_after(tiny: Path) -> Iterator[None]:
    assert sorted(os.listdir(tiny)) == list(FILES)
    artifact.read(tiny)
    yield
    artifact.read(tiny)


def _unnoticed(folder: Path) -> bool:
    try:
        artifact.read(folder)
    except IntegrityError:
        return False
    return True


@pytest.mark.parametrize("name", FILES)
def test_every_single_flipped_bit_of_every_byte_is_noticed(name: str, tiny: Path) -> None:
    good = (tiny / name).read_bytes()
    descriptor = os.open(tiny / name, os.O_RDWR)
    unnoticed = []
    try:
        for place, byte in enumerate(good):
            for bit in range(8):
                os.pwrite(descriptor, bytes([byte ^ 1 << bit]), place)
                if _unnoticed(tiny):
                    unnoticed.append((place, bit))
            os.pwrite(descriptor, good[place : place + 1], place)
    finally:
        os.close(descriptor)
    assert unnoticed == []


@pytest.mark.parametrize("name", FILES)
def test_every_truncation_is_noticed_as_damage(name: str, tiny: Path) -> None:
    """Not as a format error: docs/artifact-format.md says IntegrityError wherever the list is not exact."""
    good = (tiny / name).read_bytes()
    found = {}
    for length in reversed(range(len(good))):
        os.truncate(tiny / name, length)
        try:
            artifact.read(tiny)
            found[length] = "nothing"
        except Exception as error:
            found[length] = type(error).__name__
    (tiny / name).write_bytes(good)
    assert {length: error for length, error in found.items() if error != "IntegrityError"} == {}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("tail", [b"\n", b"\0", b" "])
def test_an_appended_byte_is_noticed(name: str, tail: bytes, tiny: Path) -> None:
    good = (tiny / name).read_bytes()
    (tiny / name).write_bytes(good + tail)
    try:
        with pytest.raises(IntegrityError, match=r"is damaged|is not what was saved"):
            artifact.read(tiny)
    finally:
        (tiny / name).write_bytes(good)


@pytest.mark.parametrize("name", FILES)
def test_a_removed_file_is_noticed(name: str, tiny: Path, tmp_path: Path) -> None:
    (tiny / name).rename(tmp_path / name)
    try:
        with pytest.raises(IntegrityError, match=f"it has no {name}|{name} cannot be read: No such file"):
            artifact.read(tiny)
    finally:
        (tmp_path / name).rename(tiny / name)


@pytest.mark.parametrize(("one", "other"), [("card.json", "example.json"), ("artifact.json", "model.safetensors")])
def test_exchanged_files_are_noticed(one: str, other: str, tiny: Path) -> None:
    first, second = (tiny / one).read_bytes(), (tiny / other).read_bytes()
    (tiny / one).write_bytes(second)
    (tiny / other).write_bytes(first)
    try:
        with pytest.raises(IntegrityError, match=f"{one} is not what was saved: its SHA-256 differs from SHA256SUMS"):
            artifact.read(tiny)
    finally:
        (tiny / one).write_bytes(first)
        (tiny / other).write_bytes(second)


def test_there_is_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="is not an artifact: there is no such folder"):
        artifact.read(tmp_path / "nothing")
    with pytest.raises(IntegrityError, match="is not an artifact: it has no SHA256SUMS"):
        artifact.read(tmp_path)
