"""The training loop against references: what a step, an average, a schedule and a precision come to."""

from __future__ import annotations

import copy
import multiprocessing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn

import maas
from maas.data import from_arrays
from maas.task import Batch, Classification, Regression
from maas.training import Optimizer, Settings
from maas.training._feed import Resident
from maas.training._freeze import Pace
from maas.training._loop import train
from maas.training._mean_loss import mean_loss
from maas.training._plan import Plan
from maas.training._world import World

from .by_hand import CPU, SGD, assert_same, random_rows, small_network, trained, trained_by_hand

LENGTHS = (32, 64, 70, 96, 97, 100, 103, 127, 129)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("num_rows", LENGTHS)
def test_accumulating_is_one_large_batch(num_rows: int, optimizer: str) -> None:
    """Reference: batches of 32 in the same order, in float64; the last window is ragged but for 32, 64 and 96 rows.

    Where one row is over after 32s, it joins the step before there, and with 8 x 4 the pass before: both one step.
    """
    parts, whole = small_network(), small_network()
    rows = random_rows(num_rows)
    outcomes = [
        trained(parts, rows, batch_size=8, accumulate=4, optimizer=Optimizer(optimizer), epochs=2),
        trained(whole, rows, batch_size=32, optimizer=Optimizer(optimizer), epochs=2),
    ]
    assert_same(parts, whole)
    losses = [[record["train_loss"] for record in outcome.history] for outcome in outcomes]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


def test_accumulating_is_one_large_batch_in_float32_too() -> None:
    """Reference: as above; float32 rounds at 6e-8, and steps that are added up in another order differ by a few."""
    for num_rows in (70, 100):
        parts, whole = small_network().float(), small_network().float()
        rows = random_rows(num_rows)
        small = Batch({"x": rows.inputs["x"].float()}, None if rows.target is None else rows.target.float())
        trained(parts, small, batch_size=8, accumulate=4, optimizer=SGD)
        trained(whole, small, batch_size=32, optimizer=SGD)
        assert_same(parts, whole, rtol=1e-6)


@pytest.mark.parametrize(
    "task",
    [
        Classification((0, 1, 2), label_smoothing=0.2),
        Classification((0, 1, 2), class_weights=(0.5, 3.0, 1.5)),
        Classification((0, 1), label_smoothing=0.1, class_weights=(0.5, 3.0)),
    ],
)
def test_smoothing_and_weights_go_with_accumulating(task: Classification) -> None:
    """Reference: torch's own losses of a batch of 32, written out; a weighted mean is over rows, not over weights."""
    parts, plain = (small_network(task.num_outputs) for _ in range(2))
    rows = random_rows(100, len(task.classes))

    def step(network: nn.Module, batch: Batch, optimizer: Any) -> None:
        logits, target = network(**batch.inputs), batch.target
        assert target is not None
        weights = torch.tensor(task.class_weights or [1.0] * len(task.classes), dtype=torch.float64)
        if task.num_outputs == 1:
            logits = torch.cat([torch.zeros_like(logits), logits], dim=1)  # a sigmoid is a softmax against 0
        losses = nn.functional.cross_entropy(logits, target, reduction="none", label_smoothing=task.label_smoothing)
        (losses * weights[target]).mean().backward()

    trained(parts, rows, task, batch_size=8, accumulate=4, optimizer=SGD)
    trained_by_hand(plain, rows, step, torch.optim.SGD, batch_size=32, momentum=0.9)
    assert_same(parts, plain, rtol=1e-7)  # weights of classes are float32


@dataclass(frozen=True)
class Tokens(Regression):
    """The loss of a row is a sum over its tokens."""

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        assert batch.target is not None
        valid = torch.arange(batch.inputs["x"].shape[1]) < batch.inputs["x_lengths"][:, None]
        errors: torch.Tensor = network(batch.inputs["x"])[:, :, 0] - batch.target[:, None]
        return (errors.square() * valid).sum(dim=1)

    def units(self, batch: Batch) -> torch.Tensor:
        return batch.inputs["x_lengths"]


