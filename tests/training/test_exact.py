"""The training loop against references: what a step, an average, a schedule and a precision come to."""

from __future__ import annotations

import copy
import multiprocessing
from collections.abc import Callable
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
from maas.task import Batch, Classification, Forecast, Regression, Task
from maas.training import Optimizer, Schedule, Settings
from maas.training._feed import Portion, Resident
from maas.training._freeze import Pace
from maas.training._loop import Outcome, mean_loss, train
from maas.training._plan import Plan
from maas.training._state import State
from maas.training._step import Eager
from maas.training._world import World

CPU = torch.device("cpu")
SGD = Optimizer("sgd", momentum=0.9)


def _network(outputs: int = 1, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return maas.nn.MLP(4, outputs, hidden=(8,)).double()


def _rows(rows: int, classes: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(rows)
    x = torch.randn(rows, 4, generator=generator, dtype=torch.float64)
    if classes:
        return Batch({"x": x}, torch.randint(0, classes, (rows,), generator=generator))
    return Batch({"x": x}, torch.randn(rows, generator=generator, dtype=torch.float64))


def _train(
    network: nn.Module, rows: Batch, task: Task | None = None, validation: Batch | None = None, **given: Any
) -> Outcome:
    settings = Settings(**{"epochs": 1, "batch_size": 8, "learning_rate": 0.05, "keep": "last", **given})
    plan = Plan(len(rows), settings.batch_size, settings.accumulate, settings.seed, rows.lengths())
    with torch.random.fork_rng(devices=[]):
        return train(network, task or Regression(), Resident(rows, CPU), validation, plan, settings)


def _by_hand(
    network: nn.Module,
    rows: Batch,
    step: Callable[[nn.Module, Batch, torch.optim.Optimizer], None],
    make: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW,
    epochs: int = 1,
    batch_size: int = 8,
    **options: Any,
) -> nn.Module:
    """A plain loop over the same batches."""
    optimizer = make(network.parameters(), **{"lr": 0.05, "weight_decay": 0.01, **options})
    network.train()
    plan = Plan(len(rows), batch_size, 1, 0)
    for epoch in range(1, epochs + 1):
        for (index,) in plan.windows(epoch):
            optimizer.zero_grad()
            step(network, rows[index], optimizer)
            optimizer.step()
    return network


def _assert_same(one: nn.Module, other: nn.Module, rtol: float = 1e-12) -> None:
    for (name, tensor), expected in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(
            tensor, expected, rtol=rtol, atol=rtol, msg=lambda text, name=name: f"{name}: {text}"
        )


LENGTHS = (32, 64, 70, 96, 97, 100, 103, 127, 129)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("num_rows", LENGTHS)
def test_accumulating_is_one_large_batch(num_rows: int, optimizer: str) -> None:
    """Reference: batches of 32 in the same order, in float64; the last window is ragged but for 32, 64 and 96 rows.

    Where one row is over after 32s, it joins the step before there, and with 8 x 4 the pass before: both one step.
    """
    parts, whole = _network(), _network()
    rows = _rows(num_rows)
    outcomes = [
        _train(parts, rows, batch_size=8, accumulate=4, optimizer=Optimizer(optimizer), epochs=2),
        _train(whole, rows, batch_size=32, optimizer=Optimizer(optimizer), epochs=2),
    ]
    _assert_same(parts, whole)
    losses = [[record["train_loss"] for record in outcome.history] for outcome in outcomes]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


def test_accumulating_is_one_large_batch_in_float32_too() -> None:
    """Reference: as above; float32 rounds at 6e-8, and steps that are added up in another order differ by a few."""
    for num_rows in (70, 100):
        parts, whole = _network().float(), _network().float()
        rows = _rows(num_rows)
        small = Batch({"x": rows.inputs["x"].float()}, None if rows.target is None else rows.target.float())
        _train(parts, small, batch_size=8, accumulate=4, optimizer=SGD)
        _train(whole, small, batch_size=32, optimizer=SGD)
        _assert_same(parts, whole, rtol=1e-6)


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
    parts, plain = (_network(task.num_outputs) for _ in range(2))
    rows = _rows(100, len(task.classes))

    def step(network: nn.Module, batch: Batch, optimizer: Any) -> None:
        logits, target = network(**batch.inputs), batch.target
        assert target is not None
        weights = torch.tensor(task.class_weights or [1.0] * len(task.classes), dtype=torch.float64)
        if task.num_outputs == 1:
            logits = torch.cat([torch.zeros_like(logits), logits], dim=1)  # a sigmoid is a softmax against 0
        losses = nn.functional.cross_entropy(logits, target, reduction="none", label_smoothing=task.label_smoothing)
        (losses * weights[target]).mean().backward()

    _train(parts, rows, task, batch_size=8, accumulate=4, optimizer=SGD)
    _by_hand(plain, rows, step, torch.optim.SGD, batch_size=32, momentum=0.9)
    _assert_same(parts, plain, rtol=1e-7)  # weights of classes are float32


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
    outcome = _train(ours, rows, task, batch_size=8, accumulate=accumulate, optimizer=SGD, validation=rows)
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
    _assert_same(ours, plain, rtol=1e-6)  # how many tokens there are is told in float32
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
    expected = _train(alone, rows, Tokens(), rows, batch_size=batch_size, accumulate=accumulate, optimizer=SGD).history
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
    ours, plain = _network(), _network()
    rows = _rows(60)
    norms = []

    def step(network: nn.Module, batch: Batch, optimizer: Any) -> None:
        Regression().loss(network, batch).mean().backward()
        norms.append(float(nn.utils.clip_grad_norm_(network.parameters(), most)))

    _train(ours, rows, optimizer=SGD, clip_norm=most)
    _by_hand(plain, rows, step, torch.optim.SGD, momentum=0.9)
    _assert_same(ours, plain)
    assert len(norms) == 8
    assert most == 0.3 or (min(norms) > most) == (most < 0.1)


def test_the_norm_is_of_all_pieces_together() -> None:
    """Reference: as above; each part has a rate of its own, so that it is a tensor of its own."""
    ours, plain = _network(), _network()
    rows = _rows(60)

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
    _assert_same(ours, plain)


@pytest.mark.parametrize("ema", [0.0, 0.5, 0.97])
def test_the_average_of_weights_follows_its_formula(ema: float) -> None:
    """Reference: by hand, a <- a d + w (1 - d) with d = min(ema, (1 + n) / (10 + n)) after step n = 1, 2, ...

    The weights themselves learn as if there were no average; the average judges, is kept and answers.
    """
    averaged, free, plain = _network(), _network(), _network()
    rows, validation = _rows(60), _rows(30)
    averages = {name: one.detach().clone() for name, one in plain.named_parameters()}
    steps, losses, best = 0, [], {}

    outcome = _train(averaged, rows, validation=validation, ema=ema, epochs=4, keep="best", learning_rate=0.3)
    _train(free, rows, epochs=4, learning_rate=0.3)
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
    _assert_same(free, plain, rtol=1e-9)
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


def test_the_step_schedule_is_that_of_torch() -> None:
    """Reference: torch.optim.lr_scheduler.StepLR, once an epoch."""
    for every, factor in ((1, 0.5), (3, 0.1), (4, 0.9)):
        optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, every, factor)
        settings = Settings(10, learning_rate=0.5, schedule=Schedule("step", factor=factor, epochs=every))
        for epoch in range(1, 11):
            assert settings.rate(7, 100, epoch) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
            optimizer.step()
            scheduler.step()
    thirds = Settings(9, learning_rate=1.0, schedule=Schedule("step"))
    assert [thirds.rate(0, 9, epoch) for epoch in range(1, 10)] == pytest.approx([1] * 3 + [0.1] * 3 + [0.01] * 3)


def test_the_plateau_schedule_is_that_of_torch() -> None:
    """Reference: torch.optim.lr_scheduler.ReduceLROnPlateau, which waits for one epoch more than its patience."""
    for epochs, seed in ((1, 0), (2, 1), (3, 2), (5, 3)):
        generator = np.random.default_rng(seed)
        losses = (1 / np.arange(1, 61) + generator.normal(0, 0.05, 60)).round(2).tolist()  # ties among them
        optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=0.5, patience=epochs - 1, threshold=0.0, cooldown=0, eps=0.0
        )
        settings = Settings(60, learning_rate=0.5, schedule=Schedule("plateau", factor=0.5, epochs=epochs))
        for epoch in range(1, 61):
            assert settings.rate(0, 60, epoch, losses[: epoch - 1]) == optimizer.param_groups[0]["lr"]
            optimizer.step()
            scheduler.step(losses[epoch - 1])
        assert optimizer.param_groups[0]["lr"] < 0.5 / 8


