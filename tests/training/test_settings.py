"""maas.training.Settings: the learning rate of each step."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import nn

from maas.training import Schedule, Settings

STEPS = 40


def _settings(**changes: Any) -> Settings:
    return Settings(
        **{
            "epochs": 1,
            "batch_size": 1,
            "learning_rate": 0.5,
            "weight_decay": 0.0,
            "precision": "float32",
            "keep": "best",
            "patience": None,
            "seed": 0,
            **changes,
        }
    )


def _rates(**changes: Any) -> list[float]:
    settings = _settings(schedule=Schedule(**changes))
    return [settings.rate(step, STEPS, 1) for step in range(STEPS)]


def test_cosine_is_that_of_torch() -> None:
    """Reference: torch.optim.lr_scheduler.CosineAnnealingLR."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS)
    expected = []
    for _ in range(STEPS):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert _rates(kind="cosine") == pytest.approx(expected, rel=1e-9)


def test_one_cycle_rises_for_three_tenths_and_falls_to_almost_nothing() -> None:
    """By hand: a 25th at first, the greatest rate after 12 of 40 steps, then down to a 10,000th at the end."""
    rates = _rates(kind="one_cycle")
    assert rates[0] == pytest.approx(0.5 / 25 + 0.5 * 24 / 25 / 13)
    assert rates[12] == 0.5 == max(rates)
    assert rates[:13] == sorted(rates[:13])
    assert rates[12:] == sorted(rates[12:], reverse=True)
    assert [b - a for a, b in itertools.pairwise(rates[:12])] == pytest.approx([rates[1] - rates[0]] * 11)
    assert _settings(schedule=Schedule("one_cycle")).rate(STEPS, STEPS, 1) == pytest.approx(0.5e-4)


def test_a_constant_rate_may_warm_up() -> None:
    """By hand: a quarter of 40 steps, in elevenths."""
    assert _rates() == [0.5] * STEPS
    rates = _rates(warmup=0.25)
    assert rates[:10] == pytest.approx([0.5 * (step + 1) / 11 for step in range(10)])
    assert rates[10:] == [0.5] * 30
    assert _rates(kind="cosine", warmup=0.25)[10] == 0.5


def test_a_rate_is_positive_in_every_step_and_never_rises_again() -> None:
    for schedule in ("cosine", "one_cycle"):
        for steps in (1, 2, 3, 7):
            settings = _settings(schedule=Schedule(schedule))
            assert all(0 < settings.rate(step, steps, 1) <= 0.5 for step in range(steps))
            assert settings.rate(steps + 3, steps, 1) <= settings.rate(steps - 1, steps, 1)
