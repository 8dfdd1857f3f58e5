"""`maas fit --prove-resume`: whether a training that is killed and gone on with ends as one left alone."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maas.cli._kept import fit_with
from maas.cli._learn import given, held_out, learned
from maas.cli._print import print_json, tell
from maas.errors import DataError, RunError

if TYPE_CHECKING:
    import torch

_LEAST_STEPS, _MOST_STEPS, _BEYOND_AN_EPOCH = 12, 48, 4
_KILLS, _ATTEMPTS = 2, 5
_LOOK_SECONDS = 0.001
_EXACT, _NOT_EXACT = 0, 3


def train(options: Namespace) -> int:
    """What the proof starts: the training, up to a step, with a checkpoint after each; nothing else is kept."""
    from maas.training import Run

    steps, _, folder = options.proof.partition(":")
    recipe, rows, task = given(options)
    rows, _ = held_out(options, rows)
    run = Run(folder, resume=True, every=0, stop_after=int(steps))
    learned(fit_with(options, run), options, recipe, rows, task)
    return _EXACT


def prove_resume(options: Namespace) -> int:
    """Train twice in processes of their own, once in one go and once with kills, and compare the last checkpoints.

    Returns:
        The exit code.

    Raises:
        DataError: the network is not trained step by step, or several processes train.
        RunError: a training failed, or was over before it could be killed.
    """
    from maas.training import rank

    if rank() or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise DataError("--prove-resume starts processes of its own; call it without torchrun")
    _, rows, _ = given(options)
    rows, _ = held_out(options, rows)
    steps = _steps(options, len(rows))
    with tempfile.TemporaryDirectory(prefix="maas-prove-") as folder:
        scratch = Path(folder)
        _finish(_started(options, scratch / "whole", steps))
        steps = _newest(scratch / "whole")
        if not steps:
            raise DataError("--prove-resume is for networks that are trained step by step; this one is not")
        tell(options, f"trained for {steps} steps without interruption")
        for attempt in range(_ATTEMPTS):
            run = scratch / f"killed-{attempt}"
            kills = _train_with_kills(options, run, steps)
            if len(kills) >= _KILLS:
                break
        else:
            raise RunError(f"{steps} steps were over before the training could be killed {_KILLS} times; try again")
        for place, at in enumerate(kills, 1):
            tell(options, f"the same, killed after step {at} ({place} of {len(kills)}), and gone on with")
        ours, differing = _compared(scratch / "whole", run, steps)
    tell(options, f"weights after step {steps}: SHA-256 {ours[0]} without interruption, {ours[1]} with")
    if differing:
        tell(options, f"resume is not exact on this machine: {len(differing)} tensors differ, such as {differing[0]}")
    else:
        tell(options, "resume is exact on this machine")
    found: dict[str, Any] = {"exact": not differing, "steps": steps, "killed_after": kills, "differing": differing}
    print_json(options, {**found, "sha256": ours[0]})
    return _NOT_EXACT if differing else _EXACT


def _steps(options: Namespace, num_rows: int) -> int:
    """How many steps to take: a few, and over the end of an epoch where that is near."""
    share = 0.1 if options.validation is None else options.validation
    epoch = int(num_rows * (1 - share) / max(1, options.batch_size * options.accumulate)) + 1
    return max(_LEAST_STEPS, epoch + _BEYOND_AN_EPOCH) if epoch + _BEYOND_AN_EPOCH <= _MOST_STEPS else _LEAST_STEPS


def _started(options: Namespace, folder: Path, steps: int) -> subprocess.Popen[str]:
    """The same command in a process of its own, to take so many steps."""
    package = str(Path(__file__).parents[2])
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-P", "-m", "maas", "fit", "--proof", f"{steps}:{folder}", *options.arguments[1:]]
    return subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def _finish(process: subprocess.Popen[str]) -> None:
    """Wait for the end of a training, which came to its last step or to the one it was to stop after."""
    try:
        _, said = process.communicate()
    finally:
        process.kill()
    if process.returncode not in (0, 143):
        raise RunError(f"the training ended with exit code {process.returncode}: {said.strip()}")


def _train_with_kills(options: Namespace, folder: Path, steps: int) -> list[int]:
    """Train up to a step with SIGKILL at moments drawn at random; gives the steps that were saved by then."""
    kills: list[int] = []
    for _ in range(_KILLS):
        begun = _newest(folder)
        target = random.randint(begun + 1, begun + max(1, (steps - begun) // 2))
        process = _started(options, folder, steps - begun)
        seen, since = begun, time.monotonic()
        while process.poll() is None and seen < target:
            time.sleep(_LOOK_SECONDS)
            if (now := _newest(folder)) > seen and seen == begun:
                since = time.monotonic()
            seen = now
        if process.poll() is None:
            a_step = (time.monotonic() - since) / max(1, seen - begun)
            time.sleep(random.random() * a_step)  # in the middle of a step, or of saving one
            process.kill()
        process.communicate()
        if process.returncode != -9 or _newest(folder) >= steps:
            return kills
        kills.append(_newest(folder))
    _finish(_started(options, folder, steps - _newest(folder)))
    return kills


def _newest(folder: Path) -> int:
    """The step of the newest checkpoint; 0 where there is none."""
    return max((int(one.name.removeprefix("step-")) for one in folder.glob("checkpoints/step-*")), default=0)


def _compared(one: Path, other: Path, steps: int) -> tuple[list[str], list[str]]:
    """The SHA-256 of the weights of both after a step, and which tensors of the checkpoints differ."""
    from maas.training import _checkpoint

    tensors = [_checkpoint.read(run / "checkpoints" / _checkpoint.name_of(steps))[0] for run in (one, other)]
    names = sorted({*tensors[0], *tensors[1]})
    differing = [name for name in names if _digest(tensors[0], [name]) != _digest(tensors[1], [name])]
    weights = [name for name in names if name.startswith("network.")]
    return [_digest(found, weights) for found in tensors], differing


def _digest(tensors: dict[str, torch.Tensor], names: Sequence[str]) -> str:
    """The SHA-256 over tensors, to the bit."""
    import safetensors.torch

    from maas.storage import sha256

    return sha256(safetensors.torch.save({name: tensors[name] for name in names if name in tensors}))