def _tokens(rows: int) -> Batch:
    generator = torch.Generator().manual_seed(rows)
    x = torch.randn(rows, 12, 4, generator=generator, dtype=torch.float64)
    lengths = torch.randint(1, 13, (rows,), generator=generator)
    return Batch({"x": x, "x_lengths": lengths}, torch.randn(rows, generator=generator, dtype=torch.float64))


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("num_rows", [48, 65, 77])
def test_losses_of_tokens_are_averaged_over_the_tokens_of_a_step(num_rows: int, accumulate: int) -> None:
    """Reference: by hand, the sum of all losses of a step's rows over the number of their tokens."""
    rows, task = _tokens(num_rows), Tokens()
    ours, plain = (nn.Linear(4, 1).double() for _ in range(2))
    plain.load_state_dict(ours.state_dict())
    outcome = trained(ours, rows, task, batch_size=8, accumulate=accumulate, optimizer=SGD, validation=rows)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
    shown = []
    for window in Plan(num_rows, 8, accumulate, 0, rows.lengths()).windows(1):
        some = rows[torch.cat(window)]
        optimizer.zero_grad()
        loss = task.loss(plain, some).sum() / some.inputs["x_lengths"].sum()
        loss.backward()
        optimizer.step()
        count = int(some.inputs["x_lengths"].sum())
        shown.append((loss.item() * count, count))
    assert_same(ours, plain, rtol=1e-6)  # how many tokens there are is told in float32
    assert sum(count for _, count in shown) == int(rows.inputs["x_lengths"].sum())
    assert outcome.history[0]["train_loss"] == pytest.approx(
        sum(loss for loss, _ in shown) / sum(count for _, count in shown), rel=1e-6
    )
    with torch.no_grad():
        expected = task.loss(plain, rows).sum() / rows.inputs["x_lengths"].sum()
    assert outcome.history[0]["validation_loss"] == pytest.approx(float(expected), rel=1e-6)


def _of_two(rank: int, folder: Path, rows: Batch, batch_size: int, accumulate: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    network, world = _linear(), World(rank, 2, dist.group.WORLD)
    settings = Settings(1, batch_size, accumulate, optimizer=SGD, learning_rate=0.05, keep="last")
    plan = Plan(len(rows), batch_size, accumulate, 0, rows.lengths())
    outcome = train(network, Tokens(), Resident(rows, CPU, world), rows, plan, settings, world=world)
    torch.save((network.state_dict(), outcome.history), folder / f"{rank}.pt")
    dist.destroy_process_group()


def _linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(4, 1).double()


@pytest.mark.parametrize(("num_rows", "batch_size", "accumulate"), [(9, 1, 1), (17, 5, 2)])
def test_tokens_are_counted_over_processes_also_where_one_has_no_rows(
    num_rows: int, batch_size: int, accumulate: int, tmp_path: Path
) -> None:
    """Reference: one process. With a row a batch the second process goes along with rows that do not count."""
    rows, alone = _tokens(num_rows), _linear()
    expected = trained(alone, rows, Tokens(), rows, batch_size=batch_size, accumulate=accumulate, optimizer=SGD).history
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_of_two, args=(rank, tmp_path, rows, batch_size, accumulate)) for rank in (0, 1)]
    for process in both:
        process.start()
    try:
        for process in both:
            process.join(30)
        assert [process.exitcode for process in both] == [0, 0]
    finally:
        for process in both:
            process.kill()
    for rank in (0, 1):
        tensors, history = torch.load(tmp_path / f"{rank}.pt")
        for name, tensor in alone.state_dict().items():
            torch.testing.assert_close(tensors[name], tensor, rtol=1e-6, atol=1e-9)
        for name in ("train_loss", "validation_loss"):
            assert history[0][name] == pytest.approx(expected[0][name], rel=1e-6)


@pytest.mark.parametrize("most", [1e-3, 0.3, 1e3])
def test_gradients_are_clipped_as_torch_clips_them(most: float) -> None:
    """Reference: torch.nn.utils.clip_grad_norm_ in a plain loop, over parts of several rates and types too."""
    ours, plain = small_network(), small_network()
    rows = random_rows(60)
    norms = []

    def step(network: nn.Module, batch: Batch, optimizer: Any) -> None:
        Regression().loss(network, batch).mean().backward()
        norms.append(float(nn.utils.clip_grad_norm_(network.parameters(), most)))

    trained(ours, rows, optimizer=SGD, clip_norm=most)
    trained_by_hand(plain, rows, step, torch.optim.SGD, momentum=0.9)
    assert_same(ours, plain)
    assert len(norms) == 8
    assert most == 0.3 or (min(norms) > most) == (most < 0.1)


def test_the_norm_is_of_all_pieces_together() -> None:
    """Reference: as above; each part has a rate of its own, so that it is a tensor of its own."""
    ours, plain = small_network(), small_network()
    rows = random_rows(60)

    def step(network: nn.Module, batch: Batch, optimizer: Any) -> None:
        Regression().loss(network, batch).mean().backward()
        nn.utils.clip_grad_norm_(network.parameters(), 0.3)

    settings = Settings(1, 8, optimizer=SGD, learning_rate=0.1, clip_norm=0.3, keep="last")
    pace = Pace(factors=dict.fromkeys(("hidden", "output"), 0.5) | {"output.bias": 0.25})
    train(ours, Regression(), Resident(rows, CPU), None, Plan(60, 8, 1, 0), settings, pace=pace)
    optimizer = torch.optim.SGD(
        [{"params": [one], "lr": 0.025 if name == "output.bias" else 0.05} for name, one in plain.named_parameters()],
        momentum=0.9,
        weight_decay=0.01,
    )
    for (index,) in Plan(60, 8, 1, 0).windows(1):
        optimizer.zero_grad()
        step(plain, rows[index], optimizer)
        optimizer.step()
    assert_same(ours, plain)


