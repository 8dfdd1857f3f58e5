"""Drift: what a card tells of training rows, and how far others are from them."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

import maas
from maas.data import Rows, read_table
from maas.data._cells import as_objects
from maas.errors import DataError, FormatError
from maas.metrics import Drift, distribution, population_stability
from maas.schema import Columns, Field, Schema

NUMBER = Field("n", "numeric", "number", nullable=True)
LABEL = Field("c", "categorical", "label", nullable=True)
TEXT = Field("t", "text", "string")
VECTOR = Field("v", "numeric", "number", (3,))
STEPS = Field("s", "sequence", "number", (None, 2))


def counted(schema: Schema, train: Columns, served: Columns) -> Drift:
    drift = Drift(schema, json.loads(json.dumps(distribution(schema, train))))
    drift.add(served)
    return drift


def test_stability_of_bins_counted_by_hand() -> None:
    """(0.25 - 0.5) ln(0.25 / 0.5) + (0.25 - 0.3) ln(0.25 / 0.3) + (0.5 - 0.2) ln(0.5 / 0.2)"""
    wanted = 0.25 * math.log(2) + 0.05 * math.log(1.2) + 0.3 * math.log(2.5)
    assert population_stability([0.5, 0.3, 0.2], [5, 5, 10]) == pytest.approx(wanted, rel=1e-12)
    assert population_stability([5, 3, 2], [50, 30, 20]) == 0.0
    assert math.isnan(population_stability([0.5, 0.5], [0, 0]))
    empty = (1 - 0.5) * math.log(1 / 0.5) + (1e-4 - 0.5) * math.log(1e-4 / 0.5)
    assert population_stability([0.5, 0.5], [7, 0]) == pytest.approx(empty, rel=1e-12)


@pytest.mark.parametrize(
    ("reference", "counts", "message"),
    [
        ([0.5, 0.5], [1], r"must have a number for each bin, got shapes \(2,\) and \(1,\)"),
        ([0.5, -0.5], [1, 1], "must be 0 or more"),
        ([0.5, 0.5], [1, math.nan], "must be 0 or more"),
        ([0, 0], [1, 1], "some share expected"),
    ],
)
def test_shares_and_counts_that_are_none(reference: list[float], counts: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        population_stability(reference, counts)


def test_numbers_lie_between_numpys_quantiles() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    values[::10] = np.nan
    told = distribution(Schema((NUMBER,)), {"n": values})["n"]
    np.testing.assert_allclose(told["edges"], np.nanquantile(values, np.arange(1, 10) / 10), rtol=1e-5)
    assert told["missing"] == 0.1
    assert told["shares"] == pytest.approx([0.09] * 10, abs=0.002)


def test_a_common_value_is_one_edge_and_few_rows_make_few_bins() -> None:
    schema = Schema((NUMBER,))
    told = distribution(schema, {"n": np.array([0.0] * 95 + [1.0] * 5)})["n"]
    assert told == {"edges": [0.0], "shares": [0.95, 0.05], "missing": 0.0}
    assert len(distribution(schema, {"n": np.arange(12.0)})["n"]["edges"]) == 1
    assert distribution(schema, {"n": np.arange(4.0)})["n"] == {"edges": [], "shares": [1.0], "missing": 0.0}


def test_rare_categories_stand_in_the_rest_without_a_name() -> None:
    column = as_objects(["red"] * 50 + ["blue"] * 40 + ["Ada Lovelace"] * 4 + [None] * 6)
    told = distribution(Schema((LABEL,)), {"c": column})["c"]
    assert told == {"categories": {"blue": 0.4, "red": 0.5}, "rest": 0.04, "missing": 0.06}
    many = as_objects([f"v{number}" for number in range(60) for _ in range(6)])
    assert len(distribution(Schema((LABEL,)), {"c": many})["c"]["categories"]) == 50


def test_texts_sequences_and_lists_of_numbers_are_told_by_one_number_a_row() -> None:
    generator = np.random.default_rng(0)
    sizes = generator.integers(1, 40, 200).tolist()
    columns = {
        "t": as_objects(["x" * size for size in sizes]),
        "s": as_objects([np.zeros((size, 2)) for size in sizes]),
        "v": generator.normal(size=(200, 3)),
    }
    told = distribution(Schema((TEXT, STEPS, VECTOR)), columns)
    assert told["t"] == told["s"]
    np.testing.assert_allclose(told["t"]["edges"], np.quantile(sizes, np.arange(1, 10) / 10), rtol=1e-5)
    means = columns["v"].mean(axis=1)
    np.testing.assert_allclose(told["v"]["edges"], np.quantile(means, np.arange(1, 10) / 10), rtol=1e-5)


def test_nothing_is_told_of_images_users_and_long_lists() -> None:
    fields = (
        Field("i", "image", "bytes"), Field("u", "user", "label"), Field("l", "items", "label", (None,)),
        Field("long", "numeric", "number", (257,)),
    )  # fmt: skip
    columns = {
        "i": as_objects([b"x"] * 9),
        "u": as_objects(["u"] * 9),
        "l": as_objects([("a",)] * 9),
        "long": np.ones((9, 257)),
    }
    assert distribution(Schema(fields), columns) == {}
    assert Drift(Schema(fields), {}).stability() == {}


def test_counts_are_those_of_searchsorted_and_counter() -> None:
    generator = np.random.default_rng(1)
    schema = Schema((NUMBER, Field("m", "numeric", "number"), LABEL))

    def rows(count: int, shift: float) -> Columns:
        n = generator.normal(shift, 1, count)
        n[generator.random(count) < 0.2] = np.nan
        labels = generator.choice(["a", "b", "c", None], count)
        return {"n": n, "m": generator.normal(size=count), "c": as_objects(labels.tolist())}

    train, served = rows(500, 0), rows(300, 1)
    served["c"][:30] = "new"
    drift = counted(schema, train, {name: column[:100] for name, column in served.items()})
    drift.add(served, np.arange(100, 300))
    told = distribution(schema, train)
    assert drift.num_rows == 300
    for name in ("n", "m"):
        values = served[name]
        places = np.searchsorted(told[name]["edges"], values[~np.isnan(values)], side="left")
        counts = [*np.bincount(places, minlength=10), np.isnan(values).sum()]
        wanted = population_stability([*told[name]["shares"], told[name]["missing"]], counts)
        assert drift.stability()[name] == pytest.approx(wanted, rel=1e-12)
    tally = Counter(served["c"])
    wanted = population_stability(
        [*told["c"]["categories"].values(), told["c"]["rest"], told["c"]["missing"]],
        [*(tally[name] for name in told["c"]["categories"]), tally["new"], tally[None]],
    )
    assert drift.stability()["c"] == pytest.approx(wanted, rel=1e-12)
    assert drift.unknown() == {"c": tally["new"] / 300}
    drift.reset()
    assert math.isnan(drift.stability()["n"])


def test_a_rare_category_of_the_training_rows_is_not_unknown() -> None:
    schema = Schema((Field("c", "categorical", "label", values=("common", "rare")),))
    drift = counted(
        schema, {"c": as_objects(["common"] * 20 + ["rare"])}, {"c": as_objects(["rare", "common", "never"])}
    )
    assert drift.unknown() == {"c": 1 / 3}


def test_fit_writes_it_and_drift_is_seen(tmp_path: Any) -> None:
    import pandas

    generator = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {"a": generator.normal(size=400), "b": generator.choice(["x", "y"], 400), "price": generator.normal(size=400)}
    )
    train: Rows
    train, test = read_table(frame, target="price").split(test=0.25, seed=0)
    model = maas.fit(maas.recipe(maas.nn.MLP, hidden=(4,)), train, epochs=1, device="cpu", progress=False)
    model = maas.load(model.save(tmp_path / "m"))
    drift = Drift(model.schema, model.card["data"]["distribution"])
    prepared = model.prepare(test)
    drift.add(prepared.columns, prepared.kept)
    still = drift.stability()
    assert max(still.values()) < 0.25
    drift.reset()
    moved = {**prepared.columns, "a": prepared.columns["a"] + 3}
    drift.add(moved)
    assert drift.stability()["a"] > 2
    assert drift.stability()["b"] == still["b"]


@pytest.mark.parametrize(
    "told",
    [
        {"n": {}},
        {"n": 3},
        {"n": {"edges": [1.0, 0.0], "shares": [0.3, 0.3, 0.4], "missing": 0.0}},
        {"n": {"edges": [1.0], "shares": [1.0], "missing": 0.0}},
        {"n": {"edges": list(range(20)), "shares": [1 / 21] * 21, "missing": 0.0}},
        {"n": {"edges": [1.0], "shares": [0.5, 5], "missing": 0.0}},
        {"n": {"edges": ["x"], "shares": [0.5, 0.5], "missing": 0.0}},
        {"c": {"categories": ["a"], "rest": 0.0, "missing": 0.0}},
    ],
)
def test_a_card_that_no_maas_wrote(told: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match=r"the card's distribution of '[nc]' cannot be used"):
        Drift(Schema((NUMBER, LABEL)), told)
