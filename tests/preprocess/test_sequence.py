"""The learned preprocessing of sequences."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from maas.data import read_sequences, windows
from maas.errors import DataError, FormatError
from maas.preprocess import Sequence, for_schema, from_state
from maas.schema import Columns, Schema

Values = np.ndarray[Any, Any]


def made(*lengths: int, channels: int = 3, gaps: bool = False) -> tuple[Schema, Columns]:
    generator = np.random.default_rng(0)
    series = [generator.normal(size=(length, channels)) * [1.0, 1000.0, 0.01][:channels] + 5 for length in lengths]
    if gaps:
        for one in series:
            one[generator.random(one.shape) < 0.3] = np.nan
    rows = read_sequences(series)
    return rows.schema, rows.columns


def tensors(learned: Sequence, columns: Columns) -> tuple[Values, list[int]]:
    found, errors = learned.apply(columns)
    assert not errors
    assert found["sequence"].dtype == torch.float32
    assert found["sequence_lengths"].dtype == torch.int64
    return found["sequence"].numpy(), found["sequence_lengths"].tolist()


def test_each_channel_equals_scikit_learns_scaler_over_all_steps() -> None:
    """Reference: StandardScaler over the steps of all rows, none of them padding."""
    schema, columns = made(4, 9, 6)
    padded, lengths = tensors(Sequence.learn(schema, columns), columns)
    assert lengths == [4, 9, 6]
    assert padded.shape == (3, 9, 3)
    scaler = StandardScaler().fit(np.concatenate(list(columns["sequence"])))
    for row, steps in enumerate(columns["sequence"]):
        np.testing.assert_allclose(padded[row, : len(steps)], scaler.transform(steps), rtol=1e-6, atol=1e-6)
        assert not padded[row, len(steps) :].any()


def test_only_the_given_rows_are_learned_from() -> None:
    schema, columns = made(4, 9, 6)
    train = {"sequence": columns["sequence"][:2]}
    learned = Sequence.learn(schema, train)
    wanted = StandardScaler().fit(np.concatenate(list(train["sequence"])))
    np.testing.assert_allclose(learned.mean, wanted.mean_)
    np.testing.assert_allclose(learned.scale, wanted.scale_)
    assert learned.lengths == (4, 9)


def test_a_missing_step_repeats_the_one_before_and_a_first_one_is_the_mean() -> None:
    """Reference: pandas' ffill, then the mean of the values that are there."""
    import pandas

    schema, columns = made(20, 30, gaps=True)
    assert schema["sequence"].nullable
    padded, _ = tensors(Sequence.learn(schema, columns), columns)
    steps = np.concatenate(list(columns["sequence"]))
    mean, deviation = np.nanmean(steps, axis=0), np.nanstd(steps, axis=0)
    for row, one in enumerate(columns["sequence"]):
        filled = pandas.DataFrame(one).ffill().fillna(dict(enumerate(mean))).to_numpy()
        np.testing.assert_allclose(padded[row, : len(one)], (filled - mean) / deviation, rtol=1e-5, atol=1e-6)


def test_a_row_alone_is_what_it_is_beside_longer_ones() -> None:
    schema, columns = made(4, 9, 6, gaps=True)
    learned = Sequence.learn(schema, columns)
    padded, _ = tensors(learned, columns)
    alone, _ = tensors(learned, {"sequence": columns["sequence"][:1]})
    np.testing.assert_array_equal(alone[0], padded[0, :4])


def test_a_constant_channel_becomes_zeros() -> None:
    rows = read_sequences([[3.7, 3.7], [3.7]])
    padded, _ = tensors(Sequence.learn(rows.schema, rows.columns), rows.columns)
    np.testing.assert_allclose(padded, 0.0, atol=1e-6)


def test_zero_rows_give_tensors_of_zero_rows() -> None:
    schema, columns = made(4, 9)
    padded, lengths = tensors(Sequence.learn(schema, columns), {"sequence": columns["sequence"][:0]})
    assert (padded.shape[0], padded.shape[2], lengths) == (0, 3, [])


