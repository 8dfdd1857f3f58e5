"""Batches and answers: which rows go through a network together, and columns to dicts."""

from __future__ import annotations

import narwhals as nw
import numpy as np
import pytest
import torch

from maas.client import Prediction, Predictions
from maas.errors import DataError
from maas.task import Answers, Batch


def batch(lengths: list[int]) -> Batch:
    longest = max(lengths, default=1)
    return Batch({"tokens": torch.zeros(len(lengths), longest), "tokens_lengths": torch.tensor(lengths)})


def test_rows_of_very_different_lengths_go_in_several_passes_each_row_in_one() -> None:
    lengths = np.random.default_rng(0).permutation([200] * 40 + [2] * 40 + [60] * 40).tolist()
    passes = batch(lengths).passes(512)
    assert len(passes) == 3
    assert sorted(torch.cat(passes).tolist()) == list(range(120))
    assert [set(np.array(lengths)[rows.numpy()].tolist()) for rows in passes] == [{200}, {60}, {2}]


@pytest.mark.parametrize("lengths", [[], [5], [5, 5, 5], [6, 5] * 50, [20, 1], [100] * 50 + [90] * 50])
def test_rows_stay_together_where_another_pass_would_cost_more_than_the_padding(lengths: list[int]) -> None:
    assert batch(lengths).passes(512) == []


def test_a_network_that_does_much_at_a_step_is_worth_more_passes() -> None:
    lengths = [100] * 10 + [3] * 10
    assert batch(lengths).passes(1000) == []
    assert [rows.tolist() for rows in batch(lengths).passes(10)] == [list(range(10)), list(range(10, 20))]


def test_the_longest_of_a_rows_inputs_counts() -> None:
    one = batch([2] * 50 + [100] * 50).inputs
    other = {f"more_{name}": tensor.flip(0) for name, tensor in one.items()}
    assert Batch({**one, **other}).passes(512) == []


def test_rows_without_lengths_stay_together() -> None:
    assert Batch({"x": torch.zeros(100, 3)}).passes(512) == []


def test_columns_of_different_lengths_are_no_answers() -> None:
    with pytest.raises(ValueError, match="columns of answers must be of one length"):
        Answers({"label": np.zeros(2), "value": np.zeros(3)}).to_dicts()
    with pytest.raises(ValueError, match=r"'probabilities' has \(3,\) places a row, and 2 names"):
        Answers({"probabilities": np.zeros((2, 3))}, {"probabilities": ("a", "b")}).to_dicts()


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize(
    "answers",
    [
        Answers(
            {"label": np.array(["a", "b", "a"], object), "probabilities": np.eye(3)[:, :2]},
            {"probabilities": ("a", "b")},
        ),
        Answers({"value": np.array([1.5, 2.0, -3.0])}),
        Answers({"values": np.arange(12.0).reshape(3, 2, 2)}),
        Answers({"score": np.ones(3), "anomalous": np.array([True, False, True])}),
    ],
    ids=["probabilities", "value", "forecast", "anomaly"],
)
def test_a_frame_of_answers_is_that_of_a_clients(backend: str, answers: Answers) -> None:
    served = Predictions(Prediction(one, {}) for one in answers).to_frame(backend)
    mine, theirs = (nw.from_native(one, eager_only=True) for one in (answers.to_frame(backend), served))
    assert mine.implementation.value == backend
    assert mine.columns == theirs.columns
    assert mine.rows() == theirs.rows()


def test_a_frame_keeps_the_width_of_numbers() -> None:
    frame = Answers({"p": np.zeros((2, 2), np.float32)}, {"p": ("a", "b")}).to_frame()
    assert [str(one) for one in frame.schema.types] == ["float", "float"]


def test_a_frame_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(DataError, match="no frame of `backend` 'excel' can be made here"):
        Answers({"value": np.zeros(1)}).to_frame("excel")
