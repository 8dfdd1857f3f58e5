"""A training killed over and over, and gone on with each time, ends with the very weights of one left alone.

    python benchmarks/faults/resume.py               50 kills of each network; 40 seconds on one core
    python benchmarks/faults/resume.py --kills 6     9 seconds

Two networks train with dropout, moving averages, a cosine and three batches a step: an MLP with batch normalisation,
and an LSTM over sequences of many lengths. Their process kills itself with SIGKILL at a moment drawn at random: between
two steps; within one, when some of its batches are done; or while a checkpoint is saved, before or after one of the
calls of fsync that this takes. The next process goes on. In the end the SHA-256 of the weights, and that of all tensors
of the last checkpoint (optimizer, averages, best epoch, generators), must be those of a process that was left alone.
One thread. Exits with 1 where they are not.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

import maas
import maas.storage
from maas.data import Rows, from_arrays, read_sequences
from maas.storage import sha256
from maas.training import Run, _checkpoint
from maas.training._step import Eager, Taken

BETWEEN, WITHIN, SAVING = "between steps", "within a step", "while saving"
KINDS = (BETWEEN, WITHIN, SAVING)
ROWS, BATCH, ACCUMULATE, STEPS_AN_EPOCH = 200, 12, 3, 5  # 180 rows learn
MOST_STEPS_AHEAD = 3
SYNCS_A_SAVE = 7  # three files, their folder, the one above; the file that names the newest checkpoint, its folder


class Death:
    """When this process kills itself.

    Args:
        kind: of the moment; None: never.
        ahead: steps of this process before the one in question.
        at: of the passes in that step, or of the calls of fsync in its save, from 1; negative: after that call.
    """

    def __init__(self, kind: str | None = None, ahead: int = 0, at: int = 0) -> None:
        self.kind, self.ahead, self.at = kind, ahead, at
        self.steps = self.passes = self.syncs = 0

    def step_begins(self) -> None:
        self.steps, self.passes, self.syncs = self.steps + 1, 0, 0
        self._strike(BETWEEN, 0)

    def pass_begins(self) -> None:
        self.passes += 1
        self._strike(WITHIN, self.passes)

    def sync(self, path: Path) -> None:
        self.syncs += 1
        self._strike(SAVING, self.syncs)
        SYNC(path)
        self._strike(SAVING, -self.syncs)

    def _strike(self, kind: str, at: int) -> None:
        if self.steps > self.ahead and (kind, at) == (self.kind, self.at):
            os.kill(os.getpid(), signal.SIGKILL)


SYNC, RUN = maas.storage.sync, Eager.run
DEATH = Death()


def run_step(step: Eager, window: Sequence[Any], num_rows: int) -> Taken:
    DEATH.step_begins()
    return RUN(step, window, num_rows)


@maas.network("faults.mlp")
class MortalMLP(maas.nn.MLP):
    def __call__(self, *values: Any, **inputs: Any) -> Any:
        DEATH.pass_begins()
        return super().__call__(*values, **inputs)


@maas.network("faults.rnn")
class MortalRNN(maas.nn.RNN):
    def __call__(self, *values: Any, **inputs: Any) -> Any:
        DEATH.pass_begins()
        return super().__call__(*values, **inputs)


def vectors() -> Rows:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS, 8))
    return from_arrays(x, (x[:, 0] * x[:, 1] > 0).astype(int))


def sequences() -> Rows:
    generator = np.random.default_rng(0)
    found = [generator.normal(size=(length, 3)) for length in generator.integers(2, 15, ROWS)]
    return read_sequences(found, target=[int(one[:, 0].sum() > 0) for one in found])


CASES = {
    "MLP": (maas.recipe(MortalMLP, hidden=(24, 24), dropout=0.3, normalization="batch"), vectors),
    "LSTM": (maas.recipe(MortalRNN, hidden_size=12, num_layers=2, dropout=0.3), sequences),
}


def train(recipe: maas.Recipe, rows: Rows, epochs: int, run: Run, death: Death) -> int | None:
    """Train in a process of its own; gives the signal that killed it, None where it came to its end."""
    global DEATH
    sys.stdout.flush()
    if (child := os.fork()) == 0:
        DEATH = death
        maas.storage.sync = death.sync
        Eager.run = run_step  # type: ignore[method-assign]
        code = 1
        try:
            maas.fit(
                recipe, rows, run=run, epochs=epochs, batch_size=BATCH, accumulate=ACCUMULATE, ema=0.95,
                schedule="cosine", device="cpu", progress=False,
            )  # fmt: skip
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"the training ended with {code}")
    return -code or None


def drawn(kind: str, generator: random.Random) -> Death:
    ahead = generator.randint(0, MOST_STEPS_AHEAD)
    if kind == WITHIN:
        return Death(kind, ahead, generator.randint(2, ACCUMULATE))
    return Death(kind, ahead, generator.choice((-1, 1)) * generator.randint(1, SYNCS_A_SAVE) if kind == SAVING else 0)


def newest(folder: Path) -> int:
    """The step of the newest checkpoint; 0 where there is none."""
    return max((int(one.name.removeprefix("step-")) for one in folder.glob("checkpoints/step-*")), default=0)


def digests(folder: Path) -> tuple[str, str]:
    """The SHA-256 of the weights in the newest checkpoint, and of all its tensors."""
    tensors, _ = _checkpoint.read(folder / "checkpoints" / _checkpoint.name_of(newest(folder)))
    weights = {name: tensor for name, tensor in tensors.items() if name.startswith("network.")}
    return sha256(safetensors.torch.save(weights)), sha256(safetensors.torch.save(tensors))


def proof(name: str, kills: int, scratch: Path, generator: random.Random) -> bool:
    """Kill and go on, compare, and print a row; gives whether all is equal."""
    recipe, read = CASES[name]
    rows = read()
    maas.fit(recipe, rows, epochs=1, device="cpu", progress=False)  # what it imports need not be imported each time
    epochs = math.ceil(((MOST_STEPS_AHEAD + 1) * kills + 4) / STEPS_AN_EPOCH)
    alone, killed = scratch / f"{name}-alone", scratch / f"{name}-killed"
    train(recipe, rows, epochs, Run(alone), Death())
    count: Counter[str] = Counter()
    resumed = []
    kinds = [KINDS[place % len(KINDS)] for place in range(kills)]
    generator.shuffle(kinds)
    for kind in kinds:
        resumed.append(newest(killed))
        if train(recipe, rows, epochs, Run(killed, resume=True, every=0), drawn(kind, generator)) is None:
            raise SystemExit(f"{name}: the training was over before it could be killed {kind}")
        count[kind] += 1
    resumed.append(newest(killed))
    train(recipe, rows, epochs, Run(killed, resume=True, every=0), Death())
    (ours, all_ours), (theirs, all_theirs) = digests(killed), digests(alone)
    within = sum(step % STEPS_AN_EPOCH > 0 for step in resumed)
    gone_on = f"{len(set(resumed))} of {newest(alone)} steps, {within} times in an epoch"
    equal = [("no", "yes")[one == other] for one, other in ((ours, theirs), (all_ours, all_theirs))]
    cells = [name, *(str(count[kind]) for kind in KINDS), gone_on, ours[:12], theirs[:12], *equal]
    print(f"| {' | '.join(cells)} |", flush=True)
    return (ours, all_ours, newest(killed)) == (theirs, all_theirs, newest(alone))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, metavar="N", help="of each network (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)  # and so no thread that a forked process would miss
    print(f"| killed | {' | '.join(KINDS)} | gone on from | SHA-256 | alone | weights equal | all tensors equal |")
    print("| --- " * 9 + "|")
    with tempfile.TemporaryDirectory(prefix="maas-resume-") as folder:
        generator = random.Random(options.seed)
        equal = [proof(name, options.kills, Path(folder), generator) for name in CASES]
    sys.exit(0 if all(equal) else 1)


if __name__ == "__main__":
    main()
