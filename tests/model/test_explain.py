"""Model.explain: what each field of a row adds to its answer."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from PIL import Image as Pillow

import maas
from maas import Model
from maas.data import Rows, from_arrays, read_table, read_texts
from maas.data._cells import as_objects
from maas.errors import DataError, RowError
from maas.preprocess import Image, Mixed, Table, Text
from maas.schema import Field, Schema
from maas.task import Classification, Regression

Parts = tuple[Rows, Rows]


def linear(preprocess: Any, task: Any, weights: list[list[float]]) -> Model:
    """A linear network over a table: its attributions are known."""
    recipe = maas.recipe(maas.nn.MLP, hidden=()).resolve(preprocess.outputs, task.num_outputs)
    network = recipe.build()
    network.output.weight.data = torch.tensor(weights)
    return Model(network, recipe=recipe, schema=preprocess.schema, preprocess=preprocess, task=task)


@pytest.fixture(scope="module")
def table() -> Table:
    schema = Schema(
        (
            Field("colour", "categorical", "label", nullable=True),
            Field("size", "numeric", "number", nullable=True),
            Field("pair", "numeric", "number", (2,)),
        )
    )
    columns = {
        "colour": as_objects(["red", "red", "blue", "blue", "rare", None]),
        "size": np.array([0.0, 2.0, 4.0, 6.0, 8.0, np.nan]),
        "pair": np.arange(12.0).reshape(6, 2),
    }
    return Table.learn(schema, columns)


def test_fields_of_a_table_add_their_columns(table: Table) -> None:
    """x is size, pair, pair, whether size is missing, then blue, red, rare ones, missing; the baseline is x = 0."""
    model = linear(table, Regression(mean=10.0, scale=2.0), [[1.0, 10.0, 100.0, 5.0, 0.1, 0.2, 0.3, 0.4]])
    rows = [{"colour": "red", "size": 8.0, "pair": [1.0, 2.0]}, {"colour": None, "size": None, "pair": [0.0, 0.0]}]
    found = json.loads(json.dumps(model.explain(rows)))
    x = model.prepare(rows).batch.inputs["x"].double().numpy()
    for told, one, label, gap in zip(found, x, (0.2, 0.4), (0.0, 5.0), strict=True):
        assert told["attributions"]["colour"] == pytest.approx(2 * label, rel=1e-5)
        assert told["attributions"]["size"] == pytest.approx(2 * (one[0] + gap), rel=1e-5, abs=1e-6)
        assert told["attributions"]["pair"] == pytest.approx([20 * one[1], 200 * one[2]], rel=1e-5)
    values = model.predict(rows)["value"]
    assert [told["output"] + 10 for told in found] == pytest.approx(values.tolist(), rel=1e-5)
    assert [list(told) for told in found] == [["output", "baseline", "gap", "attributions"]] * 2
    assert max(told["gap"] for told in found) < 1e-3


def test_the_class_answered_is_explained_or_the_one_asked_for(table: Table) -> None:
    model = linear(table, Classification(("no", "yes")), [[1.0] + [0.0] * 7])
    row = {"colour": "red", "size": 0.0, "pair": [1.0, 2.0]}
    found = model.explain(row)
    assert (found["label"], model.predict(row)["label"]) == ("no", "no")
    assert found["attributions"]["size"] > 0
    other = model.explain(row, label="yes")
    assert other["attributions"]["size"] == -found["attributions"]["size"]
    assert other["output"] == -found["output"]
    with pytest.raises(DataError, match="`label` must be one of no, yes, got 'maybe'"):
        model.explain(row, label="maybe")


def test_many_rows_of_a_trained_model_add_up(wine_model: Model, wine_split: Parts) -> None:
    rows = wine_split[1]
    found = wine_model.explain(rows)
    assert [told["label"] for told in found] == wine_model.predict(rows)["label"].tolist()
    for told in found:
        added = sum(told["attributions"].values())
        assert abs(added - (told["output"] - told["baseline"])) == pytest.approx(told["gap"], abs=1e-4)
        assert told["gap"] < 0.02 * abs(told["output"] - told["baseline"]) + 0.01
    assert found == wine_model.explain(rows.to_dicts())


def test_bad_rows_are_refused(wine_model: Model) -> None:
    with pytest.raises(RowError, match="is missing"):
        wine_model.explain([{"alcohol": 1.0}])


@pytest.mark.parametrize("tokenizer", ["word", "char", "bpe", "wordpiece"])
def test_tokens_of_a_text_have_their_places(tokenizer: str) -> None:
    texts = ["good film", "bad film", "Good  Day", "bad day"] * 6
    rows = read_texts(
        pandas.DataFrame({"text": texts, "ok": [one[0] in "gG" for one in texts]}), text="text", target="ok"
    )
    model = maas.fit(
        maas.recipe(maas.nn.TextCNN), rows, epochs=1, device="cpu", progress=False,
        preprocess=Text.with_options(tokenizer=tokenizer),
    )  # fmt: skip
    found = model.explain([{"text": "A  GOOD day"}, {"text": "bad"}])
    told = found[0]["attributions"]["text"]
    assert told["text"] == "a good day"
    assert [told["text"][one["start"] : one["end"]] for one in told["tokens"]] == [
        one["token"] for one in told["tokens"]
    ]
    assert "".join(one["token"] for one in told["tokens"]).replace(" ", "") == "agoodday"
    assert len(told["tokens"]) == int(model.prepare([{"text": "A  GOOD day"}]).batch.inputs["tokens_lengths"][0])
    added = sum(one["attribution"] for one in told["tokens"])
    assert added == pytest.approx(found[0]["output"] - found[0]["baseline"], abs=found[0]["gap"] + 1e-5)


def image(colour: int, side: int = 64) -> bytes:
    pixels = np.full((side, side, 3), 100, np.uint8)
    pixels[:16, 48:] = colour
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_map_of_an_image_shows_where_it_differs_from_the_mean_colour() -> None:
    schema = Schema((Field("image", "image", "bytes"),))
    preprocess = Image(schema, 64, 64, np.full(3, 100 / 255), np.full(3, 0.25))
    task = Classification(("a", "b", "c"))
    torch.manual_seed(0)
    recipe = maas.recipe(maas.nn.CNN).resolve(preprocess.outputs, 3)
    model = Model(recipe.build(), recipe=recipe, schema=schema, preprocess=preprocess, task=task)
    found = model.explain({"image": image(255)})
    cells = np.array(found["attributions"]["image"])
    assert cells.shape == (32, 32)
    assert np.abs(cells[:8, 24:]).sum() > 0
    cells[:8, 24:] = 0
    np.testing.assert_allclose(cells, 0, atol=1e-6)
    assert sum(map(sum, found["attributions"]["image"])) == pytest.approx(
        found["output"] - found["baseline"], abs=found["gap"] + 1e-5
    )


def test_mixed_rows_have_all_their_fields() -> None:
    frame = pandas.DataFrame({"note": ["good day", "bad day"] * 8, "size": [1.0, 2.0] * 8, "ok": [True, False] * 8})
    rows = read_table(frame, target="ok", types={"note": "text"})
    model = maas.fit(maas.recipe(maas.nn.Fusion), rows, epochs=1, device="cpu", progress=False)
    assert isinstance(model.preprocess, Mixed)
    found = model.explain({"note": "good day", "size": 1.0})
    assert list(found["attributions"]) == ["note", "size"]
    added = sum(one["attribution"] for one in found["attributions"]["note"]["tokens"]) + found["attributions"]["size"]
    assert added == pytest.approx(found["output"] - found["baseline"], abs=found["gap"] + 1e-5)


@pytest.mark.filterwarnings("ignore:8 normal validation rows are too few")
def test_an_anomalys_score_is_explained() -> None:
    x = np.random.default_rng(0).normal(size=(80, 3))
    model = maas.fit(
        maas.recipe(maas.nn.AutoEncoder, hidden=(4,)), from_arrays(x), task="anomaly", epochs=2, device="cpu",
        progress=False,
    )  # fmt: skip
    found = model.explain({"x": [4.0, 0.0, 0.0]})
    assert found["output"] == pytest.approx(model.predict({"x": [4.0, 0.0, 0.0]})["score"], rel=1e-5)
    assert sum(found["attributions"]["x"]) == pytest.approx(
        found["output"] - found["baseline"], abs=found["gap"] + 1e-4
    )
    with pytest.raises(DataError, match="an anomaly has no labels to explain, got `label` 'odd'; leave it out"):
        model.explain({"x": [4.0, 0.0, 0.0]}, label="odd")


def test_a_task_that_cannot_be_explained_says_so() -> None:
    series = pandas.DataFrame({"load": np.sin(np.arange(80.0))})
    rows = maas.data.windows(series, window=8, horizon=2)
    model = maas.fit(maas.recipe(maas.nn.RNN), rows, epochs=1, device="cpu", progress=False)
    with pytest.raises(DataError, match="a forecast cannot be explained; classes, labels, regressions and anomalies"):
        model.explain(rows.take([0]))


def test_what_cannot_be_explained_says_so() -> None:
    frame = pandas.DataFrame({"user": list("aabbcc"), "item": list("xyxyxy")})
    rows = maas.data.read_interactions(frame, user="user", item="item")
    model = maas.fit(maas.recipe(maas.nn.Popularity), rows)
    with pytest.raises(DataError, match="rows of the kind 'interactions' cannot be explained"):
        model.explain({"user": "a"})
