"""Hostile artifacts: whole by their digests where the attack lies deeper, and refused by a plain error all the same.

Each case changes a copy of one good artifact. Loading it must raise an ArtifactError soon, without much memory,
without running anything and without writing a file.
"""

from __future__ import annotations

import os
import pickle
import re
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import maas
from maas.errors import ArtifactError, FormatError, IntegrityError, SkewError
from maas.preprocess import Table
from maas.schema import Field, Schema
from maas.task import Classification

from .hostile import FORMAT, INTEGRITY, SKEW
from .tampering import Attack

MOST_SECONDS = 3.0
MOST_KILOBYTES = 200 * 1024
CLEAR = Path("/proc/self/clear_refs")
FORBIDDEN = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen")
_watching = False
_events: list[str] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event in FORBIDDEN or event in ("exec", "compile", "import"):
        _events.append(f"{event} {str(arguments)[:200]}")
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        _events.append(f"open for writing {arguments[0]}")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two numbers, a category, three classes: small, and with a part of every kind."""
    schema = Schema(
        (
            Field("a", "numeric", "number", range=(-2.0, 2.0)),
            Field("b", "numeric", "number", nullable=True),
            Field("c", "categorical", "label", values=("p", "q")),
        )
    )
    colours = np.array(["p", "q", "p", "q", "r"], object)
    table = Table.learn(schema, {"a": np.arange(5.0), "b": np.array([1, np.nan, 2, 3, 4]), "c": colours})
    width = table.outputs["x"].shape[0]
    model = maas.Model(
        maas.nn.MLP(width, 3, hidden=(2,), seed=0),
        recipe=maas.recipe(maas.nn.MLP, hidden=(2,)).resolve(table.outputs, 3),
        schema=schema,
        preprocess=table,
        task=Classification(("n", "y", "z")),
    )
    return model.save(tmp_path_factory.mktemp("hostile") / "good")


@pytest.fixture(scope="module", autouse=True)
def _warm(good: Path) -> None:
    """Everything that is imported on first use is imported here; an audit hook can never be removed again."""
    maas.load(good)
    for kind in ("mlp", "unknown"):
        with pytest.raises(maas.MaasError):
            maas.recipe(kind, unknown=1)
    sys.addaudithook(_watch)


@pytest.fixture
def watched() -> Iterator[list[str]]:
    global _watching
    _events.clear()
    _watching = True
    yield _events
    _watching = False


def _peak_kilobytes(*, afresh: bool = False) -> int:
    """The most memory that this process had, on Linux since the last call with `afresh`."""
    if not CLEAR.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if afresh:
        CLEAR.write_text("5")
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])


CASES = [
    pytest.param(attack, kind, message, id=f"{name}")
    for kind, group in ((IntegrityError, INTEGRITY), (FormatError, FORMAT), (SkewError, SKEW))
    for name, (attack, message) in group.items()
]


@pytest.mark.parametrize(("attack", "kind", "message"), CASES)
def test_refused_soon_and_without_harm(
    attack: Attack, kind: type[ArtifactError], message: str, good: Path, tmp_path: Path, watched: list[str]
) -> None:
    global _watching
    _watching = False
    folder = Path(shutil.copytree(good, tmp_path / "hostile"))
    attack(folder)
    before, start = _peak_kilobytes(afresh=True), time.perf_counter()
    _watching = True
    try:
        maas.load(folder)
        caught: BaseException | None = None
    except Exception as error:
        caught = error
    _watching = False
    seconds = time.perf_counter() - start
    grown = _peak_kilobytes() - before
    assert caught is not None, "it was loaded"
    assert type(caught) is kind, repr(caught)
    assert re.search(message, str(caught))
    assert watched == []
    assert seconds < MOST_SECONDS
    assert grown < MOST_KILOBYTES
    assert len(str(caught)) < 2000


def test_the_watch_would_see_harm(watched: list[str], tmp_path: Path) -> None:
    """Else an empty list of events would prove nothing."""
    pickle.loads(pickle.dumps(Path("x")))
    exec("1 + 1")  # noqa: S102
    (tmp_path / "file").write_text("x")
    found = " ".join(watched)
    assert "pickle.find_class" in found
    assert "exec" in found
    assert "open for writing" in found


def test_the_good_one_loads_and_does_nothing_forbidden_either(good: Path, watched: list[str]) -> None:
    model = maas.load(good)
    assert watched == []
    assert model.task.classes == ("n", "y", "z")


@pytest.mark.skipif(not CLEAR.exists(), reason="only Linux measures the peak of a part of a run")
def test_a_peak_of_memory_would_be_seen() -> None:
    for _ in range(2):
        before = _peak_kilobytes(afresh=True)
        assert np.ones(40_000_000).sum() == 40_000_000  # 320 MB
        assert _peak_kilobytes() - before > MOST_KILOBYTES