@pytest.mark.parametrize("ema", [0.0, 0.5, 0.97])
def test_the_average_of_weights_follows_its_formula(ema: float) -> None:
    """Reference: by hand, a <- a d + w (1 - d) with d = min(ema, (1 + n) / (10 + n)) after step n = 1, 2, ...

    The weights themselves learn as if there were no average; the average judges, is kept and answers.
    """
    averaged, free, plain = small_network(), small_network(), small_network()
    rows, validation = random_rows(60), random_rows(30)
    averages = {name: one.detach().clone() for name, one in plain.named_parameters()}
    steps, losses, best = 0, [], {}

    outcome = trained(averaged, rows, validation=validation, ema=ema, epochs=4, keep="best", learning_rate=0.3)
    trained(free, rows, epochs=4, learning_rate=0.3)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=0.3, weight_decay=0.01)
    for epoch in range(1, 5):
        for (index,) in Plan(60, 8, 1, 0).windows(epoch):
            optimizer.zero_grad()
            Regression().loss(plain, rows[index]).mean().backward()
            optimizer.step()
            steps += 1
            decay = min(ema, (1 + steps) / (10 + steps))
            for name, one in plain.named_parameters():
                averages[name] = averages[name] * decay + one.detach() * (1 - decay)
        twin = copy.deepcopy(plain)
        twin.load_state_dict(averages)
        losses.append(mean_loss(twin, Regression(), validation))
        if losses[-1] == min(losses):
            best = copy.deepcopy(averages)
    assert_same(free, plain, rtol=1e-9)
    assert [record["validation_loss"] for record in outcome.history] == pytest.approx(losses, rel=1e-9)
    assert outcome.best_epoch == 1 + int(np.argmin(losses))
    for name, tensor in averaged.state_dict().items():
        torch.testing.assert_close(tensor, best[name], rtol=1e-9, atol=1e-9)


def test_a_model_answers_by_its_averaged_weights() -> None:
    """Reference: the validation loss of the last epoch, from the answers of the model that was kept."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 4))
    train_rows, held_out = from_arrays(x[:40], x[:40, 0]), from_arrays(x[40:], x[40:, 0])
    recipe = maas.recipe(maas.nn.MLP, hidden=(6,))
    settings: dict[str, Any] = {"epochs": 3, "keep": "last", "device": "cpu", "progress": False, "learning_rate": 0.05}
    averaged = maas.fit(recipe, train_rows, held_out, ema=0.9, **settings)
    plain = maas.fit(recipe, train_rows, held_out, **settings)
    losses = [model.card["training"]["history"][-1]["validation_loss"] for model in (averaged, plain)]
    assert losses[0] != losses[1]
    for model, loss in zip((averaged, plain), losses, strict=True):
        errors = (model.predict(held_out)["value"] - held_out.target) / model.task.scale  # type: ignore[attr-defined]
        assert np.square(errors).mean() == pytest.approx(loss, rel=1e-5)
    assert [record["train_loss"] for record in averaged.card["training"]["history"]] == pytest.approx(
        [record["train_loss"] for record in plain.card["training"]["history"]], rel=1e-6
    )


def test_the_best_epoch_is_kept_or_the_last() -> None:
    """Reference: runs of as many epochs as the best had, and as all have."""
    rows, validation = random_rows(40), random_rows(30)
    settings: dict[str, Any] = {"learning_rate": 0.2, "validation": validation}
    best = small_network()
    outcome = trained(best, rows, epochs=12, keep="best", **settings)
    losses = [record["validation_loss"] for record in outcome.history]
    assert 1 <= outcome.best_epoch == 1 + int(np.argmin(losses)) < 12
    until_then, last, all_of_it = small_network(), small_network(), small_network()
    trained(until_then, rows, epochs=outcome.best_epoch, **settings)
    assert trained(last, rows, epochs=12, keep="last", **settings).best_epoch == 12
    trained(all_of_it, rows, epochs=12, learning_rate=0.2)
    assert_same(best, until_then, rtol=0.0)
    assert_same(last, all_of_it, rtol=0.0)
