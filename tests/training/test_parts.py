"""The validation part: given or carved, it teaches nothing, and it is like what it was split from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
import torchvision

import maas
from maas.data import Rows, from_arrays, read_images, read_table
from maas.errors import DataError
from maas.preprocess import Table
from maas.schema import Columns, Schema
from maas.training._parts import carve

Parts = tuple[Rows, Rows]
SMALL = maas.recipe(maas.nn.MLP, hidden=(6,))


def _fit(train: Any, validation: Any = None, recipe: maas.Recipe = SMALL, **settings: Any) -> maas.Model:
    return maas.fit(recipe, train, validation, **{"epochs": 2, "device": "cpu", "progress": False, **settings})


def _noise(rows: int, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Nothing to learn: labels that have nothing to do with the numbers."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(rows, 4)), generator.integers(0, 2, rows)


class Spy(Table):
    """Remembers the columns that it learned from."""

    seen: Columns

    @classmethod
    def learn(cls, schema: Schema, columns: Columns) -> Table:
        cls.seen = columns
        return Table.learn(schema, columns)


def test_a_given_validation_part_teaches_nothing() -> None:
    """Reference: numpy's mean and deviation of the training rows alone; the validation rows are absurdly far off."""
    x, y = _noise(40)
    model = _fit((x, y), (x[:10] * 1e6 + 1e9, y[:10]))
    np.testing.assert_allclose(model.preprocess.mean, x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(model.preprocess.scale, x.std(axis=0), rtol=1e-12)
    assert model.card["data"]["num_rows"] == 40
    assert model.card["data"]["num_validation_rows"] == 10


def test_a_given_validation_part_does_not_teach_the_target_either() -> None:
    x, _ = _noise(40)
    y = np.linspace(0, 1, 40)
    model = _fit((x, y), (x[:10] + 1, y[:10] + 1e6), task="regression")
    assert model.task.mean == pytest.approx(y.mean(), rel=1e-12)
    assert model.task.scale == pytest.approx(y.std(), rel=1e-12)


def test_a_carved_validation_part_teaches_nothing(wine_split: Parts) -> None:
    train = wine_split[0]
    model = _fit(train, preprocess=Spy)
    learned = len(Spy.seen["alcohol"])
    assert model.card["data"]["num_rows"] == learned
    assert model.card["data"]["num_validation_rows"] == len(train) - learned == round(0.1 * len(train))


def _pictures(folder: Path, damaged: set[int]) -> Rows:
    random = np.random.default_rng(0)
    for place in range(24):
        image = torch.from_numpy(random.integers(0, 256, (1, 4, 4), dtype=np.uint8))
        content = torchvision.io.encode_png(image).numpy().tobytes()
        file = folder / "ab"[place % 2] / f"{place:02}.png"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content[:45] + bytes(len(content) - 57) + content[-12:] if place in damaged else content)
    return read_images(folder)


@pytest.mark.parametrize("place", [0, 5, 23])
@pytest.mark.parametrize("preprocess", [None, maas.preprocess.Image.published("resnet18", size=4)])
def test_a_row_that_cannot_be_used_is_named_as_it_was_given(place: int, preprocess: Any, tmp_path: Path) -> None:
    """By its place before a validation part was carved out, and its path; published preprocessing learns nothing."""
    rows = _pictures(tmp_path, {place})
    path = rf"{'ab'[place % 2]}/{place:02}\.png\)"
    at = place // 2 + 12 * (place % 2)
    recipe = maas.recipe(maas.nn.CNN, filters=(2,))
    for seed in range(3):
        with pytest.raises(DataError, match=rf"row {at}: field 'image' is a PNG image .*{path}"):
            _fit(rows, recipe=recipe, preprocess=preprocess, seed=seed)


def test_a_validation_row_that_cannot_be_answered_is_told_as_one(tmp_path: Path) -> None:
    rows = _pictures(tmp_path, {23})
    fine, bad = rows.take(range(20)), rows.take([23, 22, 21])
    with pytest.raises(DataError, match=r"^a validation row cannot be answered .*: row 0: .*b/23\.png\); correct or"):
        _fit(fine, bad, recipe=maas.recipe(maas.nn.CNN, filters=(2,)))


def _visits() -> pandas.DataFrame:
    generator = np.random.default_rng(0)
    return pandas.DataFrame(
        {
            "patient": np.repeat(np.arange(30.0), 4),
            "day": generator.permutation(120).astype(float),
            "level": generator.normal(size=120),
            "ill": generator.integers(0, 2, 120),
        }
    )


