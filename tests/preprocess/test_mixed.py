"""Mixed rows: each part as its own preprocessing alone makes it, under prefixed names."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import maas
from maas.data._cells import as_objects
from maas.errors import DataError, FormatError
from maas.preprocess import Image, Mixed, Sequence, Table, Text, for_schema, from_state
from maas.preprocess._base import _REGISTER as PREPROCESSINGS
from maas.preprocess._mixed import parts_of
from maas.schema import Columns, Field, Schema
from maas.task import Batch
from maas.task._base import _REGISTER as TASKS

REGISTERS: tuple[dict[str, Any], ...] = (PREPROCESSINGS, TASKS)
PHOTO = Field("photo", "image", "bytes")
NOTE = Field("note", "text", "string", longest=100_000)
SIZE = Field("size", "numeric", "number", range=(0.0, 20.0))
COLOUR = Field("colour", "categorical", "label")
WAVE = Field("wave", "sequence", "number", shape=(None, 2), longest=1000)
SCHEMA = Schema((SIZE, PHOTO, NOTE, COLOUR, WAVE))


@pytest.fixture(autouse=True)
def _registers_as_before() -> Iterator[None]:
    before = [dict(register) for register in REGISTERS]
    yield
    for register, kinds in zip(REGISTERS, before, strict=True):
        register.clear()
        register.update(kinds)


def png(shade: int, side: int = 6) -> bytes:
    buffer = io.BytesIO()
    Pillow.new("L", (side, side), shade).save(buffer, "PNG")
    return buffer.getvalue()


def columns(count: int = 8) -> Columns:
    return {
        "size": np.arange(float(count)),
        "photo": as_objects([png(20 * row) for row in range(count)]),
        "note": as_objects([" ".join(["a good day", "bad", "day"][: 1 + row % 3]) for row in range(count)]),
        "colour": as_objects([["red", "blue"][row % 2] for row in range(count)]),
        "wave": as_objects([np.full((1 + row % 4, 2), float(row)) for row in range(count)]),
    }


@pytest.fixture(scope="module")
def mixed() -> Mixed:
    return Mixed.learn(SCHEMA, columns())


def test_each_part_is_what_its_own_preprocessing_makes(mixed: Mixed) -> None:
    """Reference: Table, Image, Text and Sequence learned alone."""
    tensors, errors = mixed.apply(columns())
    assert errors == {}
    assert list(tensors) == list(mixed.outputs) == [
        "table__x", "photo__image", "note__tokens", "note__tokens_lengths", "wave__sequence", "wave__sequence_lengths",
    ]  # fmt: skip
    alone: list[tuple[str, type[Any], tuple[Field, ...]]] = [
        ("table", Table, (SIZE, COLOUR)),
        ("photo", Image, (PHOTO,)),
        ("note", Text, (NOTE,)),
        ("wave", Sequence, (WAVE,)),
    ]
    for part, cls, fields in alone:
        schema = Schema(fields)
        given = {name: columns()[name] for name in schema.names}
        learned = cls.learn(schema, given)
        for name, tensor in learned.apply(given)[0].items():
            assert torch.equal(tensors[f"{part}__{name}"], tensor)
            assert mixed.outputs[f"{part}__{name}"] == learned.outputs[name]


def test_a_row_is_the_same_alone_and_among_others(mixed: Mixed) -> None:
    whole = Batch(mixed.apply(columns())[0])
    for row in range(8):
        alone = Batch(mixed.apply({name: column[row : row + 1] for name, column in columns().items()})[0])
        trimmed = whole[row : row + 1].trimmed()
        for name, tensor in alone.inputs.items():
            assert torch.equal(trimmed.inputs[name], tensor), name
    lengths = whole.lengths()  # of the longest input of each row: bucketing goes by it
    assert lengths is not None
    assert lengths.tolist() == [max(1 + row % 4, [3, 4, 5][row % 3]) for row in range(8)]


def test_the_first_part_that_refuses_a_row_is_told_and_the_others_are_made(mixed: Mixed) -> None:
    broken = columns()
    broken["photo"][2] = broken["photo"][5] = b"no image"
    broken["note"][5] = broken["note"][6] = "  "
    broken["size"][6] = 1e300
    tensors, errors = mixed.apply(broken)
    assert {row: error.field for row, error in errors.items()} == {2: "photo", 5: "photo", 6: "size"}
    assert len(tensors["table__x"]) == len(tensors["note__tokens"]) == 8


def test_it_comes_back_from_its_state(mixed: Mixed) -> None:
    state, arrays = mixed.state()
    assert {"table.mean", "photo.scale", "wave.mean"} <= set(arrays)
    again = from_state("mixed", SCHEMA, state, arrays)
    assert again.outputs == mixed.outputs
    for name, tensor in mixed.apply(columns())[0].items():
        assert torch.equal(again.apply(columns())[0][name], tensor)
    assert again.examples(3) == mixed.examples(3)


def test_examples_are_rows_that_it_takes(mixed: Mixed) -> None:
    rows = mixed.examples(4)
    assert [tuple(row) for row in rows] == [SCHEMA.names] * 4
    found, errors = SCHEMA.rows_to_columns(rows)
    assert errors == {}
    assert mixed.apply(found)[1] == {}


def test_parts_are_told_how(mixed: Mixed) -> None:
    options = Mixed.with_options(photo=Image.with_options(size=4, channels=3), note=Text.with_options(tokenizer="char"))
    learned = options.learn(SCHEMA, columns())
    assert learned.outputs["photo__image"].shape == (3, 4, 4)
    assert mixed.outputs["photo__image"].shape == (1, 6, 6)
    assert learned.outputs["note__tokens"].limit != mixed.outputs["note__tokens"].limit
    with pytest.raises(DataError, match="have no part 'picture', they have table, photo, note, wave"):
        Mixed.with_options(picture=Image).learn(SCHEMA, columns())
    with pytest.raises(DataError, match=r"given for the part 'note' does not take its fields: 'note' \(text\)"):
        Mixed.with_options(note=Image).learn(SCHEMA, columns())
    with pytest.raises(DataError, match=r"the part 'note' must be a preprocessing, as Text.with_options.*, got 5"):
        Mixed.with_options(note=5)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="mixed rows have fields of several kinds, these have 'size', 'colour' of one"):
        Mixed.with_options(table=Table).learn(Schema((SIZE, COLOUR)), columns())


@pytest.mark.parametrize(
    ("fields", "cls"),
    [
        ((SIZE, COLOUR), Table),
        ((PHOTO,), Image),
        ((NOTE,), Text),
        ((WAVE,), Sequence),
        ((PHOTO, SIZE), Mixed),
        ((NOTE, Field("title", "text", "string")), Mixed),
        ((PHOTO, WAVE), Mixed),
    ],
)
def test_it_takes_mixed_rows_and_no_others(fields: tuple[Field, ...], cls: type[Any]) -> None:
    assert for_schema(Schema(fields)) is cls
    assert Mixed.takes(Schema(fields)) is (cls is Mixed)


def test_rows_with_a_kind_that_nothing_takes_are_refused() -> None:
    schema = Schema((SIZE, Field("smell", "smell", "bytes")))
    assert not Mixed.takes(schema)
    with pytest.raises(DataError, match="no preprocessing takes fields of the kinds numeric, smell"):
        for_schema(schema)


def test_names_of_parts_differ_and_are_identifiers() -> None:
    names = ["table", "my photo", "my_photo", "a__b", "a_", "1st", "!", "照片", "x.y", "keys"]
    parts = parts_of(Schema((SIZE, *(Field(name, "text", "string") for name in names))))
    assert list(parts) == [
        "table", "table_2", "my_photo", "my_photo_2", "a_b", "a", "part_1st", "part", "照片", "x_y", "keys",
    ]  # fmt: skip
    assert all(name.isidentifier() and "__" not in name for name in parts)
    assert [one.names for one in parts.values()] == [("size",), *((name,) for name in names)]


Change = Callable[[dict[str, Any], dict[str, Any]], Any]
HOSTILE: dict[str, tuple[Change, str]] = {
    "no parts": (lambda state, arrays: state.clear(), "the parts of these mixed rows are table, photo, note, wave"),
    "more": (lambda state, arrays: state.update(more=1), "the parts of these mixed rows are"),
    "a list": (lambda state, arrays: state.update(parts=[]), "the parts of these mixed rows are"),
    "a part less": (lambda state, arrays: state["parts"].pop("note"), "the parts of these mixed rows are"),
    "a part more": (lambda state, arrays: state["parts"].update(x={}), "the parts of these mixed rows are"),
    "no object": (lambda state, arrays: state["parts"].update(note=3), "'note' must be {kind: string, state: object}"),
    "no kind": (lambda state, arrays: state["parts"]["note"].pop("kind"), "must be {kind: string, state: object}"),
    "a kind of 3": (lambda state, arrays: state["parts"]["note"].update(kind=3), "must be {kind: string"),
    "no state": (lambda state, arrays: state["parts"]["note"].update(state=[1]), "state of the part 'note' must be an"),
    "unknown": (lambda state, arrays: state["parts"]["note"].update(kind="x"), "unknown preprocessing 'x'"),
    "mixed in mixed": (
        lambda state, arrays: state["parts"]["note"].update(kind="mixed", state={"parts": {}}),
        "mixed rows have fields of several kinds",
    ),
    "of another kind": (lambda state, arrays: state["parts"]["note"].update(kind="image"), "takes one field of the"),
    "an array of no part": (
        lambda state, arrays: arrays.update({"mean": np.zeros(1)}),
        "array 'mean' is of no part; they are table",
    ),
    "a wrong array": (lambda state, arrays: arrays.update({"photo.mean": np.zeros(2)}), "'mean' must be float64"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_state_is_refused(name: str, mixed: Mixed) -> None:
    change, message = HOSTILE[name]
    state, arrays = mixed.state()
    state = copy.deepcopy(state)
    change(state, arrays)
    with pytest.raises(FormatError, match=message):
        from_state("mixed", SCHEMA, state, arrays)


def test_a_schema_of_one_part_is_refused() -> None:
    with pytest.raises(FormatError, match="mixed rows have fields of several kinds"):
        from_state("mixed", Schema((SIZE,)), {"parts": {}}, {})


def test_a_kind_that_is_taken_cannot_be_registered() -> None:
    with pytest.raises(DataError, match=r"the preprocessing 'table' is taken by maas.preprocess._table.Table"):
        maas.preprocess.preprocess("table")(Mixed)
    with pytest.raises(DataError, match=r"the task 'regression' is taken by maas.task._regression.Regression"):
        maas.task.task("regression")(maas.task.Classification)


def test_an_installed_package_registers_through_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "entry_smells.py").write_text(
        "import maas\n\n"
        "@maas.preprocess.preprocess('entry.smell')\n"
        "class Smell:\n"
        "    @classmethod\n"
        "    def takes(cls, schema):\n"
        "        return [field.kind for field in schema.fields] == ['smell']\n"
        "    @classmethod\n"
        "    def from_state(cls, schema, state, arrays):\n"
        "        return cls()\n\n"
        "@maas.task.task('entry.count')\n"
        "class Count:\n"
        "    pass\n"
    )
    info = tmp_path / "entry_smells-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: entry-smells\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[maas.preprocess]\nentry.smell = entry_smells:Smell\n[maas.tasks]\nentry.count = entry_smells:Count\n"
    )
    schema = Schema((Field("smell", "smell", "bytes"),))
    with pytest.raises(FormatError, match=r"unknown preprocessing 'entry.smell'.*@maas.preprocess.preprocess"):
        from_state("entry.smell", schema, {}, {})
    with pytest.raises(FormatError, match=r"unknown task 'entry.count'.*@maas.task.task"):
        maas.task.from_state("entry.count", {}, {}, schema)
    with pytest.raises(DataError, match=r"`task` must be one of .*classification.*, got 'entry.count'"):
        maas.task.task_class("entry.count")
    monkeypatch.syspath_prepend(tmp_path)
    assert type(from_state("entry.smell", schema, {}, {})).__name__ == "Smell"
    assert for_schema(schema).__name__ == "Smell"
    assert Mixed.takes(Schema((*schema.fields, SIZE)))
    assert maas.task.task_class("entry.count").__name__ == "Count"
