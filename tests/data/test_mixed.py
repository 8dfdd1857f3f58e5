"""Tables with columns of images and of free text beside others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image as Pillow

from maas.data import Rows, read_columns, read_images, read_table, read_texts
from maas.errors import DataError

TYPES = {"photo": "image", "note": "text"}
TABLE: dict[str, list[Any]] = {
    "photo": ["a.png", "deep/b.jpg", "c.webp", "a.png"],
    "note": [" 1.0 ", "True", "two words", "2024-01-01"],
    "size": [1.5, 2.0, 2.5, 3.0],
    "y": ["p", "q", "p", "q"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    for place, name in enumerate(TABLE["photo"][:3]):
        Pillow.new("RGB", (5, 4), (40 * place, 0, 0)).save(tmp_path / name)
    return tmp_path


def contents(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in TABLE["photo"]]


def check(rows: Rows, folder: Path) -> None:
    assert [(field.name, field.kind, field.dtype) for field in rows.schema.fields] == [
        ("photo", "image", "bytes"),
        ("note", "text", "string"),
        ("size", "numeric", "number"),
    ]
    assert rows.schema["note"].longest == 100_000
    assert rows.columns["photo"].tolist() == contents(folder)  # bytes as they lie in the files: not decoded
    assert rows.columns["note"].tolist() == ["1.0", "True", "two words", "2024-01-01"]


def test_a_csv_of_paths_that_start_from_its_folder(folder: Path) -> None:
    pandas.DataFrame(TABLE).to_csv(folder / "table.csv", index=False)
    check(read_table(folder / "table.csv", types=TYPES), folder)


def test_data_frames_of_paths_and_of_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    check(read_table(pandas.DataFrame(TABLE), types=TYPES), folder)
    check(read_table(polars.DataFrame({**TABLE, "photo": contents(folder)}), types=TYPES), folder)
    absolute = {**TABLE, "photo": [str(folder / name) for name in TABLE["photo"]]}
    check(read_table(polars.DataFrame(absolute), types=TYPES), folder)


def test_a_parquet_file_of_bytes(folder: Path) -> None:
    table = pyarrow.table({**TABLE, "photo": contents(folder)})
    pyarrow.parquet.write_table(table, folder / "table.parquet")
    check(read_table(folder / "table.parquet", types=TYPES), folder)


def test_the_same_row_comes_back_for_a_known_schema_and_as_json(folder: Path) -> None:
    pandas.DataFrame(TABLE).to_csv(folder / "table.csv", index=False)
    rows = read_table(folder / "table.csv", types=TYPES)
    again, errors = read_columns(folder / "table.csv", rows.schema)
    assert errors == {}
    check(again, folder)
    columns, wrong = rows.schema.rows_to_columns(rows.to_dicts())
    assert wrong == {}
    assert columns["photo"].tolist() == contents(folder)


def test_the_files_are_those_that_read_images_reads(folder: Path) -> None:
    pandas.DataFrame(TABLE).to_csv(folder / "table.csv", index=False)
    images = read_images(folder / "table.csv", path="photo")
    assert images.columns["image"].tolist() == contents(folder)


def test_a_missing_or_broken_file_names_row_column_and_path(folder: Path) -> None:
    def read(name: str) -> Rows:
        frame = pandas.DataFrame({**TABLE, "photo": ["a.png", name, "c.webp", "a.png"]})
        frame.to_csv(folder / "table.csv", index=False)
        return read_table(folder / "table.csv", types=TYPES)

    (folder / "text.png").write_text("a text file named .png")
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:-20])
    for name, message in (
        ("d.png", r"row 1: field 'photo': there is no file '.*d\.png'; paths start from /"),
        ("deep", r"row 1: field 'photo': there is no file '.*deep'"),
        ("text.png", r"row 1: field 'photo': .*text\.png is no JPEG, PNG or WebP image: it starts with b'a text"),
        ("cut.png", r"row 1: field 'photo': .*cut\.png is cut off: it has"),
        ("a\0b.png", r"row 1: field 'photo': "),
    ):
        with pytest.raises(DataError, match=message):
            read(name)
    rows, errors = read_columns(folder / "table.csv", read("a.png").schema)
    (folder / "a.png").unlink()
    rows, errors = read_columns(folder / "table.csv", rows.schema)
    assert sorted(errors) == [0, 1, 3]
    assert len(rows) == 4


def test_a_missing_image_or_text_names_rows_and_remedy(folder: Path) -> None:
    lacking = pandas.DataFrame({**TABLE, "photo": [None, "a.png", None, "a.png"]})
    with pytest.raises(
        DataError, match=r"'photo' has no image in 2 of 4 rows: 0, 2; remove these rows, .* drop=\['photo'\]"
    ):
        read_table(lacking, types=TYPES)
    empty = pandas.DataFrame({**TABLE, "photo": contents(folder), "note": ["a", "  ", "b", None]})
    with pytest.raises(DataError, match=r"'note' has no text in 2 of 4 rows: 1, 3; remove these rows"):
        read_table(empty, types=TYPES)
    bare = pandas.DataFrame({"photo": contents(folder) * 3, "note": [""] * 12, "y": [0, 1] * 6})
    with pytest.raises(DataError, match=r"in 12 of 12 rows: 0, 1, 2, 3, 4 and 7 more"):
        read_table(bare, types=TYPES)
    gap = pandas.DataFrame({**TABLE, "photo": [None, *contents(folder)[1:]]})
    with pytest.raises(DataError, match=r"'photo' has no image in 1 of 4 rows: 0;"):
        read_table(gap, types=TYPES)


def test_bytes_are_no_text(folder: Path) -> None:
    table = pandas.DataFrame({**TABLE, "photo": contents(folder)})
    with pytest.raises(DataError, match=r"'photo' holds bytes; say types=\{'photo': 'image'\} where each is one image"):
        read_table(table)
    with pytest.raises(DataError, match=r"column 'photo' holds bytes, and no text; decode it first"):
        read_table(table, types={"photo": "text"})
    with pytest.raises(DataError, match=r"the target 'photo' holds bytes, and one number"):
        read_table(table, target="photo", drop=["y"])
    with pytest.raises(DataError, match=r"holds bytes"):
        read_texts(table, text="photo")
    with pytest.raises(DataError, match=r"holds bytes"):
        read_images(table, path="photo")
    assert read_table(table, drop=["photo", "note"]).side["photo"].tolist() == contents(folder)


def test_a_text_stays_letter_for_letter() -> None:
    frame = pandas.DataFrame({"note": ["1.0", "TRUE", "01"], "y": [0, 1, 0]})
    assert read_texts(frame, text="note").columns["note"].tolist() == ["1.0", "TRUE", "01"]
    assert read_table(frame, types={"note": "text"}).columns["note"].tolist() == ["1.0", "TRUE", "01"]


def test_mixed_rows_are_split_and_copies_are_found(folder: Path) -> None:
    frame = pandas.DataFrame({name: column * 5 for name, column in TABLE.items()})
    frame["photo"] = contents(folder) * 5
    with pytest.warns(UserWarning, match="stand"):
        train, test = read_table(frame, types=TYPES).split(0.4, seed=0)
    assert (len(train), len(test)) == (12, 8)
    assert len(read_table(frame, types=TYPES).drop_duplicates()) == 4


WAVES: list[Any] = [[[1.0, 2.0], [3.0, None]], [[5.0, 6.0]], [[0.0, 1.0], [2.0, 3.0]], [[7.0, 8.0]] * 5]


def test_a_column_of_sequences(tmp_path: Path) -> None:
    table = {"wave": WAVES, "size": [1.0, 2.0, 3.0, 4.0], "y": ["p", "q", "p", "q"]}
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "table.parquet")
    arrays = [np.array(wave, np.float64) for wave in WAVES]
    for source in (pandas.DataFrame(table), polars.DataFrame(table), tmp_path / "table.parquet"):
        rows = read_table(source, types={"wave": "sequence"})
        field = rows.schema["wave"]
        assert (field.kind, field.dtype, field.shape, field.nullable, field.longest) == (
            *("sequence", "number", (None, 2), True, 10),
        )
        for found, wanted in zip(rows.columns["wave"], arrays, strict=True):
            np.testing.assert_array_equal(found, wanted)
        again, errors = read_columns(source, rows.schema)
        assert errors == {}
        np.testing.assert_array_equal(again.columns["wave"][0], arrays[0])
    flat = pandas.DataFrame({"wave": [np.arange(3), np.arange(3), np.arange(2)], "y": ["p", "q", "p"]})
    one = read_table(flat, types={"wave": "sequence"})
    assert one.schema["wave"].shape == (None, 1)
    assert [len(wave) for wave in one.columns["wave"]] == [3, 3, 2]


def test_what_is_no_column_of_sequences_is_told() -> None:
    def read(cells: list[Any], types: dict[str, str] | None) -> Rows:
        return read_table(pandas.DataFrame({"wave": cells, "y": [0, 1]}), types=types)

    says = {"wave": "sequence"}
    with pytest.raises(DataError, match=r"'wave' holds lists; say types=\{'wave': 'sequence'\} where each is one seq"):
        read([[1], [2]], None)
    with pytest.raises(DataError, match="'wave' cannot be a sequence: its cells are no lists of numbers"):
        read([1.0, 2.0], says)
    for cells in ([[1], None], [[1], ["a"]], [[1], []], [[1], [[1], [1, 2]]], [[1], [[[1]]]]):
        with pytest.raises(DataError, match=r"'wave' has no sequence in row 1: it wants numbers of shape \(steps,\)"):
            read(cells, says)
    with pytest.raises(DataError, match=r"'wave' must have the same channels in every row, got \[1, 2\]"):
        read([[1], [[1, 2]]], says)
    with pytest.raises(DataError, match="field 'wave' must be finite"):
        read([[1], [np.inf]], says)
    rows = read([[1, 2], [3]], says)
    _, errors = read_columns(pandas.DataFrame({"wave": [[1.0] * 9, ["a"]]}), rows.schema)
    assert sorted(errors) == [0, 1]  # longer than twice the longest, and no numbers


def test_a_column_of_sounds(tmp_path: Path) -> None:
    """Beside a table field they make mixed rows, learned and answered like any other."""
    import soundfile

    import maas

    generator = np.random.default_rng(0)
    for row in range(12):
        soundfile.write(tmp_path / f"{row}.wav", generator.uniform(-0.5, 0.5, 800 + 40 * row), 8000)
    table = {"sound": [f"{row}.wav" for row in range(12)], "size": [1.0, 2.0] * 6, "y": ["p", "q"] * 6}
    pandas.DataFrame(table).to_csv(tmp_path / "table.csv", index=False)
    rows = read_table(tmp_path / "table.csv", types={"sound": "audio"})
    assert rows.columns["sound"][3] == (tmp_path / "3.wav").read_bytes()
    model = maas.fit(maas.recipe(maas.nn.Fusion), rows, epochs=1, device="cpu", progress=False)
    again = maas.load(model.save(tmp_path / "model"))
    assert again.predict(rows).to_dicts() == model.predict(rows).to_dicts()
    (tmp_path / "5.wav").write_bytes(b"no sound at all")
    with pytest.raises(DataError, match=r"row 5: field 'sound': .*5.wav is no WAV or FLAC file"):
        read_table(tmp_path / "table.csv", types={"sound": "audio"})
