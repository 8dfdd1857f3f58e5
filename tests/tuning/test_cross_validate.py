"""maas.cross_validate: who teaches whom, what it adds up to, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

import maas
from maas.data import Rows, from_arrays, read_interactions, read_table, windows
from maas.errors import DataError
from maas.preprocess import Table
from maas.schema import Columns, Schema

SMALL = maas.recipe(maas.nn.MLP, hidden=(6,))
QUICK: dict[str, Any] = {"epochs": 2, "device": "cpu", "progress": False}


@pytest.fixture(scope="module")
def wine(wine_csv: Path) -> Rows:
    return read_table(wine_csv, target="cultivar")


class Spy(Table):
    """Remembers the columns that each fit learned from."""

    seen: list[Columns]

    @classmethod
    def learn(cls, schema: Schema, columns: Columns) -> Table:
        cls.seen.append(columns)
        return Table.learn(schema, columns)


def test_each_fold_is_scored_by_a_fit_on_the_others(wine: Rows) -> None:
    found = maas.cross_validate(SMALL, wine, folds=3, seed=4, **QUICK)
    by_hand = [maas.fit(SMALL, train, seed=4, **QUICK).evaluate(test) for train, test in wine.folds(3, seed=4)]
    assert found.folds == tuple(by_hand)
    assert (found.kind, found.task, found.primary, found.num_rows) == ("stratified", "classification", "accuracy", 178)
    for name in ("accuracy", "log_loss"):
        scores = [fold.scores[name] for fold in by_hand]
        assert found.mean[name] == pytest.approx(np.mean(scores))  # type: ignore[arg-type]
        assert found.deviation[name] == pytest.approx(np.std(scores, ddof=1))  # type: ignore[arg-type]


def test_preprocessing_learns_from_the_training_part_of_its_fold_only(wine: Rows) -> None:
    Spy.seen = []
    maas.cross_validate(SMALL, wine, folds=3, preprocess=Spy, **QUICK)
    for seen, (train, test) in zip(Spy.seen, wine.folds(3), strict=True):
        learned = {tuple(row) for row in np.stack(list(seen.values()), axis=1).tolist()}
        tested = {tuple(row) for row in np.stack(list(test.columns.values()), axis=1).tolist()}
        assert learned.isdisjoint(tested)
        assert len(learned) == len(train) - round(len(train) / 10)


def test_repeats_cut_anew(wine: Rows) -> None:
    found = maas.cross_validate(SMALL, wine, folds=2, repeats=2, **QUICK)
    prints = [fold.fingerprint for fold in found.folds]
    assert len(set(prints)) == 4
    assert "2 folds of 178 rows, 2 times, stratified, classification" in str(found)


def test_the_table_and_its_json(wine: Rows) -> None:
    found = maas.cross_validate(SMALL, wine, folds=2, baselines=True, **QUICK)
    lines = str(found).splitlines()
    names = ["fold 1", "fold 2", "mean", "deviation"]
    assert [line.split("  ")[0] for line in lines[2:6]] == names
    assert lines[4].split()[1] == f"{found.mean['accuracy']:.4f}"
    assert any(line.startswith("mean of logistic regression") for line in lines)
    assert "gain in accuracy over boosted trees: -" in str(found)
    state = json.loads(json.dumps(found.to_json()))
    assert state["mean"] == found.mean
    assert maas.Evaluation.from_json(state["folds"][1]) == found.folds[1]


def test_many_folds_are_cut_short() -> None:
    x = np.arange(44.0)
    found = maas.cross_validate(SMALL, (x[:, None], x / 3), folds=22, **{**QUICK, "epochs": 1})
    assert "\nand 2 more\nmean " in str(found)
    assert found.task == "regression"
    assert found.mean["r2"] is not None
    alone = maas.cross_validate(SMALL, (x[:8, None], x[:8] / 3), folds=8, **{**QUICK, "epochs": 1})
    assert alone.mean["r2"] is None  # not defined for one row
    assert alone.deviation["r2"] is None


def test_groups_and_time() -> None:
    frame = pandas.DataFrame({"x": np.arange(60.0), "who": np.arange(60) // 6, "y": np.arange(60) % 2})
    rows = read_table(frame, target="y", drop=["who"])
    assert maas.cross_validate(SMALL, rows, group="who", folds=2, **QUICK).kind == "by group (who)"
    by_time = maas.cross_validate(SMALL, rows, time="x", folds=3, **QUICK)
    assert by_time.kind == "by time (x)"
    assert [fold.num_rows for fold in by_time.folds] == [15, 15, 15]


def test_a_forecast() -> None:
    rows = windows(np.sin(np.arange(150.0)), window=8, horizon=2)
    found = maas.cross_validate(maas.recipe(maas.nn.RNN, hidden_size=4), rows, folds=2, **QUICK)
    assert found.kind.startswith("by time (")
    assert found.primary == "rmse"


def test_a_class_that_a_fold_does_not_know_counts_as_wrong() -> None:
    x = np.arange(24.0)[:, None]
    y = ["a"] * 12 + ["b"] * 11 + ["c"]
    found = maas.cross_validate(SMALL, (x, y), folds=3, stratify=False, **QUICK)
    assert sum(fold.num_rows for fold in found.folds) == 24


def test_duplicates_are_told_once(wine: Rows) -> None:
    doubled = wine.take([*range(len(wine)), 0, 1, 2])
    with pytest.warns(UserWarning, match="stratified folds: . test rows stand in their training parts too") as told:
        maas.cross_validate(SMALL, doubled, folds=2, repeats=2, **QUICK)
    assert len(told) == 1


def test_what_is_refused(wine: Rows) -> None:
    for arguments, message in (
        ({"folds": 1}, "`folds` must be an integer of at least 2, got 1"),
        ({"folds": 60}, "`folds` is 60, and the class 2 has 48 rows: some folds would lack it"),
        ({"repeats": 0}, "`repeats` must be a positive integer, got 0"),
        ({"time": "alcohol", "repeats": 2}, "folds by time are the same each time; leave `repeats` out"),
        ({"epoch": 3}, "'epoch' is no setting of maas.fit that many fits can share: task, "),
        ({"validation": wine}, "`validation` must be the share to carve out of each fold's training rows, got Rows"),
        ({"epochs": 0}, "`epochs` must be a positive integer, got 0"),
    ):
        with pytest.raises(DataError, match=message):
            maas.cross_validate(SMALL, wine, **{**QUICK, **arguments})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="`recipe` must be a recipe, such as"):
        maas.cross_validate(maas.nn.MLP, wine)  # type: ignore[arg-type]
    unlabelled = from_arrays(np.arange(40.0).reshape(20, 2))
    with pytest.raises(DataError, match="the rows have no target to learn; name it with"):
        maas.cross_validate(SMALL, unlabelled)
    with pytest.raises(DataError, match="folds are scored by a target; name the column that says which rows are"):
        maas.cross_validate(maas.recipe(maas.nn.AutoEncoder), unlabelled, task="anomaly")
    ratings = read_interactions(pandas.DataFrame({"user": [*"aabbcc"], "item": [*"xyxyxz"]}))
    with pytest.raises(DataError, match="rows of a ranking are one a user"):
        maas.cross_validate(maas.recipe(maas.nn.EASE), ratings)
