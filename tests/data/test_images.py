"""Images from folders, arrays, IDX and CIFAR files and tables of paths; each bad source refused by name."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from PIL import Image as Pillow

from maas.data import Rows, read_images
from maas.errors import DataError

Pixels = np.ndarray[Any, Any]


def pixels(rows: Rows) -> list[Pixels]:
    return [np.asarray(Pillow.open(io.BytesIO(content))) for content in rows.columns["image"]]


def draw(path: Path, shade: int, size: int = 6) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.new("RGB", (size, size), (shade, 0, 0)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, files in {"cat": ("1.png", "b/2.JPG"), "dog": ("1.webp", "3.jpeg", "2.png")}.items():
        for place, file in enumerate(files):
            draw(tmp_path / "pets" / name / file, 40 * place + len(name + file))
    (tmp_path / "pets" / "dog" / "notes.txt").write_text("not an image, and passed over")
    (tmp_path / "pets" / ".cache").mkdir()
    return tmp_path / "pets"


def test_a_folder_of_one_folder_a_class(folder: Path) -> None:
    rows = read_images(folder)
    assert repr(rows) == "Rows(5 x 1 fields -> class (classification))"
    assert rows.target is not None
    assert rows.target.tolist() == ["cat", "cat", "dog", "dog", "dog"]
    names = [Path(path).relative_to(folder).as_posix() for path in rows.side["path"]]
    assert names == ["cat/1.png", "cat/b/2.JPG", "dog/1.webp", "dog/2.png", "dog/3.jpeg"]
    assert rows.columns["image"][3] == (folder / "dog" / "2.png").read_bytes()
    field = rows.schema.fields[0]
    assert (field.name, field.kind, field.dtype, field.longest) == ("image", "image", "bytes", 20_000_000)


@pytest.mark.parametrize("shape", [(5, 7, 4), (5, 7, 4, 1), (5, 7, 4, 3)])
def test_arrays_lose_nothing(shape: tuple[int, ...]) -> None:
    """Decoded by Pillow, every pixel is that of the array."""
    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    rows = read_images((x, [0, 1, 0, 1, 1]))
    got = np.stack(pixels(rows))
    assert (got == (x[..., 0] if shape[3:] == (1,) else x)).all()
    assert rows.task == "classification"
    assert rows.target is not None
    assert rows.target.tolist() == [0, 1, 0, 1, 1]


def test_tensors_and_numbers_as_target() -> None:
    rows = read_images((torch.zeros(3, 4, 4, dtype=torch.uint8), torch.tensor([0.5, 1.5, 2.0])))
    assert rows.task == "regression"


def idx(values: Pixels, path: Path) -> Path:
    content = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_files(tmp_path: Path, ending: str) -> None:
    x = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    pair = idx(x, tmp_path / f"images{ending}"), idx(np.array([7, 2, 7], np.uint8), tmp_path / f"labels{ending}")
    rows = read_images(pair)
    assert (np.stack(pixels(rows)) == x).all()
    assert rows.target is not None
    assert rows.target.tolist() == [7, 2, 7]
    with pytest.raises(DataError, match=r"must be images \(3 axes\), then labels \(1 axis\), got 1 and 3 axes"):
        read_images(pair[::-1])
    with pytest.raises(DataError, match=r"is one IDX file; give the pair \(images, labels\)"):
        read_images(pair[0])


def cifar(path: Path, labels: list[list[int]], start: int = 0) -> Pixels:
    """Write a file as CIFAR's description says: labels, then 1,024 red, 1,024 green and 1,024 blue bytes an image."""
    x = np.random.default_rng(start).integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
    planes = x.transpose(0, 3, 1, 2).reshape(len(labels), -1)
    path.write_bytes(b"".join(bytes(label) + plane.tobytes() for label, plane in zip(labels, planes, strict=True)))
    return x


