"""maas.training._plan: which rows each step learns from."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from maas.training._plan import Plan, batches, epoch_order


def test_epoch_order_is_a_pure_function_and_a_permutation() -> None:
    orders = {}
    for seed in (0, 1, 2**63 - 1):
        for epoch in (1, 2):
            order = epoch_order(50, seed, epoch)
            torch.rand(3)
            assert torch.equal(order, epoch_order(50, seed, epoch))
            assert sorted(order.tolist()) == list(range(50))
            orders[seed, epoch] = tuple(order.tolist())
    assert len(set(orders.values())) == len(orders)


@pytest.mark.parametrize("batch_size", [2, 3, 8, 32, 1000])
@pytest.mark.parametrize("length", [2, 3, 9, 33, 64, 65])
def test_batches_hold_every_row_once_and_never_one_alone(length: int, batch_size: int) -> None:
    order = epoch_order(length, 0, 1)
    cut = batches(order, batch_size)
    assert torch.equal(torch.cat(cut), order)
    assert all(2 <= len(part) <= batch_size + 1 for part in cut)
    assert all(len(part) == batch_size for part in cut[:-1])


@pytest.mark.parametrize("batch_size", [2, 3, 8, 32, 1000])
@pytest.mark.parametrize("length", [2, 3, 9, 33, 64, 65, 101, 401])
def test_rows_of_many_lengths_are_never_alone_and_take_as_many_steps(length: int, batch_size: int) -> None:
    order = epoch_order(length, 0, 1)
    cut = batches(order, batch_size, (order * 7) % 13)
    assert sorted(torch.cat(cut).tolist()) == list(range(length))
    assert all(2 <= len(part) <= batch_size + 1 for part in cut)
    assert len(cut) == len(batches(order, batch_size))  # the schedule counts the latter


LENGTHS = (1, 2, 3, 7, 8, 9, 31, 32, 33, 64, 65, 100, 257, 401, 801)


@pytest.mark.parametrize("accumulate", [1, 2, 3, 7])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 8, 1000])
def test_an_epoch_has_as_many_steps_as_the_schedule_counts_and_shows_each_row_once(
    batch_size: int, accumulate: int
) -> None:
    """Reference: the windows themselves, counted; with rows of like length and of many, in three epochs."""
    for num_rows, ragged in itertools.product(LENGTHS, (False, True)):
        lengths = (torch.arange(num_rows) * 7) % 13 if ragged else None
        plan = Plan(num_rows, batch_size, accumulate, 5, lengths)
        for epoch in (1, 2, 3):
            windows = plan.windows(epoch)
            assert len(windows) == plan.steps_an_epoch
            assert all(len(window) == accumulate for window in windows[:-1])
            assert 1 <= len(windows[-1]) <= accumulate
            rows = torch.cat([index for window in windows for index in window])
            assert rows.dtype == torch.int64
            assert sorted(rows.tolist()) == list(range(num_rows))


def test_windows_are_a_pure_function_of_seed_and_epoch() -> None:
    lengths = (torch.arange(90) * 7) % 13
    for given in (None, lengths):
        windows = [Plan(90, 8, 2, seed, given).windows(epoch) for seed in (0, 1) for epoch in (1, 2)]
        again = [Plan(90, 8, 2, seed, given).windows(epoch) for seed in (0, 1) for epoch in (1, 2)]
        flat, same = ([torch.cat([*itertools.chain(*one)]).tolist() for one in found] for found in (windows, again))
        assert flat == same
        assert len({tuple(one) for one in flat}) == 4


def test_accumulating_cuts_the_same_order_into_steps() -> None:
    """Reference: the plan of one batch a step, joined."""
    for num_rows in (96, 97, 100, 125):
        small, large = Plan(num_rows, 8, 4, 0).windows(1), Plan(num_rows, 8, 1, 0).windows(1)
        assert [index.tolist() for window in small for index in window] == [window[0].tolist() for window in large]


def test_rows_of_like_length_stand_together() -> None:
    """By hand: 400 rows of 1 to 100 numbers in one pool, so that a batch of 8 spans two or three lengths, not 100."""
    lengths = torch.arange(400) % 100
    plan = Plan(400, 8, 1, 0, lengths)
    assert max(int(lengths[index].max() - lengths[index].min()) for (index,) in plan.windows(1)) <= 2
    assert [int(lengths[index].max()) for (index,) in plan.windows(1)] != sorted(lengths[::8].tolist())


def test_rows_are_told_by_their_places_among_those_given() -> None:
    index = torch.tensor([4, 0, 2])
    assert Plan(5, 2, 1, 0).given(index) == [0, 2, 4]
    places = Plan(5, 2, 1, 0, positions=np.array([9, 1, 30, 5, 2])).given(index)
    assert places == [2, 9, 30]
    assert all(type(place) is int for place in places)