def test_a_plateau_reaches_the_steps_of_the_epochs_after_it() -> None:
    """Reference: torch's ReduceLROnPlateau over the losses that were recorded."""
    outcome = _train(
        _network(),
        _rows(40),
        validation=_rows(20),
        epochs=20,
        learning_rate=0.3,
        schedule=Schedule("plateau", epochs=2, factor=0.5),
    )
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.3)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, threshold=0.0, eps=0.0)
    expected = []
    for record in outcome.history:
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(record["validation_loss"])
    assert [record["learning_rate"] for record in outcome.history] == expected
    assert len(set(expected)) > 2


def test_each_step_is_taken_at_its_own_rate() -> None:
    """Reference: a plain loop, its rate set before each step to what the schedule says."""
    ours, plain = _network(), _network()
    rows, settings = _rows(60), Settings(2, 8, learning_rate=0.1, schedule=Schedule("cosine", warmup=0.2))
    _train(ours, rows, epochs=2, learning_rate=0.1, schedule=settings.schedule, optimizer=SGD)
    optimizer = torch.optim.SGD(plain.parameters(), lr=1.0, momentum=0.9, weight_decay=0.01)
    place = 0
    for epoch in (1, 2):
        for (index,) in Plan(60, 8, 1, 0).windows(epoch):
            optimizer.param_groups[0]["lr"] = settings.rate(place, 16, epoch)
            optimizer.zero_grad()
            Regression().loss(plain, rows[index]).mean().backward()
            optimizer.step()
            place += 1
    assert place == 16
    _assert_same(ours, plain)