def test_cifar_10(tmp_path: Path) -> None:
    first = cifar(tmp_path / "data_batch_1.bin", [[3], [9]])
    second = cifar(tmp_path / "data_batch_2.bin", [[0]], 1)
    test = cifar(tmp_path / "test_batch.bin", [[1], [1], [8]], 2)
    (tmp_path / "batches.meta.txt").write_text("plane\ncar\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n")
    train = read_images(tmp_path)
    assert (np.stack(pixels(train)) == np.concatenate([first, second])).all()
    assert train.target is not None
    assert train.target.tolist() == ["cat", "truck", "plane"]
    held_out = read_images(tmp_path / "test_batch.bin")
    assert (np.stack(pixels(held_out)) == test).all()
    assert len(read_images([tmp_path / "data_batch_1.bin", tmp_path / "test_batch.bin"])) == 5


def test_cifar_100(tmp_path: Path) -> None:
    x = cifar(tmp_path / "train.bin", [[4, 99], [19, 0]])
    rows = read_images(tmp_path, task="classification")
    assert (np.stack(pixels(rows)) == x).all()
    assert rows.target is not None
    assert rows.target.tolist() == [99, 0]
    coarse = read_images(tmp_path, target="coarse").target
    assert coarse is not None
    assert coarse.tolist() == [4, 19]


def test_a_table_of_paths(folder: Path) -> None:
    table = folder / "table.csv"
    table.write_text("file,age,label,owner\ncat/1.png,1,x,ann\ndog/2.png,2,y,bob\n")
    rows = read_images(table)
    assert rows.target is not None
    assert (rows.target_name, rows.target.tolist()) == ("label", ["x", "y"])
    assert rows.columns["image"][1] == (folder / "dog" / "2.png").read_bytes()
    assert rows.side.keys() == {"age", "label", "owner", "path"} - {"label"}
    ages = read_images(table, target="age", task="regression")
    assert ages.target is not None
    assert ages.target.tolist() == [1.0, 2.0]
    frame = pandas.DataFrame({"where": ["1.png"], "y": ["a"], "path": ["unused"]})
    assert len(read_images(frame, path="where", root=folder / "cat")) == 1


def test_splitting_keeps_a_group_together(folder: Path) -> None:
    (folder / "t.csv").write_text("file,y,who\ncat/1.png,a,1\ncat/b/2.JPG,b,1\ndog/2.png,a,2\ndog/3.jpeg,b,2\n")
    train, test = read_images(folder / "t.csv").split(0.5, group="who")
    assert len(set(train.side["who"]) & set(test.side["who"])) == 0


def test_a_missing_or_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file or folder .*nowhere"):
        read_images(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"has no folders; give it one folder of images for each class"):
        read_images(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match=r"the class folder .*cat has no images \(\.jpg, .*\); fill it or remove it"):
        read_images(tmp_path)
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(DataError, match=r"x\.txt is no folder, no table of paths .* and no CIFAR file"):
        read_images(tmp_path / "x.txt")


def test_an_image_that_is_none_is_named_by_its_path(folder: Path) -> None:
    (folder / "cat" / "z.jpg").write_text("I am text")
    with pytest.raises(DataError, match=r"cat/z\.jpg is no JPEG, PNG or WebP image: it starts with b'I am text'"):
        read_images(folder)
    (folder / "cat" / "z.jpg").write_bytes((folder / "dog" / "3.jpeg").read_bytes()[:-20])
    with pytest.raises(DataError, match=r"cat/z\.jpg is cut off: it has [\d,]+ bytes and no end; copy it again"):
        read_images(folder)
    (folder / "cat" / "z.jpg").write_bytes(b"\xff\xd8\xff" + bytes(20_000_000))
    with pytest.raises(DataError, match=r"z\.jpg has 20,000,003 bytes, an image may have 20,000,000; make it smaller"):
        read_images(folder)


