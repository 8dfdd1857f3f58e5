"""Checkpoints of a run: damaged, gone, of another format, as many as are kept, and a full disk."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import maas
from maas.errors import RunError
from maas.storage import sha256
from maas.training import Run

from .runs import fit, leftovers, same, stopped


def _checkpoints(folder: Path) -> list[int]:
    return sorted(int(one.name.removeprefix("step-")) for one in folder.glob("checkpoints/step-*"))


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path) -> None:
    stopped(tmp_path / "run", 2)
    newest = tmp_path / "run" / "checkpoints" / "step-0000000002"
    numbers = {**json.loads((newest / "state.json").read_text()), "format": 2}
    old, new = sha256((newest / "state.json").read_bytes()), sha256(json.dumps(numbers).encode())
    (newest / "state.json").write_text(json.dumps(numbers))
    (newest / "SHA256SUMS").write_text((newest / "SHA256SUMS").read_text().replace(old, new))
    with pytest.raises(RunError, match="step-0000000002 has format 2, this version of maas reads 1"):
        fit(Run(tmp_path / "run", resume=True))


def _delete_half(checkpoint: Path) -> None:
    (checkpoint / "state.safetensors").unlink()


def _truncate(checkpoint: Path) -> None:
    os.truncate(checkpoint / "state.safetensors", 100)


def _flip(checkpoint: Path, name: str = "state.safetensors") -> None:
    data = bytearray((checkpoint / name).read_bytes())
    data[len(data) // 2] ^= 0x80
    (checkpoint / name).write_bytes(data)


def _flip_the_numbers(checkpoint: Path) -> None:
    _flip(checkpoint, "state.json")


def _flip_the_sums(checkpoint: Path) -> None:
    _flip(checkpoint, "SHA256SUMS")


@pytest.mark.parametrize("damage", [_delete_half, _truncate, _flip, _flip_the_numbers, _flip_the_sums])
@pytest.mark.parametrize("keep", [1, 2])
def test_a_damaged_checkpoint_is_passed_over(damage: Any, keep: int, tmp_path: Path) -> None:
    """The older one is taken, the rest is the same to the bit, and the damaged one goes with the next save."""
    folder = stopped(tmp_path / "run", 5, keep=5)
    for step in (4, 5):
        damage(folder / "checkpoints" / f"step-000000000{step}")
    with pytest.warns(UserWarning, match="step-000000000[45] is broken: .*; an older one is looked for") as told:
        stopped(folder, 1, keep=keep, resume=True, every=99)
    assert len([one for one in told if "is broken" in str(one.message)]) == 2
    assert _checkpoints(folder) == [3, 4][-keep:]
    assert (folder / "latest").read_text() == "checkpoints/step-0000000004\n"
    assert same(fit(Run(folder, resume=True)), fit())


def test_with_no_checkpoint_whole_a_run_is_not_gone_on_with(tmp_path: Path) -> None:
    folder = stopped(tmp_path / "run", 3, keep=1)
    _truncate(folder / "checkpoints" / "step-0000000003")
    message = f"no checkpoint in {folder}/checkpoints is whole; begin anew in another folder, or remove {folder}"
    with pytest.warns(UserWarning, match="step-0000000003 is broken"), pytest.raises(RunError, match=message):
        fit(Run(folder, resume=True))
    shutil.rmtree(folder / "checkpoints")
    with pytest.warns(UserWarning, match="step-0000000003, .* is gone"), pytest.raises(RunError, match=message):
        fit(Run(folder, resume=True))


def test_a_latest_checkpoint_that_is_gone_is_told(tmp_path: Path) -> None:
    folder = stopped(tmp_path / "run", 3)
    shutil.rmtree(folder / "checkpoints" / "step-0000000003")
    with pytest.warns(UserWarning, match="step-0000000003, the newest checkpoint of the run, is gone"):
        assert same(fit(Run(folder, resume=True)), fit())


def test_a_checkpoint_a_step_and_as_many_as_are_to_be_kept(tmp_path: Path) -> None:
    assert _checkpoints(stopped(tmp_path / "all", 9, keep=99)) == list(range(1, 10))
    assert _checkpoints(stopped(tmp_path / "three", 9, keep=3)) == [7, 8, 9]
    assert _checkpoints(stopped(tmp_path / "last", 9, every=3600)) == [9]


@contextlib.contextmanager
def _largest_file(num_bytes: int) -> Iterator[None]:
    """Writing more fails, as on a disk that is full; Python ignores SIGXFSZ."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_leaves_the_older_checkpoints(tmp_path: Path) -> None:
    """The limit on a file's size stands for the disk: the checkpoint of half a megabyte is over it, run.json is not."""
    large = {"recipe": maas.recipe(maas.nn.MLP, hidden=(150, 150))}
    folder = stopped(tmp_path / "run", 3, **large)
    before = {path: path.read_bytes() for path in folder.rglob("step-*/*")}
    assert len(before) == 6
    with (
        _largest_file(1 << 18),
        pytest.raises(RunError, match=r"step-0000000004 cannot be written: File too large; o"),
    ):
        stopped(folder, 3, resume=True, **large)
    assert {path: path.read_bytes() for path in folder.rglob("step-*/*")} == before
    assert (folder / "latest").read_text() == "checkpoints/step-0000000003\n"
    (folder / "checkpoints" / ".step-0000000004.tmp-0123456789ab").mkdir()  # had it been killed in the middle
    (folder / ".latest.tmp-0123456789ab").touch()
    stopped(folder, 1, resume=True, **large)
    assert _checkpoints(folder) == [3, 4]
    assert not leftovers(folder)