def test_the_best_epoch_is_kept_or_the_last() -> None:
    """Reference: runs of as many epochs as the best had, and as all have."""
    rows, validation = _rows(40), _rows(30)
    settings: dict[str, Any] = {"learning_rate": 0.2, "validation": validation}
    best = _network()
    outcome = _train(best, rows, epochs=12, keep="best", **settings)
    losses = [record["validation_loss"] for record in outcome.history]
    assert 1 <= outcome.best_epoch == 1 + int(np.argmin(losses)) < 12
    until_then, last, all_of_it = _network(), _network(), _network()
    _train(until_then, rows, epochs=outcome.best_epoch, **settings)
    assert _train(last, rows, epochs=12, keep="last", **settings).best_epoch == 12
    _train(all_of_it, rows, epochs=12, learning_rate=0.2)
    _assert_same(best, until_then, rtol=0.0)
    _assert_same(last, all_of_it, rtol=0.0)


def _small(rows: int = 64) -> Batch:
    x = torch.randn(rows, 4, generator=torch.Generator().manual_seed(0))
    return Batch({"x": x}, (x[:, 0] - 0.5 * x[:, 1]).clamp(-1, 1))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("task", [Regression(), Classification((0, 1, 2))])
def test_short_floats_learn_as_float32_does(precision: str, task: Task) -> None:
    """Reference: the same run in float32; weights and moments stay float32."""
    rows = _small()
    if isinstance(task, Classification):
        rows = Batch(rows.inputs, (rows.inputs["x"][:, 0] > 0).long() + (rows.inputs["x"][:, 1] > 0).long())
    full, half = (_network(task.num_outputs).float() for _ in range(2))
    losses = [
        _train(network, rows, task, epochs=30, learning_rate=0.02, precision=one).history[-1]["train_loss"]
        for network, one in ((full, "float32"), (half, precision))
    ]
    assert {tensor.dtype for tensor in half.state_dict().values()} == {torch.float32}
    assert losses[0] < 0.2
    assert losses[1] == pytest.approx(losses[0], rel=0.1, abs=2e-3)
    with torch.no_grad():
        gap = (half(rows.inputs["x"]) - full(rows.inputs["x"])).abs().max()
    assert 0 < gap < 0.2


