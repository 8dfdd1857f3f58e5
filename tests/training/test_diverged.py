"""Steps whose loss or gradient is not finite: the first one is told, or each is skipped and changes nothing."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import maas
from maas.data import from_arrays
from maas.errors import DivergedError, MaasError
from maas.task import Batch, Regression, task
from maas.training import Optimizer, Settings
from maas.training._checkpoint import found, read
from maas.training._feed import Resident
from maas.training._loop import Outcome, train
from maas.training._plan import Plan, Window

CPU = torch.device("cpu")
RECIPE = maas.recipe(maas.nn.MLP, hidden=(6,))


@dataclass
class Faults:
    """What goes wrong in which passes of training, counted from 1; and the rows that each pass had."""

    passes: set[int] = field(default_factory=set)
    how: str = ""
    validation: bool = False
    rows: list[list[int]] = field(default_factory=list)


FAULTS = Faults()


@pytest.fixture(autouse=True)
def _no_faults() -> Iterator[None]:
    FAULTS.__init__()  # type: ignore[misc]
    yield
    FAULTS.__init__()  # type: ignore[misc]


@task("test.faulty")
@dataclass(frozen=True)
class Faulty(Regression):
    """A regression of the rows' own numbers, which goes wrong when it is told to."""

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        outputs = network(**batch.inputs)[:, 0]
        assert batch.target is not None
        losses: torch.Tensor = (outputs - batch.target).square()
        if not network.training:
            return losses * torch.nan if FAULTS.validation else losses
        FAULTS.rows.append(sorted((batch.target * self.scale + self.mean).round().int().tolist()))
        if len(FAULTS.rows) not in FAULTS.passes:
            return losses
        if FAULTS.how == "loss":
            return losses * torch.where(torch.arange(len(losses)) == 1, torch.nan, 1.0)
        if FAULTS.how == "loss alone":  # its gradient is finite
            return losses + torch.inf * (1 - 2 * (torch.arange(len(losses)) % 2))
        if FAULTS.how == "gradient":  # the slope of a root at 0 is infinite
            return losses + torch.sqrt(0.0 * outputs)
        assert FAULTS.how == "steep gradient"  # finite, but its square is not
        return losses + 1e25 * outputs.float()


HOW = ("loss", "loss alone", "gradient", "steep gradient")


def _rows(rows: int = 40) -> maas.data.Rows:
    """The target of a row is its number."""
    return from_arrays(np.random.default_rng(0).normal(size=(rows, 4)), np.arange(float(rows)))