def test_a_number_too_large_is_the_rows_own_error() -> None:
    schema, columns = made(4, 9)
    learned = Sequence.learn(schema, columns)
    spoilt = columns["sequence"].copy()
    spoilt[1] = np.full((2, 3), 1e300)
    found, errors = learned.apply({"sequence": spoilt})
    assert {row: str(error) for row, error in errors.items()} == {
        1: "row 1: field 'sequence' is too large for the model"
    }
    assert torch.equal(found["sequence"][0, :4], learned.apply(columns)[0]["sequence"][0, :4])


def test_enormous_training_numbers_are_refused() -> None:
    rows = read_sequences([[1e308, 1.7e308], [1.5e308]])
    with pytest.raises(DataError, match="channel 0 of field 'sequence' holds numbers too large to standardise"):
        Sequence.learn(rows.schema, rows.columns)


def test_windows_have_their_one_length_in_the_schema() -> None:
    rows = windows(np.arange(20.0), window=6, horizon=2)
    learned = Sequence.learn(rows.schema, rows.columns)
    assert learned.outputs["sequence"].shape == (6, 1)
    assert all(len(row["sequence"]) == 6 for row in learned.examples(3))
    padded, lengths = tensors(learned, rows.columns)
    assert (padded.shape, set(lengths)) == ((len(rows), 6, 1), {6})


@pytest.mark.parametrize("gaps", [False, True])
def test_examples_are_valid_the_same_each_time_and_json(gaps: bool) -> None:
    schema, columns = made(4, 200, gaps=gaps)
    learned = Sequence.learn(schema, columns)
    rows = learned.examples(4)
    checked, errors = schema.rows_to_columns(json.loads(json.dumps(rows)))
    assert not errors
    assert [len(row["sequence"]) for row in rows] == [4, 19, 34, 50]
    assert ([None] * 3 in rows[-1]["sequence"]) == gaps
    assert rows == Sequence.learn(schema, columns).examples(4)
    low, high = schema["sequence"].range or (0, 0)
    values = np.concatenate([one[~np.isnan(one)] for one in checked["sequence"]])
    assert low <= values.min()
    assert values.max() <= high


def test_the_state_round_trip_gives_identical_tensors() -> None:
    schema, columns = made(4, 9, gaps=True)
    learned = Sequence.learn(schema, columns)
    state, arrays = learned.state()
    rebuilt = from_state("sequence", schema, json.loads(json.dumps(state)), arrays)
    assert torch.equal(rebuilt.apply(columns)[0]["sequence"], learned.apply(columns)[0]["sequence"])
    assert rebuilt.examples(4) == learned.examples(4)
    assert rebuilt.outputs == learned.outputs


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("mean", np.zeros(2), r"array 'mean' must be float64 of shape \(3,\), got float64 of shape \(2,\)"),
        ("scale", np.ones(3, np.float32), "array 'scale' must be float64 .*, got float32"),
        ("mean", np.full(3, np.nan), "array 'mean' holds values that no training gives"),
        ("scale", np.zeros(3), "array 'scale' holds values that no training gives"),
        ("lengths", [0, 4], "lengths must be the fewest and the most steps, 1 to 18"),
        ("lengths", [4, 19], "lengths must be the fewest and the most steps"),
        ("lengths", [9, 4], "lengths must be the fewest and the most steps"),
        ("lengths", [True, 4], "lengths must be the fewest and the most steps"),
        ("lengths", "49", "lengths must be the fewest and the most steps"),
    ],
)
def test_hostile_states_are_refused(name: str, value: Any, message: str) -> None:
    schema, columns = made(4, 9)
    state, arrays = Sequence.learn(schema, columns).state()
    with pytest.raises(FormatError, match=message):
        Sequence.from_state(schema, {**state, name: value}, {**arrays, name: value})


def test_the_register_finds_it_by_kind_of_field() -> None:
    assert for_schema(made(3)[0]) is Sequence
