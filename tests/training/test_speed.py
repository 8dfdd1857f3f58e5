"""How steps are computed: each way ends alike, and what does not serve is said. CUDA graphs: test_cuda.py."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import maas
from maas.data import read_texts
from maas.training import Optimizer, Run

MLP = maas.recipe(maas.nn.MLP, hidden=(16,), normalization="batch")


def _data(rows: int = 330) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(rows, 8)).astype(np.float32)
    return x, (x @ generator.normal(size=(8, 3))).argmax(axis=1)


def _fit(recipe: maas.Recipe = MLP, rows: Any = None, **settings: Any) -> maas.Model:
    options = {"epochs": 3, "batch_size": 32, "device": "cpu", "progress": False, **settings}
    return maas.fit(recipe, _data() if rows is None else rows, **options)


def _gap(one: maas.Model, other: maas.Model) -> float:
    pairs = zip(one.network.state_dict().values(), other.network.state_dict().values(), strict=True)
    return max((a.double() - b.double()).abs().max().item() for a, b in pairs)


@pytest.mark.parametrize(
    "settings",
    [
        {"recipe": maas.recipe(maas.nn.MLP, hidden=(16,)), "schedule": "cosine", "clip_norm": 0.5, "ema": 0.9},
        {"optimizer": Optimizer("sgd", nesterov=True), "rate_factors": {"hidden": 0.1}},
        {"optimizer": Optimizer("adam", betas=(0.8, 0.9), eps=1e-3)},
    ],
)
def test_a_compiled_step_is_the_eager_one_but_for_rounding(settings: dict[str, Any]) -> None:
    """Reference: the same run, eager. The last batch of an epoch is smaller, and goes eagerly in both.

    AdamW makes steps of rounding errors where a gradient is 0, as that of a bias before batch normalisation: not there.
    """
    eager, compiled = _fit(**settings), _fit(**settings, speed="compile")
    assert compiled.card["training"]["speed"]["chosen"] == "compile"
    assert _gap(eager, compiled) < 1e-5


def test_a_race_keeps_the_fastest_that_agrees_and_leaves_no_trace() -> None:
    model = _fit(speed="auto")
    record = model.card["training"]["speed"]
    assert record["chosen"] == min(record["microseconds"], key=record["microseconds"].get)
    assert record["left_out"].keys() == {"graph", "compile+graph"}
    assert record["disagreeing"] == []
    assert _gap(model, _fit(speed=record["chosen"])) == 0


def test_a_resumed_run_keeps_what_it_chose(tmp_path: Any) -> None:
    with pytest.raises(SystemExit):
        _fit(speed="auto", run=Run(tmp_path / "run", stop_after=5))
    chosen = _fit(speed="auto", run=Run(tmp_path / "run", resume=True, stop_after=100)).card["training"]["speed"]
    assert "microseconds" not in chosen  # nothing was raced again
    assert _gap(_fit(speed=chosen["chosen"]), _fit(speed="auto", run=Run(tmp_path / "run", resume=True))) == 0


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"speed": "graph"}, "graphs are CUDA's"),
        ({"speed": "compile", "accumulate": 2}, "`accumulate` is above 1"),
        ({"speed": "compile", "precision": "float16"}, "float16 is scaled step by step"),
        ({"speed": "compile", "non_finite": "skip"}, 'non_finite="skip" is decided step by step'),
    ],
)
def test_what_does_not_serve_is_said_and_steps_run_eagerly(settings: dict[str, Any], reason: str) -> None:
    with pytest.warns(
        UserWarning, match=f'speed="{settings["speed"]}" does not serve here: {reason}.*; steps run eager'
    ):
        model = _fit(**settings)
    assert model.card["training"]["speed"]["chosen"] == "eager"
    assert _gap(model, _fit(**{**settings, "speed": "eager"})) == 0


def test_recurrent_and_ragged_networks_are_not_compiled() -> None:
    texts = ["a good film", "a bad plot indeed", "good", "so bad it hurts the eye"] * 20
    rows = read_texts((texts, [("good" in one and "yes") or "no" for one in texts]))
    for network, reason in ((maas.nn.TextRNN, "recurrent layers|shapes differ"), (maas.nn.TextCNN, "shapes differ")):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            model = _fit(maas.recipe(network), rows, speed="compile", epochs=1, batch_size=8)
        assert model.card["training"]["speed"]["chosen"] == "eager"
        assert any(part in str(one.message) for one in said for part in reason.split("|"))


def test_a_machine_without_a_compiler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reference: a fresh network, so that nothing compiled before serves it."""
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", ("/nowhere/c++",))
    monkeypatch.setenv("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")
    recipe = maas.recipe(maas.nn.MLP, hidden=(13, 7))
    with pytest.warns(UserWarning, match='speed="compile" does not serve here: .*; steps run eagerly'):
        model = _fit(recipe, speed="compile")
    assert _gap(model, _fit(recipe)) == 0