def test_no_group_is_torn_by_the_carved_validation_part() -> None:
    train, _ = read_table(_visits(), target="ill").split(test=0.2, group="patient")
    model = _fit(train, preprocess=Spy)
    learned = set(Spy.seen["patient"])
    kept = set(train.columns["patient"]) - learned
    assert len(kept) == round(0.1 * 24)
    assert len(Spy.seen["patient"]) == 4 * len(learned)
    assert model.card["data"]["split"] == "by group (patient)"


def test_the_carved_validation_part_comes_after_what_is_learned() -> None:
    train, _ = read_table(_visits(), target="ill").split(test=0.2, time="day")
    model = _fit(train, preprocess=Spy)
    kept = set(train.columns["day"]) - set(Spy.seen["day"])
    assert len(kept) == model.card["data"]["num_validation_rows"] >= 8
    assert max(Spy.seen["day"]) < min(kept)


def test_the_share_of_the_validation_part_can_be_said() -> None:
    assert _fit(_noise(40), validation=0.25).card["data"]["num_validation_rows"] == 10


@pytest.mark.parametrize(
    "how", [{"stratify": False}, {"group": "who"}, {"time": "when"}, {"within": "who"}, {"stratify": True}]
)
def test_a_validation_part_is_carved_by_the_policy_that_split_its_rows_off(how: dict[str, Any]) -> None:
    x, y = _noise(90)
    side = {"who": np.arange(90) % 15, "when": np.arange(90.0)}
    train, _ = replace(from_arrays(x, y), side=side).split(test=0.2, **how)
    learning, held_out, positions = carve(train, 0.2, 0, None)
    assert held_out is not None
    for part in (learning, held_out):
        assert part.policy == train.policy
        assert part.side.keys() == train.side.keys()
    assert np.array_equal(learning.columns["x"], train.columns["x"][positions])


def test_a_validation_part_with_other_fields_is_refused(wine_split: Parts, cancer_split: Parts) -> None:
    with pytest.raises(
        DataError, match=r"`validation` must have the fields of `train`: got mean_radius, .*want alcohol"
    ):
        _fit(wine_split[0], cancer_split[0])


def test_a_validation_part_with_an_unknown_label_is_refused() -> None:
    x, y = _noise(20)
    with pytest.raises(DataError, match="label '7' was not among the training rows' classes: 0, 1"):
        _fit((x, y), (x + 1, np.full(20, 7)))


def test_validation_rows_that_are_training_rows_are_told() -> None:
    x, y = _noise(20)
    with pytest.warns(UserWarning, match="5 validation rows stand in the training rows too"):
        _fit((x, y), (x[:5], y[:5]))


def test_the_schema_and_the_golden_rows_show_nothing_of_held_out_rows(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {"a": random.normal(size=200), "c": random.choice(["x", "z"], 200), "y": random.integers(0, 2, 200)}
    )
    train, test = read_table(frame, target="y").split(seed=0)
    spiked = frame.copy()
    spiked.loc[[row for row in range(200) if frame["a"][row] in test.columns["a"]], ["a", "c"]] = [999.0, "TESTONLY"]
    train, _ = read_table(spiked, target="y").split(seed=0)
    model = maas.fit(maas.recipe(maas.nn.MLP, hidden=(4,)), train, epochs=1, device="cpu", progress=False)
    assert model.schema["a"].range is not None
    assert model.schema["a"].range[1] < 10
    assert model.schema["c"].values == ("x", "z")
    assert b"TESTONLY" not in (model.save(tmp_path / "m") / "example.json").read_bytes()


@pytest.mark.parametrize("seed", range(7))
def test_a_class_of_one_row_is_learned_and_costs_no_training_run(seed: int) -> None:
    frame = pandas.DataFrame({"a": range(101), "y": ["p", "q"] * 50 + ["rare"]})
    train, test = read_table(frame, target="y").split(seed=seed)
    assert "rare" not in set(test.target.tolist())
    model = maas.fit(maas.recipe(maas.nn.MLP, hidden=(4,)), train, epochs=1, seed=seed, device="cpu", progress=False)
    assert "rare" in model.task.state()[0]["classes"]
    assert model.evaluate(test, baselines_from=train).num_rows == len(test)


def test_too_few_rows_to_carve_a_validation_part() -> None:
    with pytest.raises(DataError, match="2 rows are too few to carve a validation part out of; give at least 4"):
        maas.fit(maas.recipe(maas.nn.MLP), ([[1.0], [2.0]], [0, 1]))
