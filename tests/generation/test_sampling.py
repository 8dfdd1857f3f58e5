"""Sampling against a plain reference and the logits processors of `transformers`."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from maas.generation import Request
from maas.generation._sampling import Draw, pick

OPTIONS: list[dict[str, Any]] = [
    {"temperature": 1.0},
    {"temperature": 0.6},
    {"temperature": 1.3, "top_k": 5},
    {"temperature": 1.0, "top_k": 1000},
    {"temperature": 1.0, "top_p": 0.5},
    {"temperature": 0.9, "top_k": 6, "top_p": 0.8},
    {"temperature": 1.0, "top_p": 1e-6},
    {"temperature": 1.1, "repetition_penalty": 1.8},
    {"temperature": 0.7, "top_k": 8, "top_p": 0.9, "repetition_penalty": 0.6},
]
SEEN = [3, 3, 7, 0]


def logits(seed: int = 0, size: int = 20) -> torch.Tensor:
    return 2 * torch.randn(size, generator=torch.Generator().manual_seed(seed))


def shares(options: dict[str, Any]) -> torch.Tensor:
    """Probabilities by the processors of `transformers`, in its own order."""
    t = pytest.importorskip("transformers")
    steps = t.LogitsProcessorList([t.RepetitionPenaltyLogitsProcessor(options.get("repetition_penalty", 1.0))])
    steps.append(t.TemperatureLogitsWarper(options["temperature"]))
    if "top_k" in options:
        steps.append(t.TopKLogitsWarper(options["top_k"]))
    if "top_p" in options:
        steps.append(t.TopPLogitsWarper(options["top_p"]))
    found: torch.Tensor = steps(torch.tensor([SEEN]), logits()[None].clone())[0].softmax(-1)
    return found


@pytest.mark.parametrize("options", OPTIONS)
def test_tokens_come_as_often_as_the_processors_of_transformers_say(options: dict[str, Any]) -> None:
    """4,000 draws of fixed seeds: none where theirs has none, and Pearson's statistic below its 99.99 % point."""
    count = 4_000
    request = Request(SEEN[:3], **options)
    drawn = pick(logits().expand(count, -1), [Draw(request, seed, SEEN[3:]) for seed in range(count)])
    found = torch.bincount(drawn, minlength=20).double()
    wanted = shares(options).double() * count
    assert not found[wanted == 0].any()
    common = wanted > 0
    statistic = float(((found - wanted)[common] ** 2 / wanted[common]).sum())
    assert statistic < 1 + 2.5 * (int(common.sum()) - 1) + 14  # above chi-squared's at 1 to 19 degrees of freedom


def test_no_temperature_takes_the_likeliest() -> None:
    rows = torch.stack([logits(seed) for seed in range(5)])
    assert torch.equal(pick(rows, [Draw(Request([0]), 0, [])] * 5), rows.argmax(-1))


@pytest.mark.parametrize("penalty", [0.5, 1.0, 2.5])
def test_repetition_is_penalised_as_in_transformers(penalty: float) -> None:
    t = pytest.importorskip("transformers")
    rows = torch.stack([logits(seed, 8) for seed in range(50)])
    wanted = t.RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([SEEN] * 50), rows.clone()).argmax(-1)
    assert torch.equal(pick(rows, [Draw(Request(SEEN[:2], repetition_penalty=penalty), 0, SEEN[2:])] * 50), wanted)


def test_neighbours_change_no_draw() -> None:
    rows = torch.stack([logits(seed) for seed in range(len(OPTIONS))])
    draws = [Draw(Request(SEEN, **options), number, [1] * number) for number, options in enumerate(OPTIONS)]
    together = pick(rows, draws)
    alone = [int(pick(rows[number : number + 1], draws[number : number + 1])) for number in range(len(draws))]
    assert together.tolist() == alone


def test_each_step_draws_anew_and_a_seed_repeats_it() -> None:
    flat = torch.zeros(64, 1_000)
    draws = [Draw(Request([0], temperature=1.0), 5, [0] * step) for step in range(64)]
    first, again = pick(flat, draws), pick(flat, draws)
    assert torch.equal(first, again)
    assert len(set(first.tolist())) > 50