def _fit(rows: int = 40, recipe: maas.Recipe = RECIPE, **settings: Any) -> maas.Model:
    wanted = {"task": Faulty, "epochs": 3, "batch_size": 8, "device": "cpu", "progress": False, **settings}
    return maas.fit(recipe, _rows(rows), **wanted)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    ("first", "settings"),
    [
        (1, {}),
        (4, {"validation": 0.2}),
        (11, {"validation": 0.2, "learning_rate": 0.01}),
        (12, {"validation": 0.2, "accumulate": 3, "schedule": "cosine"}),
        (13, {"validation": 0, "keep": "last", "clip_norm": 1.0, "schedule": "one_cycle"}),
        (9, {"validation": 0.2, "ema": 0.9, "optimizer": "sgd", "seed": 3}),
    ],
)
def test_the_first_bad_step_is_told(how: str, first: int, settings: dict[str, Any]) -> None:
    """Reference: the passes as the task saw them; all after the first bad one are bad too, and looked at with it."""
    FAULTS.how, FAULTS.passes = how, set(range(first, 100))
    with pytest.raises(DivergedError, match="training diverged in step") as caught:
        _fit(**settings)
    error, accumulate = caught.value, settings.get("accumulate", 1)
    passes = 5 if settings.get("validation") == 0 or first == 1 else 4  # an epoch, of 40, 36 or 32 rows
    an_epoch = -(-passes // accumulate)
    epoch, place = divmod(first - 1, passes)
    step = place // accumulate
    assert (error.epoch, error.step) == (epoch + 1, epoch * an_epoch + step + 1)
    of_step = FAULTS.rows[epoch * passes + step * accumulate :][: min(accumulate, passes - step * accumulate)]
    assert error.rows == sorted(itertools.chain(*of_step))
    rate = Settings(
        3, schedule=maas.training.Schedule.of(settings.get("schedule", "constant")),
        learning_rate=settings.get("learning_rate", 1e-3),
    ).rate(error.step - 1, 3 * an_epoch, error.epoch)  # fmt: skip
    assert error.learning_rate == pytest.approx(rate, rel=1e-12)
    assert error.detail == f"a {how.split()[-1] if 'gradient' in how else 'loss'} is not finite"


def test_rows_are_told_as_given_with_parts_that_are_frozen() -> None:
    FAULTS.how, FAULTS.passes = "loss", {10}
    with pytest.warns(UserWarning, match="weights as they were drawn"), pytest.raises(DivergedError) as caught:
        _fit(validation=0.2, freeze={"hidden": 2})
    assert (caught.value.step, caught.value.epoch) == (10, 3)
    assert caught.value.rows == FAULTS.rows[9]
    assert max(max(rows) for rows in FAULTS.rows) > 32  # more than there are training rows


def test_rows_are_told_as_given_where_some_teach_nothing() -> None:
    @task("test.faulty_few")
    @dataclass(frozen=True)
    class Few(Faulty):
        def teaching(self, target: Any) -> Any:
            return np.asarray(target) % 3 != 0

    FAULTS.how, FAULTS.passes = "loss", {5}
    with pytest.raises(DivergedError) as caught:
        _fit(task=Few, batch_size=4)
    assert caught.value.rows == FAULTS.rows[4]
    assert all(row % 3 for row in caught.value.rows)


def test_a_row_that_breaks_the_network_is_among_those_told() -> None:
    """The network turns one row, far off from the others, into what is no number."""

    @maas.network("test.brittle")
    class Brittle(nn.Linear):
        @classmethod
        def sizes(cls, inputs: Any, num_outputs: int) -> dict[str, Any]:
            return {"in_features": inputs["x"].shape[0], "out_features": num_outputs}

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(torch.where(x.abs() > 5, torch.inf, x))

    x, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60.0)
    for bad in (3, 31, 59):
        rows = x.copy()
        rows[bad, 1] = 1e9
        with pytest.raises(DivergedError) as caught:
            maas.fit(
                maas.recipe(Brittle), from_arrays(rows, y), from_arrays(x + 0.1, y), task=Faulty,
                epochs=2, batch_size=4, device="cpu", progress=False,
            )  # fmt: skip
        assert caught.value.epoch == 1
        assert bad in caught.value.rows
        assert caught.value.rows == FAULTS.rows[caught.value.step - 1]
        assert all(bad not in passed for passed in FAULTS.rows[: caught.value.step - 1])
        FAULTS.rows.clear()


def test_the_error_says_what_to_do_and_can_be_sent_to_another_process() -> None:
    FAULTS.how, FAULTS.passes = "gradient", {7}
    with pytest.raises(
        DivergedError,
        match=r"^training diverged in step 7, of epoch 2: a gradient is not finite, at a learning rate of 0.001, on "
        r'rows \d+, \d+, .*; try a lower learning_rate, `clip_norm`, or non_finite="skip" if such rows are rare$',
    ) as caught:
        _fit()
    error = caught.value
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, MaasError)
    assert isinstance(again, ArithmeticError)
    assert str(again) == str(error)
    fields = ("step", "epoch", "learning_rate", "rows", "detail")
    assert [getattr(again, name) for name in fields] == [getattr(error, name) for name in fields]


def _checkpoints(folder: Path) -> list[tuple[dict[str, torch.Tensor], dict[str, Any]]]:
    return [read(path) for path in found(folder / "checkpoints")]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("how", HOW)