X = np.zeros((3, 4, 4), np.uint8)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ((X, [0, 1]), {}, r"y must have one value for each of the 3 images of X, got shape \(2,\)"),
        ((X / 255, [0, 1, 1]), {}, r"X must be uint8, from 0 to 255, got float64; scale it first: \(X \* 255\)"),
        ((X[0], [0, 1, 1, 0]), {}, r"X must be images of shape .*, got \(4, 4\); channels come last"),
        ((np.zeros((3, 3, 4, 4), np.uint8), [0, 1, 1]), {}, r"X must be images .*, got \(3, 3, 4, 4\); channels come"),
        ((X[:0], []), {}, "X must be images of shape"),
        ((X, [0, None, 1]), {}, "the target 'y' is missing in 1 of 3 rows"),
        ((X, [0, 1, 1]), {"target": "z"}, r"`target` is for a table and CIFAR files, the source is a pair of arrays"),
        ((X, [0, 1, 1]), {"root": "z"}, r"`root` is for a table, the source is a pair of arrays; leave it out"),
        (
            (X, [0, 1, 1]),
            {"task": "guess"},
            "`task` must be one of classification, regression, multilabel, anomaly, got 'guess'",
        ),
        (7, {}, "images come from a folder, a pair .* or a table of paths, got 7"),
        ([], {}, "images come from a folder, .*, got list of 0"),
    ],
)
def test_a_source_that_does_not_suit(source: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_images(source, **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text", r"is no IDX file of bytes: it starts with b'text', not b'\\x00\\x00\\x08'"),
        (b"\0\0\x08\x03\0\0\0\x02", "is no IDX file of bytes"),
        (b"\0\0\x08\x01\0\0\0\x05abc", r"should hold 5 bytes by its header \(5,\), got 3"),
        (gzip.compress(bytes(1000), mtime=0)[:-9], "is a damaged gzip file: .*; copy it again"),
    ],
)
def test_a_damaged_idx_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "images").write_bytes(content)
    labels = idx(np.zeros(1, np.uint8), tmp_path / "labels")
    with pytest.raises(DataError, match=message):
        read_images((tmp_path / "images", labels))
    with pytest.raises(DataError, match=r"there is no file .*gone"):
        read_images((tmp_path / "gone", labels))


def test_a_damaged_cifar_file(tmp_path: Path) -> None:
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(bytes(3000))
    with pytest.raises(DataError, match="is no CIFAR file: 3,000 bytes are no whole number of images of 3,073 or"):
        read_images(path)
    path.write_bytes(b"\x50" + bytes(3072))
    with pytest.raises(DataError, match="is no CIFAR file: it has labels above those of CIFAR-10 and CIFAR-100"):
        read_images(path)
    path.write_bytes(bytes(3073))
    with pytest.raises(DataError, match="`target` is 'fine' or 'coarse', and for CIFAR-100 only, got 'fine'"):
        read_images(path, target="fine")
    cifar(tmp_path / "train.bin", [[1, 1]])
    with pytest.raises(DataError, match=r"the \.bin files are of CIFAR-10 and of CIFAR-100; read them apart"):
        read_images([path, tmp_path / "train.bin"])
    cifar(path, [[3], [9]])
    (tmp_path / "batches.meta.txt").write_text("plane\ncar\n")
    with pytest.raises(DataError, match=r"batches\.meta\.txt has 2 names, the labels go up to 9; complete it"):
        read_images(path)
    path.unlink()
    (tmp_path / "train.bin").rename(tmp_path / "x.bin")
    with pytest.raises(DataError, match=r"has neither data_batch_\*\.bin nor train\.bin; name the \.bin files"):
        read_images(tmp_path)


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ("file,y\ncat/9.png,a\n", {}, "row 0: there is no file .*9.png; paths start from .*, say `root=`"),
        ("file,y\ncat/1.png,a\n,b\n", {}, "column 'file' has no path in row 1; remove it"),
        ("file,path,y\na,b,c\n", {}, "say which column has the paths with `path`; there are 'file', 'path', 'y'"),
        ("file,y\na,b\n", {"path": "fil"}, "`path` names no column, or the target: got 'fil', there are 'file', 'y'"),
        ("file,y\na,b\n", {"path": "y"}, "`path` names no column, or the target: got 'y'"),
        ("file,z\ncat/1.png,b\n", {"task": "classification"}, "say which column to predict with `target`"),
        ("file,y\na,b\n", {"root": "/nowhere"}, "`root` must be a folder, got '/nowhere'"),
    ],
)
def test_a_table_that_does_not_suit(folder: Path, table: str, options: dict[str, Any], message: str) -> None:
    (folder / "t.csv").write_text(table)
    with pytest.raises(DataError, match=message):
        read_images(folder / "t.csv", **options)
