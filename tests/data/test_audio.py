"""Sounds from folders, tables of paths and arrays; each bad source refused by name."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import soundfile
import torch

from maas.data import read_audio
from maas.errors import DataError


def store(path: Path, level: float, rate: int = 8000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(100, level), rate)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, files in {"cat": ("1.wav", "b/2.FLAC"), "dog": ("1.flac", "3.WAV", "2.wav")}.items():
        for place, file in enumerate(files):
            store(tmp_path / "pets" / name / file, 0.1 * place)
    (tmp_path / "pets" / "dog" / "notes.txt").write_text("no sound, and passed over")
    (tmp_path / "pets" / ".cache").mkdir()
    return tmp_path / "pets"


def test_a_folder_of_one_folder_a_class(folder: Path) -> None:
    rows = read_audio(folder)
    assert repr(rows) == "Rows(5 x 1 fields -> class (classification))"
    assert rows.target is not None
    assert rows.target.tolist() == ["cat", "cat", "dog", "dog", "dog"]
    names = [Path(path).relative_to(folder).as_posix() for path in rows.side["path"]]
    assert names == ["cat/1.wav", "cat/b/2.FLAC", "dog/1.flac", "dog/2.wav", "dog/3.WAV"]
    assert rows.columns["audio"][3] == (folder / "dog" / "2.wav").read_bytes()
    field = rows.schema.fields[0]
    assert (field.name, field.kind, field.dtype, field.longest) == ("audio", "audio", "bytes", 20_000_000)


def test_a_table_of_paths_with_a_number_to_predict(folder: Path) -> None:
    (folder / "t.csv").write_text("audio,target,who\ncat/1.wav,1.5,ann\ndog/1.flac,2.5,bob\n")
    rows = read_audio(folder / "t.csv", task="regression")
    assert rows.target is not None
    assert rows.target.tolist() == [1.5, 2.5]
    assert list(rows.side["who"]) == ["ann", "bob"]
    assert rows.columns["audio"][1] == (folder / "dog" / "1.flac").read_bytes()
    frame = pandas.DataFrame({"where": ["1.wav"], "y": ["a"], "path": ["unused"]})
    assert len(read_audio(frame, path="where", root=folder / "cat")) == 1


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
@pytest.mark.parametrize("channels", [None, 1, 2])
def test_waveforms_lose_nothing(dtype: str, channels: int | None) -> None:
    """Decoded by libsndfile, every sample is that of the array."""
    random = np.random.default_rng(0)
    sizes = [(length, *([channels] if channels else [])) for length in (5, 900, 1)]
    waveforms = [random.uniform(-1, 1, size).astype(np.float32).astype(dtype) for size in sizes]
    if dtype == "int16":
        waveforms = [random.integers(-32768, 32768, size, np.int16) for size in sizes]
    rows = read_audio((waveforms, [0.5, 1.5, 2.0]), sample_rate=11_025)
    assert (rows.task, rows.source) == ("regression", "waveforms")
    for content, wanted in zip(rows.columns["audio"], waveforms, strict=True):
        samples, rate = soundfile.read(io.BytesIO(content), dtype="int16" if dtype == "int16" else "float32")
        assert rate == 11_025
        np.testing.assert_array_equal(samples, wanted[:, 0] if channels == 1 else wanted)


def test_tensors_and_one_array_of_equal_lengths() -> None:
    one = read_audio((torch.zeros(3, 40, dtype=torch.int16), torch.tensor([0, 1, 1])), sample_rate=8000)
    other = read_audio((np.zeros((3, 40), np.int16), ["a", "b", "b"]), sample_rate=8000)
    assert one.columns["audio"].tolist() == other.columns["audio"].tolist()
    assert other.target is not None
    assert other.target.tolist() == ["a", "b", "b"]


def test_waveforms_with_several_labels_each() -> None:
    rows = read_audio(([np.zeros(9)] * 2, [["dog", "cat"], []]), sample_rate=8000)
    assert rows.task == "multilabel"
    assert rows.target is not None
    assert rows.target.tolist() == [("cat", "dog"), ()]


def test_equal_waveforms_are_equal_bytes_so_that_copies_are_found() -> None:
    sound = np.random.default_rng(0).uniform(-1, 1, 300)
    rows = read_audio(([sound, sound / 2, sound], [0, 1, 0]), sample_rate=8000)
    assert len(rows.drop_duplicates()) == 2


def test_a_missing_or_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file or folder .*nowhere"):
        read_audio(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"has no folders; give it one folder of sounds for each class"):
        read_audio(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(
        DataError, match=r"the class folder .*cat has no sounds \(\.wav, \.flac\); fill it or remove it"
    ):
        read_audio(tmp_path)
    with pytest.raises(
        DataError, match=r"x\.wav is no folder and no table of paths \(\.csv, .*\); a single sound is no"
    ):
        read_audio(store(tmp_path / "x.wav", 0.1))


def test_a_sound_that_is_none_is_named_by_its_path(folder: Path) -> None:
    bad = folder / "cat" / "z.wav"
    bad.write_text("I am text")
    with pytest.raises(DataError, match=r"cat/z\.wav is no WAV or FLAC file: it starts with b'I am text'; convert or"):
        read_audio(folder)
    bad.write_bytes((folder / "dog" / "2.wav").read_bytes()[:-20])
    with pytest.raises(
        DataError, match=r"cat/z\.wav is cut off, or .* should have 236 bytes by its header, and has 224"
    ):
        read_audio(folder)
    for size in (20_000_004, 1 << 40):  # a terabyte of holes: it must not be read to be measured
        os.truncate(bad, size)
        with pytest.raises(DataError, match=rf"z\.wav has {size:,} bytes, a sound may have 20,000,000; cut it, or use"):
            read_audio(folder)


X = [np.zeros(9, np.int16)] * 3


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ((X, [0, 1, 1]), {}, "`sample_rate` must say how many samples a second .* from 1,000 to 384,000, got None"),
        ((X, [0, 1, 1]), {"sample_rate": 8000.0}, r"`sample_rate` must say .*, got 8000\.0"),
        ((X, [0, 1, 1]), {"sample_rate": 10**9}, "`sample_rate` must say .*, got 1000000000"),
        ((X, [0, 1]), {"sample_rate": 8000}, r"y must have one value for each of the 3 waveforms, got shape \(2,\)"),
        (([], []), {"sample_rate": 8000}, "waveforms must be a list of arrays, or an array of shape .*, got list of 0"),
        (("ab", [0, 1]), {"sample_rate": 8000}, "waveforms must be a list of arrays, .*, got 'ab'"),
        (([X[0].astype(int)], [0]), {"sample_rate": 8000}, r"waveform 0 must be int16, or floats .*, got int64; scale"),
        (([X[0], X[0][:0]], [0, 1]), {"sample_rate": 8000}, r"waveform 1 must have the shape .*, got \(0,\)"),
        (([np.zeros((2, 99))], [0]), {"sample_rate": 8000}, r"waveform 0 must .* got \(2, 99\); channels come last"),
        (([np.zeros((2, 2, 2))], [0]), {"sample_rate": 8000}, "waveform 0 must have the shape"),
        (
            ([np.full(9, 300.0)], [0]),
            {"sample_rate": 8000},
            r"waveform 0 must be floats from -1 to 1, got 300\.0; divide",
        ),
        (([np.full(9, np.nan)], [0]), {"sample_rate": 8000}, "waveform 0 must be floats from -1 to 1, got nan"),
        (
            ([np.zeros(10_000_000, np.int16)], [0]),
            {"sample_rate": 8000},
            "waveform 0 has 20,000,044 bytes, a sound may",
        ),
        ((X, [0, None, 1]), {"sample_rate": 8000}, "the target 'y' is missing in 1 of 3 rows"),
        (
            (X, [0, 1, 1]),
            {"target": "z"},
            "`target` is for a table, the source is a pair of waveforms and targets; leave",
        ),
        ((X, [0, 1, 1]), {"root": "z"}, "`root` is for a table, the source is a pair of waveforms"),
        (pandas.DataFrame({"y": [1]}), {"sample_rate": 8000}, "`sample_rate` is for a pair .*, the source is a table"),
        (
            (X, [0, 1, 1]),
            {"task": "guess"},
            "`task` must be one of classification, regression, multilabel, anomaly, got 'guess'",
        ),
        (
            7,
            {},
            r"sounds come from a folder, a table of paths or a pair \(waveforms, y\) with its `sample_rate`, got 7",
        ),
        (
            pandas.DataFrame({"y": [1], "z": ["a"]}),
            {},
            "say which column has the paths with `path`; there are 'y', 'z'",
        ),
    ],
)
def test_a_source_that_does_not_suit(source: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_audio(source, **options)
