"""What only a GPU can show; skipped where there is none."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import maas
from maas.data import Rows, read_images, read_sequences, read_texts
from maas.errors import DivergedError
from maas.schema import TensorSpec
from maas.training import Run
from maas.training._feed import Resident
from maas.training._freeze import Pace
from maas.training._plan import Plan
from maas.training._settings import Settings
from maas.training._state import State
from maas.training._step import Eager
from maas.training._world import World

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

MLP = maas.recipe(maas.nn.MLP, hidden=(32, 32))


@maas.network("tests.cuda.brittle")
class Brittle(nn.Module):
    """Gives NaN for rows far off."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.normalization = nn.BatchNorm1d(in_features)
        self.output = nn.Linear(in_features, out_features)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        return {"in_features": inputs["x"].shape[0], "out_features": num_outputs}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.output(self.normalization(x))
        return torch.where(x[:, :1] > 10, torch.nan, outputs)


def _data(rows: int = 640) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(rows, 20)).astype(np.float32)
    return x, (x @ generator.normal(size=(20, 5))).argmax(axis=1)


def _fit(recipe: maas.Recipe = MLP, rows: Any = None, **settings: Any) -> maas.Model:
    options = {"epochs": 3, "batch_size": 64, "device": "cuda", "progress": False, **settings}
    return maas.fit(recipe, _data() if rows is None else rows, **options)


def _texts() -> Rows:
    generator = np.random.default_rng(0)
    words = np.array(["good", "bad", "fine", "poor", "the", "a", "film", "plot"])
    texts = [" ".join(generator.choice(words, generator.integers(3, 12))) for _ in range(320)]
    return read_texts((texts, [str("good" in text.split()) for text in texts]))


def _gap(one: maas.Model, other: maas.Model) -> float:
    pairs = zip(one.network.state_dict().values(), other.network.state_dict().values(), strict=True)
    return max((a.double() - b.double()).abs().max().item() for a, b in pairs)


@pytest.mark.parametrize("speed", ["compile", "graph", "compile+graph"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_each_way_to_compute_steps_ends_alike(speed: str, optimizer: str) -> None:
    """Reference: the same run, eager. 32-bit sums are taken in another order, so not to the bit."""
    settings: dict[str, Any] = {"optimizer": optimizer, "schedule": "cosine", "clip_norm": 1.0, "ema": 0.9}
    eager, other = _fit(**settings), _fit(**settings, speed=speed)
    assert other.card["training"]["speed"]["chosen"] == speed
    assert _gap(eager, other) < 1e-4


@pytest.mark.parametrize("precision", ["bfloat16", "tf32"])
def test_a_graph_in_another_precision(precision: str) -> None:
    eager, other = _fit(precision=precision), _fit(precision=precision, speed="graph")
    assert other.card["training"]["speed"]["chosen"] == "graph"
    assert _gap(eager, other) < 1e-2


def test_float16_scales_its_losses() -> None:
    history = _fit(precision="float16", epochs=20, learning_rate=1e-2).card["training"]["history"]
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]


def test_a_graph_skips_what_is_not_finite() -> None:
    x, y = _data()
    x[5, 0] = 50.0
    settings: dict[str, Any] = {"validation": 0, "keep": "last", "non_finite": "skip"}
    found = [_fit(maas.recipe(Brittle), (x, y), **settings, speed=speed) for speed in ("eager", "graph")]
    assert [model.card["training"]["skipped_steps"] for model in found] == [3, 3]
    assert _gap(*found) < 1e-4
    with pytest.raises(DivergedError, match="a loss is not finite"):
        _fit(maas.recipe(Brittle), (x, y), validation=0, keep="last", speed="graph")


@pytest.mark.parametrize("kind", ["dropout", "convolutions"])
def test_a_race_chooses_and_leaves_no_trace(kind: str) -> None:
    generator = np.random.default_rng(0)
    x, y = _data()
    recipe = maas.recipe(maas.nn.MLP, hidden=(32, 32), dropout=0.2)
    if kind == "convolutions":
        recipe, x = maas.recipe(maas.nn.CNN, filters=(8,)), generator.integers(0, 256, (640, 12, 12), np.uint8)
    rows = read_images((x, y)) if kind == "convolutions" else (x, y)
    model = _fit(recipe, rows, speed="auto")
    record = model.card["training"]["speed"]
    assert record["chosen"] in record["microseconds"]
    assert {"eager", "graph"} <= set(record["microseconds"])
    again = _fit(recipe, rows, speed=record["chosen"])
    if kind == "dropout":
        assert _gap(model, again) == 0


@pytest.mark.parametrize("speed", ["eager", "graph"])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_resumed_run_ends_alike_to_the_bit(speed: str, dropout: float, tmp_path: Path) -> None:
    recipe = maas.recipe(maas.nn.MLP, hidden=(32, 32), dropout=dropout)
    whole = _fit(recipe, speed=speed)
    with pytest.raises(SystemExit, match="143"):
        _fit(recipe, speed=speed, run=Run(tmp_path / "run", stop_after=12))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resumed = _fit(recipe, speed=speed, run=Run(tmp_path / "run", resume=True))
    assert _gap(whole, resumed) == 0


def test_going_on_elsewhere_is_told(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        _fit(run=Run(tmp_path / "run", stop_after=12))
    with pytest.warns(UserWarning, match="the rest will not be the same to the bit"):
        resumed = _fit(run=Run(tmp_path / "run", resume=True), device="cpu")
    assert _gap(_fit().to("cpu"), resumed) < 1e-3


def test_recurrent_networks_keep_the_layout_of_cudnn() -> None:
    """cuDNN warns where the weights of a recurrent layer are not one piece of memory; warnings are errors here."""
    generator = np.random.default_rng(0)
    sequences = [generator.normal(size=(generator.integers(4, 20), 3)) for _ in range(320)]
    rows = read_sequences(sequences, target=[str(one[:, 0].sum() > 0) for one in sequences])
    for recipe, some in ((maas.recipe(maas.nn.RNN), rows), (maas.recipe(maas.nn.TextRNN), _texts())):
        model = _fit(recipe, some, optimizer="adamw", ema=0.9, epochs=8, learning_rate=1e-2)
        assert model.card["training"]["history"][-1]["train_loss"] < 0.6


@pytest.mark.parametrize("workers", [0, 2])
def test_streamed_rows_give_the_same_weights(workers: int) -> None:
    assert _gap(_fit(), _fit(workers=workers)) == 0


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_no_step_waits_for_the_device() -> None:
    """torch's own check raises at whatever makes the host wait."""
    model = _fit(epochs=1)
    x, y = _data()
    batch = model.prepare(x).batch
    rows = type(batch)(batch.inputs, model.task.encode(y))
    settings = Settings(clip_norm=1.0, ema=0.9)
    state = State.begin(model.network, settings, Pace(), World(), sharded=False)
    state.weights.begin(1)
    feed, plan = Resident(rows, torch.device("cuda")), Plan(len(x), 32, 2, 0)
    windows = plan.windows(1)
    step = Eager(state, model.task, settings)
    step.set_rate(1e-3)
    step.run(next(iter(feed(windows, 1))), 64)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for window, portions in zip(windows, feed(windows, 1), strict=True):
            step.set_rate(1e-4 * len(window))
            step.run(portions, sum(map(len, window)))
            state.follow(0.9)
    finally:
        torch.cuda.set_sync_debug_mode("default")
