"""Two processes under torchrun, and what they and one alone train."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import maas

ROOT = Path(maas.__file__).parent.parent


CASES = '''
import contextlib, hashlib, io, json, sys, warnings
from pathlib import Path
import numpy as np
import torch
import maas
from maas.data import from_arrays, read_interactions, read_sequences
from maas.task import Classification, Ranking, task
from maas.training import rank

@task("weighted")
class Weighted(Classification):
    """The loss of a row is a sum over as many units as its first number says."""

    def units(self, batch):
        return 1 + next(iter(batch.inputs.values()))[:, 0].abs().floor()

    def loss(self, network, batch):
        return super().loss(network, batch) * self.units(batch)

@maas.nn.network("branching")
class Branching(torch.nn.Module):
    """A large part of it answers only batches that hold a large number; its weights start as numpy draws them."""

    def __init__(self):
        super().__init__()
        self.always, self.seldom = torch.nn.Linear(5, 1), torch.nn.Linear(5, 2**13)
        self.always.weight.data[:] = torch.from_numpy(np.random.default_rng().normal(size=(1, 5)))

    def forward(self, x):
        return self.always(x) + (self.seldom(x).mean(1, keepdim=True) if x.max() > 2.5 else 0)

draw = np.random.default_rng(0)
X = draw.normal(size=(112, 5)).astype(np.float32)
Y = np.where(X[:, 0] * X[:, 1] + X[:, 2] > 0, "yes", "no")
TABLE = from_arrays(X[:101], Y[:101]), from_arrays(X[101:], Y[101:])  # neither is a multiple of two
FEW = from_arrays(X[:15], Y[:15])
SERIES = [draw.normal(size=(length, 3)).astype(np.float32) for length in draw.integers(2, 9, 50)]
SEQUENCES = read_sequences(SERIES[:41], target=list(Y[:41])), read_sequences(SERIES[41:], target=list(Y[41:50]))
CLICKS = {"user": [f"u{u}" for u in draw.integers(0, 20, 300)], "item": [f"i{i}" for i in draw.integers(0, 30, 300)]}
MLP = maas.recipe(maas.nn.MLP, hidden=(8, 8))
SETTINGS = {"epochs": 3, "batch_size": 12, "learning_rate": 0.01, "device": "cpu", "progress": False}
CASES = {
    "table": (MLP, *TABLE, {"accumulate": 2, "clip_norm": 0.5, "ema": 0.9}),
    "sgd": (MLP, *TABLE, {"optimizer": "sgd"}),
    "batch of one": (MLP, FEW, TABLE[1], {"batch_size": 1}),
    "lengths": (maas.recipe(maas.nn.RNN, hidden_size=6), *SEQUENCES, {}),
    "ranking": (
        maas.recipe(maas.nn.MatrixFactorization, embedding_dim=4),
        read_interactions(CLICKS), None,
        {"task": Ranking.with_options(loss="softmax")},
    ),
    "units": (MLP, *TABLE, {"task": Weighted, "accumulate": 2, "clip_norm": 0.5}),
    "units of one": (MLP, FEW, TABLE[1], {"task": Weighted, "batch_size": 1}),
    "bad row": (MLP, *TABLE, {"non_finite": "skip", "accumulate": 2}),
    "batch statistics": (maas.recipe(maas.nn.MLP, hidden=(8,), normalization="batch", dropout=0.2), *TABLE, {}),
}

def spoilt(batch, index, seed, epoch):
    """A batch with no finite number in row 5, which stands in the share of one process."""
    inputs = {name: torch.where((index == 5)[:, None], torch.nan, one) for name, one in batch.inputs.items()}
    return maas.task.Batch(inputs, batch.target)

def fit(name, **more):
    recipe, train, validation, settings = CASES[name]
    if name == "bad row":
        more = {"augment": spoilt, **more}
    return maas.fit(recipe, train, validation, **{**SETTINGS, **settings, **more})

def told(name, model):
    state = model.network.state_dict()
    training, test = model.card["training"], CASES[name][2]
    return {
        "types": sorted({type(tensor).__name__ for tensor in state.values()}),
        "sha256": hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in state.values())).hexdigest(),
        "weights": {key: tensor.flatten().tolist() for key, tensor in state.items()},
        "losses": [[one["train_loss"], one["validation_loss"]] for one in training["history"]],
        "skipped": training["skipped_steps"],
        "processes": training["processes"],
        "scores": {} if test is None else model.evaluate(test).scores,
    }

def caught(function, *arguments, **named):
    """What a call raised."""
    try:
        function(*arguments, **named)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
'''


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return {**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def start(script: Path, *arguments: object, options: tuple[str, ...] = (), **more: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *options]
    return subprocess.Popen(
        [*command, script, *map(str, arguments)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **more,
    )


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