def test_no_checkpoint_holds_what_is_not_finite_and_the_run_goes_on_from_it(
    how: str, optimizer: str, tmp_path: Path
) -> None:
    """Reference: a run without the fault, which the one that was gone on with equals to the bit."""
    settings: dict[str, Any] = {"optimizer": optimizer, "ema": 0.8, "recipe": _normalized()}
    FAULTS.how, FAULTS.passes = how, {8}
    with pytest.raises(DivergedError) as caught:
        _fit(run=maas.Run(tmp_path / "run", every=0, keep=100), **settings)
    assert caught.value.step == 8
    kept = _checkpoints(tmp_path / "run")
    assert [numbers["steps"] for _, numbers in kept] == [7, 6, 5, 4, 3, 2, 1]
    for tensors, numbers in kept:
        assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())
        assert np.isfinite(numbers["loss_sum"])
    FAULTS.passes = set()
    went_on = _fit(run=maas.Run(tmp_path / "run", resume=True), **settings)
    clean = _fit(**settings)
    for name, tensor in clean.network.state_dict().items():
        assert torch.equal(went_on.network.state_dict()[name], tensor), name
    assert went_on.card["training"]["history"][-1]["train_loss"] == clean.card["training"]["history"][-1]["train_loss"]


def test_a_run_that_diverged_can_go_on_past_the_bad_step(tmp_path: Path) -> None:
    """As the error advises."""
    bad_row = {"recipe": RECIPE, "epochs": 2, "schedule": "cosine"}
    FAULTS.how, FAULTS.passes = "loss", {7}
    with pytest.raises(DivergedError, match='or non_finite="skip"'):
        _fit(run=maas.Run(tmp_path / "run", every=0), **bad_row)
    FAULTS.rows.clear()
    FAULTS.passes = {1}  # of this process: the same step
    model = _fit(run=maas.Run(tmp_path / "run", resume=True), non_finite="skip", **bad_row)
    assert model.card["training"]["skipped_steps"] == 1
    assert len(model.card["training"]["history"]) == 2


def _normalized() -> maas.Recipe:
    return maas.recipe(maas.nn.MLP, hidden=(6,), normalization="batch")


class Without(Plan):
    """A plan that lacks some steps, counted from 1, of its only epoch."""

    left_out: frozenset[int] = frozenset()

    def windows(self, epoch: int) -> list[Window]:
        return [one for place, one in enumerate(super().windows(epoch), 1) if place not in self.left_out]


def _train(left_out: set[int], accumulate: int, **given: Any) -> tuple[Outcome, nn.Module]:
    torch.manual_seed(0)
    network = maas.nn.MLP(4, 1, hidden=(6,), normalization="batch")
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    settings = Settings(1, 4, accumulate, keep="last", learning_rate=0.1, **given)
    plan = Without(50, 4, accumulate, 0)
    object.__setattr__(plan, "left_out", frozenset(left_out))
    feed = Resident(Batch({"x": x}, torch.arange(50.0) / 25), CPU)
    with torch.random.fork_rng(devices=[]):
        return train(network, Faulty(), feed, None, plan, settings), network


