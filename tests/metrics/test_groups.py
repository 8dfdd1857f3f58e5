"""Scores by group: recomputed by numpy, and who is said to be served worse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from maas.metrics import Evaluation, Grouping, Scores, classification_scores, regression_scores

Values = np.ndarray[Any, Any]


def classified(shares: dict[str, tuple[int, int]]) -> tuple[Evaluation, Values]:
    """An evaluation with so many right answers among so many rows of each group."""
    right = np.concatenate([np.arange(rows) < good for good, rows in shares.values()])
    groups = np.array([name for name, (_, rows) in shares.items() for _ in range(rows)], object)
    truth = np.arange(len(right)) % 2
    answer = np.where(right, truth, 1 - truth)
    scores = classification_scores(truth, np.eye(2)[answer] * 0.8 + 0.1, ["no", "yes"])
    return Evaluation.compare("classification", scores, {}, fingerprint="f", groups={"region": groups}), right


def test_each_group_has_its_own_score_and_gap() -> None:
    """By hand: 60 of 80 right against 95 of 100 and 18 of 20."""
    evaluation, _ = classified({"north": (60, 80), "south": (95, 100), "east": (18, 20)})
    (found,) = evaluation.groups
    assert [(one.value, one.num_rows, one.score) for one in found.groups] == [
        ("north", 80, 0.75),
        ("south", 100, 0.95),
        ("east", 20, 0.9),
    ]
    north, south, east = found.groups
    assert north.gap == pytest.approx(113 / 120 - 0.75)
    assert south.gap == pytest.approx(78 / 100 - 0.95)
    assert (east.gap_low, east.gap_high) == (None, None)
    assert found.judged == (north, south)


def test_the_gap_of_two_shares_has_newcombes_interval() -> None:
    """Newcombe 1998, table II, example (a): 56 of 70 against 48 of 80: 0.0524 to 0.3339 by method 10."""
    evaluation, _ = classified({"one": (48, 80), "other": (56, 70)})
    worse = evaluation.groups[0].groups[0]
    assert (worse.value, worse.gap) == ("one", pytest.approx(0.2))
    assert (worse.gap_low, worse.gap_high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_the_gap_of_an_error_is_drawn_again_with_its_rows() -> None:
    """By numpy: the difference of the roots, and a bootstrap of its own; random, hence 10 % of the width."""
    generator = np.random.default_rng(0)
    error = np.concatenate([generator.normal(0, 1, 300), generator.normal(0, 2, 100)])
    groups = np.array(["a"] * 300 + ["b"] * 100, object)
    scores = regression_scores(np.zeros(400), error)
    evaluation = Evaluation.compare("regression", scores, {}, fingerprint="f", groups={"g": groups})
    worse = evaluation.groups[0].groups[0]
    root = [np.sqrt(np.square(error[groups == name]).mean()) for name in "ab"]
    assert (worse.value, worse.score, worse.gap) == ("b", pytest.approx(root[1]), pytest.approx(root[1] - root[0]))
    draws = [
        np.sqrt(np.square(generator.choice(error[300:], 100)).mean())
        - np.sqrt(np.square(generator.choice(error[:300], 300)).mean())
        for _ in range(4000)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    assert (worse.gap_low, worse.gap_high) == pytest.approx((low, high), abs=0.1 * (high - low))
    assert "served worse than all other rows in rmse: b, by" in evaluation.groups[0].verdict


def f1_scores(truth: Values, answer: Values) -> Scores:
    """F1, which is no mean over rows, with what each row adds to it (delta method)."""
    hits, whole = 2.0 * (truth & answer), (truth * 1.0 + answer)
    f1 = float(hits.sum() / whole.sum()) if whole.any() else None
    per_row = np.zeros(len(truth)) if f1 is None else f1 + (hits - f1 * whole) / whole.mean()
    return Scores({"f1": f1}, "f1", True, per_row)


def test_a_score_that_is_no_mean_over_rows_is_scored_group_by_group() -> None:
    """Reference: scikit-learn on each group's rows, and a bootstrap; normal against percentile: 15 %."""
    generator = np.random.default_rng(0)
    truth = generator.random(500) < 0.4
    groups = np.array(["a"] * 200 + ["b"] * 270 + ["none"] * 30, object)
    truth[groups == "none"] = False
    answer = np.where(generator.random(500) < np.where(groups == "a", 0.7, 0.9), truth, ~truth) & (groups != "none")
    evaluation = Evaluation.compare(
        "detection",
        f1_scores(truth, answer),
        {},
        fingerprint="f",
        groups={"g": groups},
        score_rows=lambda chosen: f1_scores(truth[chosen], answer[chosen]),
    )
    a, b, none = evaluation.groups[0].groups
    wanted = {name: f1_score(truth[groups == name], answer[groups == name]) for name in "ab"}
    assert (a.value, a.score, b.value, b.score) == ("a", pytest.approx(wanted["a"]), "b", pytest.approx(wanted["b"]))
    others = groups != "a"
    assert a.gap == pytest.approx(f1_score(truth[others], answer[others]) - wanted["a"])
    draws = []
    for _ in range(1500):
        chosen = generator.choice(200, 200)
        draws.append(2 * (truth & answer)[chosen].sum() / (truth[chosen].sum() + answer[chosen].sum()))
    low, high = np.quantile(draws, [0.025, 0.975])
    assert (a.low, a.high) == pytest.approx((low, high), abs=0.15 * (high - low))
    assert a.gap_low is not None
    assert a.gap_low > 0
    assert none.value == "none"
    assert (none.num_rows, none.score, none.gap, none.gap_low) == (30, None, None, None)
    assert evaluation.groups[0].verdict.endswith("; 1 group not judged: fewer than 30 rows or no f1")
    assert "none" in str(evaluation)
    assert Evaluation.from_json(evaluation.to_json()) == evaluation


