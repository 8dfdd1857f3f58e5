"""Small trained models that many tests read; none of them changes what a fixture gives."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import struct
import tempfile
import zlib
from pathlib import Path

import pytest

import maas
from maas.data import Rows, read_table, write_sample

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell leaves it to what it runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)
if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes: servers that it starts are not the others' to find
    own = tempfile.mkdtemp(prefix="t")
    os.environ["TMPDIR"] = tempfile.tempdir = own
    atexit.register(shutil.rmtree, own, ignore_errors=True)


# Files that take half a minute or more, the longest first: one that came last would leave the other process idle.
LONGEST = (
    "tests/test_examples.py",
    "tests/test_readme.py",
    "training/test_distributed.py",
    "cli/test_fit.py",
    "front/test_front.py",
    "training/test_speed.py",
    "training/test_distributed_faults.py",
    "cli/test_commands.py",
    "serving/test_registered.py",
    "serving/test_release.py",
    "serving/test_fuzz.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get("/".join(item.path.parts[-2:]), len(places)))


@pytest.fixture(scope="session")
def wine_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-learn's wine table: 178 rows, 13 numbers, 3 classes (integers)."""
    return write_sample("wine", tmp_path_factory.mktemp("data") / "wine.csv")


@pytest.fixture(scope="session")
def wine_split(wine_csv: Path) -> tuple[Rows, Rows]:
    train, test = read_table(wine_csv, target="cultivar").split(test=0.25, seed=0)
    return train, test


@pytest.fixture(scope="session")
def wine_model(wine_split: tuple[Rows, Rows]) -> maas.Model:
    """Three classes: a softmax."""
    recipe = maas.recipe(maas.nn.MLP, hidden=(16,))
    return maas.fit(recipe, wine_split[0], epochs=25, learning_rate=0.01, device="cpu", progress=False)


@pytest.fixture(scope="session")
def wine_artifact(wine_model: maas.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wine model's folder. Read only: copy it before you change a byte."""
    return wine_model.save(tmp_path_factory.mktemp("artifacts") / "wine")


@pytest.fixture(scope="session")
def cancer_split(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rows, Rows]:
    """scikit-learn's breast cancer table: 569 rows, 30 numbers, 2 classes (text)."""
    path = write_sample("breast_cancer", tmp_path_factory.mktemp("data") / "breast_cancer.csv")
    train, test = read_table(path, target="diagnosis").split(test=0.25, seed=0)
    return train, test


@pytest.fixture(scope="session")
def cancer_model(cancer_split: tuple[Rows, Rows]) -> maas.Model:
    """Two classes: one output and a sigmoid."""
    recipe = maas.recipe(maas.nn.MLP, hidden=(8,))
    return maas.fit(recipe, cancer_split[0], epochs=8, learning_rate=0.01, device="cpu", progress=False)


@pytest.fixture(scope="session")
def cancer_artifact(cancer_model: maas.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The breast cancer model's folder. Read only: copy it before you change a byte."""
    return cancer_model.save(tmp_path_factory.mktemp("artifacts") / "cancer")


@pytest.fixture(scope="session")
def huge_png() -> bytes:
    """A black PNG of 30,000 x 30,000 pixels, one bit each: 110 kB that would be 2.7 GB of colours."""
    width = height = 30_000

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pack, line = zlib.compressobj(9), bytes(1 + width // 8)
    data = b"".join(pack.compress(line) for _ in range(height)) + pack.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    assert 100_000 < len(content) < 120_000
    return content