@pytest.mark.parametrize("optimizer", [Optimizer(), Optimizer("sgd"), Optimizer("sgd", momentum=0.9, nesterov=True)])
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(("bad", "accumulate"), [({1}, 1), ({3, 12}, 1), ({1, 2, 5}, 1), ({2}, 3)])
def test_a_step_that_is_skipped_changes_nothing(bad: set[int], accumulate: int, how: str, optimizer: Optimizer) -> None:
    """Reference: a run whose plan lacks these steps, to the bit: weights, their average, moments, batch statistics.

    Moments show in the weights of the steps after. A decay of 0.1 is below that of the first steps' own, which count
    all steps.
    """
    junk = [torch.full((size,), 7.0) for size in range(16, 256, 16) for _ in range(4)]
    del junk  # memory that was written already
    settings: dict[str, Any] = {"optimizer": optimizer, "ema": 0.1}
    expected, reference = _train(bad, accumulate, **settings)
    FAULTS.rows.clear()
    FAULTS.how, FAULTS.passes = how, {(step - 1) * accumulate + 1 + step % accumulate for step in bad}
    outcome, network = _train(set(), accumulate, non_finite="skip", **settings)
    assert (outcome.skipped, expected.skipped) == (len(bad), 0)
    for (name, tensor), wanted in zip(network.state_dict().items(), reference.state_dict().values(), strict=True):
        assert torch.equal(tensor, wanted), name
    assert outcome.history[0]["train_loss"] == pytest.approx(expected.history[0]["train_loss"], rel=1e-12)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_the_card_counts_the_steps_that_were_skipped(how: str, precision: str) -> None:
    FAULTS.how, FAULTS.passes = how, {2, 9}
    record = _fit(non_finite="skip", precision=precision).card["training"]
    of_scaler = precision == "float16" and "gradient" in how  # it meets such steps all the time, and goes on
    assert record["skipped_steps"] == (0 if of_scaler else 2)
    assert all(np.isfinite(one["train_loss"]) for one in record["history"])
    FAULTS.passes = set()
    assert _fit(non_finite="skip").card["training"]["skipped_steps"] == 0


@pytest.mark.parametrize("how", HOW)
def test_an_epoch_of_nothing_but_bad_steps_is_told(how: str) -> None:
    FAULTS.how, FAULTS.passes = how, set(range(6, 11))  # the second epoch, of 36 rows
    with pytest.raises(DivergedError, match="in step 10, of epoch 2: no step of the epoch was finite"):
        _fit(non_finite="skip")


@pytest.mark.parametrize("non_finite", ["raise", "skip"])
def test_a_validation_loss_that_is_not_finite_is_told(non_finite: str, tmp_path: Path) -> None:
    FAULTS.validation = True
    with pytest.raises(DivergedError, match=r"in step 5, of epoch 1: the validation loss is nan, at .* 0\.001; try"):
        _fit(non_finite=non_finite, run=maas.Run(tmp_path / "run", every=0, keep=100))
    assert [numbers["steps"] for _, numbers in _checkpoints(tmp_path / "run")] == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("non_finite", ["raise", "skip"])
def test_an_update_beyond_what_a_weight_can_hold_is_told_and_not_kept(
    non_finite: str, kept: bool, tmp_path: Path
) -> None:
    """The gradient is finite, and the loss before it: only the weight is not, after the last step."""
    run = maas.Run(tmp_path / "run", every=0, keep=100) if kept else None
    settings: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 3e38, "weight_decay": 0.0, "clip_norm": 1e6}
    with pytest.raises(DivergedError, match=r"in step 1, of epoch 1: a weight is not finite after it, at .* 3e\+38"):
        _fit(4, batch_size=4, epochs=1, keep="last", validation=0, non_finite=non_finite, run=run, **settings)
    assert not kept or not _checkpoints(tmp_path / "run")


class Reads(TorchDispatchMode):
    """Counts how often a number is read from a tensor, for which a GPU would have to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += "_local_scalar_dense" in str(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"clip_norm": 1.0, "ema": 0.99, "non_finite": "skip", "schedule": "cosine"},
        {"precision": "float16", "accumulate": 2, "optimizer": "sgd"},
    ],
)
def test_the_host_does_not_wait_for_each_step(settings: dict[str, Any]) -> None:
    """By hand: two epochs of 400 passes; what is read beside looks, such as validation losses, is so once an epoch."""
    validation = from_arrays(_rows(20).columns["x"] + 1, np.arange(20.0))
    with Reads() as reads:
        record = _fit(1600, validation=validation, epochs=2, batch_size=4, **settings)
    receipt = record.card["training"]["receipt"]
    assert receipt["steps"] == 800 // settings.get("accumulate", 1)
    assert receipt["synchronisations"] < receipt["steps"] / 10
    assert reads.count < 2 * receipt["steps"] / 10