@pytest.mark.parametrize("kind", ["regression", "classification", "forecast"])
def test_a_step_in_bfloat16_is_that_of_torch(kind: str) -> None:
    """Reference: a plain loop under torch.autocast, which takes losses and their mean in float32.

    A hundredth, what a row of 100 counts, is 0.01001 in bfloat16: a mean taken there would be off by a thousandth.
    """
    rows, outputs = _small(100), {"regression": 1, "classification": 3, "forecast": 2}[kind]
    target, task = rows.target, Regression()
    assert target is not None
    if kind == "classification":
        target, task = (target * 1.4 + 1).long(), Classification((0, 1, 2))
    elif kind == "forecast":
        target, task = torch.stack([target, -target], dim=1), Forecast(2, np.zeros(()), np.ones(()))
    ours, plain = _network(outputs).float(), _network(outputs).float()
    rows = Batch(rows.inputs, target)

    def step(network: nn.Module, batch: Batch, optimizer: Any) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = network(**batch.inputs)
            if kind == "classification":
                loss = nn.functional.cross_entropy(found, batch.target)
            else:
                loss = nn.functional.mse_loss(found.view(batch.target.shape), batch.target)
        loss.backward()

    options: dict[str, Any] = {"batch_size": 100, "epochs": 3}
    _train(ours, rows, task, optimizer=SGD, learning_rate=0.5, precision="bfloat16", **options)
    _by_hand(plain, rows, step, torch.optim.SGD, lr=0.5, momentum=0.9, **options)
    _assert_same(ours, plain, rtol=1e-5)


class Steep(Regression):
    """Losses that are a thousand times as steep."""

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        return 1000.0 * super().loss(network, batch)


def test_a_scaler_skips_a_step_that_overflows_and_lowers_its_scale() -> None:
    """By hand: a weight's gradient is 8 rows x 1/8 x 2 x 1,000 at first, so that float16, which ends at 65,504, holds
    32 times that: the scale of 2**16 is halved 11 times, and then every step counts.
    """
    network = nn.Linear(4, 1)
    nn.init.zeros_(network.weight)
    nn.init.zeros_(network.bias)
    settings = Settings(1, 8, optimizer=SGD, learning_rate=1e-6, precision="float16", weight_decay=0.0)
    state = State.begin(network, settings, Pace(), World(), sharded=False)
    state.weights.begin(1)
    step = Eager(state, Steep(), settings)
    step.set_rate(settings.learning_rate)
    window = [Portion(Batch({"input": torch.ones(8, 4)}, torch.ones(8)), torch.arange(8))]
    scales, counted = [], []
    for _ in range(14):
        before = [tensor.clone() for name, tensor in state.tensors()]
        taken = step.run(window, 8)
        scales.append(state.scaler.get_scale())
        after = [tensor for name, tensor in state.tensors()]
        counted.append(not all(map(torch.equal, before, after)))
        assert counted[-1] == bool(taken.check.isfinite())
    assert scales == [2.0**power for power in range(15, 4, -1)] + [32.0] * 3
    assert counted == [False] * 11 + [True] * 3
    assert network.weight.detach().numpy() == pytest.approx(0.002 * (1 + 1.9 + 2.71), rel=0.05)  # 3 steps of momentum


def test_training_in_float16_bears_steps_that_overflow() -> None:
    """Reference: float32, without the steps that the scaler skips; no step of it is taken for one that diverged."""
    rows = _small()
    full, half = _network().float(), _network().float()
    _train(full, rows, Steep(), epochs=30, learning_rate=0.02)
    outcome = _train(half, rows, Steep(), epochs=30, learning_rate=0.02, precision="float16")
    assert outcome.skipped == 0
    losses = [mean_loss(network, Regression(), rows) for network in (full, half)]
    assert losses[1] < 0.05
    assert losses[1] == pytest.approx(losses[0], abs=0.02)


def test_tf32_is_for_the_training_only() -> None:
    """The switch is torch's, and global."""
    seen = []

    class Looking(Regression):
        def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
            seen.append(torch.get_float32_matmul_precision())
            return super().loss(network, batch)

    before = torch.get_float32_matmul_precision()
    _train(_network(), _rows(16), Looking(), precision="tf32")
    assert set(seen) == {"high"}
    assert torch.get_float32_matmul_precision() == before
    seen.clear()
    _train(_network(), _rows(16), Looking())
    assert set(seen) == {before}
    with pytest.raises(ZeroDivisionError):
        _train(_network(), _rows(16), _Broken(), precision="tf32")
    assert torch.get_float32_matmul_precision() == before


class _Broken(Regression):
    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        raise ZeroDivisionError