def test_a_mean_over_rows_is_the_same_either_way() -> None:
    truth, value = np.zeros(90), np.random.default_rng(0).normal(size=90)
    groups = {"g": np.array(["a", "b", "c"] * 30, object)}
    found = [
        Evaluation.compare(
            "regression", regression_scores(truth, value), {}, fingerprint="f", groups=groups, score_rows=one
        ).groups
        for one in (None, lambda chosen: regression_scores(truth[chosen], value[chosen]))
    ]
    assert found[0] == found[1]


def test_with_more_groups_each_interval_is_wider() -> None:
    """Bonferroni: three comparisons in place of one."""
    two, _ = classified({"a": (60, 80), "b": (90, 100)})
    three, _ = classified({"a": (60, 80), "b": (45, 50), "c": (45, 50)})
    one, other = two.groups[0].groups[0], three.groups[0].groups[0]
    assert (one.value, other.value, one.gap) == ("a", "a", other.gap)
    assert one.gap_low is not None
    assert other.gap_low is not None
    assert other.gap_low < one.gap_low


def sentence(shares: dict[str, tuple[int, int]]) -> str:
    grouping: Grouping = classified(shares)[0].groups[0]
    return grouping.verdict


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"a": (60, 80), "b": (98, 100)}, ["served worse than all other rows in accuracy: a, by 0.23 ("]),
        ({"a": (75, 80), "b": (96, 100)}, ["no group is shown to be served worse; the widest gap is that of a, 0.02"]),
        ({"a": (60, 80), "b": (98, 100), "c": (0, 5)}, ["worse", "; 1 group not judged: fewer than 30 rows"]),
        ({"a": (3, 20), "b": (20, 20)}, ["no group can be judged: that takes 30 rows in it and in the rest"]),
        ({"a": (90, 100)}, ["no group can be judged"]),
    ],
)  # fmt: skip
def test_the_verdict_claims_no_more_than_the_rows_show(shares: dict[str, tuple[int, int]], words: list[str]) -> None:
    assert all(word in sentence(shares) for word in ["by region: ", *words])


def test_many_worse_groups_are_counted() -> None:
    shares = {f"g{place}": (20 + place, 60) for place in range(5)} | {"rest": (1000, 1000)}
    assert sentence(shares).endswith("; and 2 more")


def test_equal_groups_are_rarely_told_apart() -> None:
    """Of 200 columns that mean nothing at most 5 % name someone; binomial noise allows 9 %."""
    generator = np.random.default_rng(0)
    truth = np.arange(400) % 2
    answer = np.where(generator.random(400) < 0.8, truth, 1 - truth)
    scores = classification_scores(truth, np.eye(2)[answer], ["no", "yes"])
    columns = {str(place): generator.choice(list("abcd"), 400).astype(object) for place in range(200)}
    found = Evaluation.compare("classification", scores, {}, fingerprint="f", groups=columns).groups
    assert sum("served worse than" in one.verdict for one in found) <= 18


def test_the_text_has_a_table_of_groups() -> None:
    lines = str(classified({"north": (60, 80), "south": (95, 100)})[0]).splitlines()
    place = next(place for place, line in enumerate(lines) if line.startswith("by region: served worse"))
    assert lines[place + 1].split() == ["rows", "accuracy", "95", "%", "interval"]
    assert lines[place + 2].split()[:3] == ["north", "80", "0.7500"]
    assert lines[place + 3].split()[:3] == ["south", "100", "0.9500"]
