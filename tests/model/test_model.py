"""maas.Model: one inference path, and its way through an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pytest
import torch
from sklearn import metrics
from torch import nn

import maas
from maas import Model
from maas.data import Rows, from_arrays, read_texts
from maas.errors import DataError, RecipeError, RowError
from maas.preprocess import Table
from maas.schema import Field, Schema
from maas.task import Answers, Classification, Regression

Parts = tuple[Rows, Rows]


def _equal(one: Answers, other: Answers) -> bool:
    return one.names == other.names and all(np.array_equal(one[name], other[name]) for name in one.columns)


def test_predict_is_join_of_stream_of_prepare(wine_model: Model, wine_split: Parts) -> None:
    """Reference: the network and softmax called by hand on the standardised numbers."""
    rows = wine_split[1]
    prepared = wine_model.prepare(rows)
    assert prepared.errors == {}
    assert prepared.kept.tolist() == list(range(len(rows)))
    answers = wine_model.predict(rows)
    assert _equal(answers, wine_model.task.join(wine_model.stream(prepared.batch)))
    raw = np.stack([rows.columns[name] for name in rows.schema.names], axis=1)
    x = torch.from_numpy(((raw - wine_model.preprocess.mean) / wine_model.preprocess.scale).astype(np.float32))
    with torch.no_grad():
        wanted = torch.softmax(wine_model.network(x), dim=1).numpy()
    np.testing.assert_allclose(answers["probabilities"], wanted, rtol=1e-6)
    assert np.array_equal(wine_model.predict_proba(rows), answers["probabilities"])


def test_many_rows_are_answered_as_each_alone(wine_model: Model, wine_split: Parts) -> None:
    """Passes of 4,096 rows: the joints must neither lose, repeat nor reorder a row."""
    rows = wine_split[1].take(np.arange(9000) % len(wine_split[1]))
    labels, wanted = wine_model.predict(rows)["label"], wine_model.predict(wine_split[1])["label"]
    assert labels.tolist() == np.resize(wanted, 9000).tolist()


@pytest.mark.parametrize("network", [maas.nn.TextRNN, maas.nn.TextCNN])
def test_rows_run_by_length_are_answered_in_their_order(network: type[nn.Module]) -> None:
    """Reference: the network called by hand on all rows at once, padded to the longest."""
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(list("abcdef"), size)) for size in generator.permutation([100, 40, 1] * 30)]
    labels = [text.count("a") * 5 > text.count(" ") for text in texts]
    rows = read_texts(pandas.DataFrame({"text": texts, "label": labels}), text="text", target="label")
    model = maas.fit(maas.recipe(network), rows, epochs=1, device="cpu", progress=False)
    prepared = model.prepare(rows)
    assert len(prepared.batch.passes(maas.nn.steps_a_pass(model.network))) > 1
    with torch.no_grad():
        wanted = torch.sigmoid(model.network(**prepared.batch.inputs)[:, 0]).numpy()
    np.testing.assert_allclose(model.predict(rows)["probabilities"][:, 1], wanted, rtol=1e-5)


def test_what_is_set_for_the_network_is_not_set_for_whoever_takes_its_answers(
    wine_model: Model, wine_split: Parts
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for _ in wine_model.stream(wine_model.prepare(wine_split[1]).batch):
            assert not torch.is_inference_mode_enabled()
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_one_mapping_gives_a_dict(wine_model: Model, wine_split: Parts) -> None:
    row = wine_split[1].to_dicts()[0]
    answer = wine_model.predict(row)
    assert type(answer) is dict
    assert answer == wine_model.predict([row])[0]
    assert type(answer["label"]) is int
    assert list(answer["probabilities"]) == ["0", "1", "2"]
    assert wine_model.predict_proba(row).shape == (1, 3)


@pytest.mark.parametrize("name", ["wine_model", "mixed_model"])
def test_every_form_of_the_same_rows_is_answered_alike(name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(name)
    rows = request.getfixturevalue("wine_split" if name == "wine_model" else "mixed")[1]
    dicts = rows.to_dicts()
    wanted = model.predict(rows)
    frame = pandas.DataFrame(dicts)
    forms = [dicts, tuple(dicts), frame, frame[frame.columns[::-1]], frame.assign(more=1), polars.DataFrame(dicts)]
    forms.append(polars.DataFrame(dicts).to_arrow())
    for form in forms:
        assert _equal(model.predict(form), wanted), type(form)


def test_a_frame_keeps_its_order_whatever_its_index(wine_model: Model, wine_split: Parts) -> None:
    frame = pandas.DataFrame(wine_split[1].to_dicts())
    shuffled = frame.sample(frac=1, random_state=0)
    assert _equal(wine_model.predict(shuffled), wine_model.predict(frame).take(shuffled.index.to_numpy()))


def test_an_array_serves_a_schema_of_one_field(vector_model: Model, wine_model: Model) -> None:
    x = np.random.default_rng(1).normal(size=(5, 3))
    wanted = vector_model.predict([{"x": row} for row in x.tolist()])
    for form in (x, torch.from_numpy(x), np.asfortranarray(x), [{"x": row} for row in x]):
        assert _equal(vector_model.predict(form), wanted)
    with pytest.raises(DataError, match="rows must be named: the model takes the fields alcohol, malic_acid"):
        wine_model.predict(x)
    with pytest.raises(DataError, match=r"column 'x' must be numbers of shape \(5, 3\), got dtype float64, shape"):
        vector_model.predict(x[:, :2])


@pytest.mark.parametrize("rows", ["wine.csv", b"x", 3, 2.5, None, Path("wine.csv")])
def test_what_are_no_rows_is_refused(wine_model: Model, rows: Any) -> None:
    with pytest.raises(DataError, match=r"rows are mappings, maas.data.Rows, a data frame or an array, got"):
        wine_model.predict(rows)


def test_no_row_is_told(wine_model: Model) -> None:
    with pytest.raises(DataError, match="there is no row to answer"):
        wine_model.predict([])


def _bad_rows(rows: list[dict[str, Any]]) -> dict[int, tuple[dict[str, Any] | Any, str]]:
    """Bad rows by position, with what must be said of them."""
    good = rows[0]
    without = {name: value for name, value in good.items() if name != "ash"}
    return {
        1: ({**good, "alcohol": "strong"}, "field 'alcohol' must be a number, got 'strong'"),
        2: (without, "field 'ash' is missing"),
        4: ({**good, "alcool": 1.0}, "there is no field 'alcool'; did you mean 'alcohol'"),
        5: ({**good, "hue": None}, "field 'hue' must be a number, got null"),
        6: ({**good, "hue": float("inf")}, "field 'hue' must be finite, got infinity"),
        7: ("row", "a row must be an object of fields, got 'row'"),
        9: ({**good, "proline": 1e300}, "field 'proline' is too large for the model"),
        10: ({**good, "ash": True}, "field 'ash' must be a number, got True"),
    }


def test_bad_rows_are_told_and_the_good_ones_answered(wine_model: Model, wine_split: Parts) -> None:
    rows: list[Any] = wine_split[1].to_dicts()[:12]
    bad = _bad_rows(rows)
    sent = [bad[row][0] if row in bad else rows[row] for row in range(12)]
    prepared = wine_model.prepare(sent)
    assert set(prepared.errors) == set(bad)
    for row, (_, detail) in bad.items():
        assert prepared.errors[row].row == row
        assert detail in prepared.errors[row].detail
    assert prepared.errors[2].field == "ash"
    kept = [row for row in range(12) if row not in bad]
    assert prepared.kept.tolist() == kept
    answers = wine_model.task.join(wine_model.stream(prepared.batch))
    wanted = wine_model.predict([rows[row] for row in kept])
    np.testing.assert_array_equal(answers["label"], wanted["label"])
    np.testing.assert_allclose(answers["probabilities"], wanted["probabilities"], rtol=1e-6)


def test_predict_names_the_bad_row(wine_model: Model, wine_split: Parts) -> None:
    rows = wine_split[1].to_dicts()[:3]
    rows[2]["hue"] = None
    with pytest.raises(RowError, match="row 2: field 'hue' must be a number, got null") as caught:
        wine_model.predict(rows)
    assert (caught.value.row, caught.value.field) == (2, "hue")


def test_predict_names_five_bad_rows_and_counts_the_others(wine_model: Model, wine_split: Parts) -> None:
    rows = wine_split[1].to_dicts()[:12]
    bad = _bad_rows(rows)
    sent = [bad[row][0] if row in bad else rows[row] for row in range(12)]
    with pytest.raises(
        DataError, match=r"8 of 12 rows cannot be answered: row 1: .*; row 2: .*; row 6: .*; and 3 more"
    ):
        wine_model.predict(sent)


def test_a_frame_without_a_column_is_refused(wine_model: Model, wine_split: Parts) -> None:
    frame = pandas.DataFrame(wine_split[1].to_dicts()).rename(columns={"ash": "asch"})
    with pytest.raises(DataError, match="column 'ash' is missing; did you mean 'asch'"):
        wine_model.predict(frame)


def test_a_regression_has_no_probabilities(mixed_model: Model, mixed: Parts) -> None:
    with pytest.raises(DataError, match="a regression has no probabilities; use predict"):
        mixed_model.predict_proba(mixed[1])


def test_scores_of_a_classification(wine_model: Model, wine_split: Parts) -> None:
    """Reference: scikit-learn on what `predict` answers."""
    test = wine_split[1]
    answers, truth = wine_model.predict(test), test.target.astype(int)
    evaluation = wine_model.evaluate(test)
    chosen = answers["label"].astype(int)
    probabilities = answers["probabilities"].astype(float)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    assert {name: value for name, value in evaluation.scores.items() if name != "ece"} == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, chosen),
            "precision": metrics.precision_score(truth, chosen, average="macro"),
            "recall": metrics.recall_score(truth, chosen, average="macro"),
            "f1": metrics.f1_score(truth, chosen, average="macro"),
            "roc_auc": metrics.roc_auc_score(truth, probabilities, multi_class="ovr"),
            "log_loss": metrics.log_loss(truth, probabilities),
        },
        rel=1e-5,
    )
    assert np.array_equal(evaluation.confusion, metrics.confusion_matrix(truth, chosen))
    assert (evaluation.num_rows, evaluation.baselines, evaluation.num_duplicates) == (len(test), (), None)


def test_scores_of_a_regression_beside_baselines(mixed_model: Model, mixed: Parts) -> None:
    """Reference: scikit-learn on what `predict` answers, and numpy for the training mean."""
    train, test = mixed
    values = mixed_model.predict(test)["value"]
    evaluation = mixed_model.evaluate(test, baselines_from=train)
    assert evaluation.scores == pytest.approx(
        {
            "mae": metrics.mean_absolute_error(test.target, values),
            "rmse": metrics.root_mean_squared_error(test.target, values),
            "r2": metrics.r2_score(test.target, values),
        }
    )
    found = {one.name: one for one in evaluation.baselines}
    assert set(found) == {"mean", "ridge regression", "boosted trees"}
    mean = np.sqrt(np.square(train.target.mean() - test.target).mean())
    assert found["mean"].scores["rmse"] == pytest.approx(mean)
    assert found["mean"].difference == pytest.approx(mean - evaluation.scores["rmse"])
    assert evaluation.num_duplicates == 0


def test_rows_that_the_model_was_taught_are_known_without_them(tmp_path: Path) -> None:
    """They are all that it was taught, or all that was split off, once or twice, or cut into folds."""
    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    whole = from_arrays(x, np.where(x[:, 0] > 0, "yes", "no"))
    train, test = whole.split(test=0.25)
    fitted = maas.fit(maas.recipe(maas.nn.MLP), train, epochs=1, validation=1 / 3, device="cpu", progress=False)
    model = Model.load(fitted.save(tmp_path / "model"))
    seen = [model.evaluate(rows).num_duplicates for rows in (whole, train, test, whole.take(range(59)))]
    assert seen == [30, 45, None, None]
    assert "60 test rows, classification; 30 of them stand among the training rows too" in str(model.evaluate(whole))
    again = maas.fit(maas.recipe(maas.nn.MLP), train.split(test=0.2)[0], epochs=1, device="cpu", progress=False)
    parts = maas.fit(maas.recipe(maas.nn.MLP), whole.folds(3)[0][0], epochs=1, device="cpu", progress=False)
    assert [one.evaluate(whole).num_duplicates for one in (again, parts)] == [
        one.card["data"]["num_rows"] for one in (again, parts)
    ]
    for odd in (None, {"split_from": whole.fingerprint(), "num_rows": "many"}):
        model.card["data"] = odd
        assert model.evaluate(whole).num_duplicates is None


def test_baselines_of_a_classification(cancer_model: Model, cancer_split: Parts) -> None:
    """Reference: the share of the commonest training class among the test rows."""
    train, test = cancer_split
    evaluation = cancer_model.evaluate(test, baselines_from=train)
    found = {one.name: one.scores["accuracy"] for one in evaluation.baselines}
    assert set(found) == {"majority class", "logistic regression", "boosted trees"}
    assert found["majority class"] == pytest.approx(np.mean(test.target == "benign"))
    assert min(found["logistic regression"], found["boosted trees"]) > 0.9


def test_evaluate_takes_arrays(vector_model: Model) -> None:
    x = np.random.default_rng(2).normal(size=(30, 3))
    truth = x[:, 0] > 0
    wanted = np.mean(vector_model.predict(x)["label"] == truth)
    assert vector_model.evaluate((x, truth)).scores["accuracy"] == pytest.approx(wanted)


def test_rows_without_target_cannot_be_scored(vector_model: Model) -> None:
    x = np.random.default_rng(2).normal(size=(30, 3))
    with pytest.raises(DataError, match="`test` has no target to score against; read it with target="):
        vector_model.evaluate(from_arrays(x))
    with pytest.raises(DataError, match="`baselines_from` has no target to score against"):
        vector_model.evaluate((x, x[:, 0] > 0), baselines_from=from_arrays(x))


def _by_hand(network: nn.Module, recipe: maas.Recipe, task: Any, fields: int = 2) -> Model:
    schema = Schema(tuple(Field(f"f{place}", "numeric", "number") for place in range(fields)))
    return Model(network, recipe=recipe, schema=schema, preprocess=Table.identity(schema), task=task, target="y")


def _three() -> Classification:
    return Classification(("a", "b", "c"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": [5]}, r"'hidden.0.bias' is torch.float32 \(5,\) by the recipe, torch.float32 \(4,\)"),
        ({"hidden": []}, "only one has 'hidden.0.bias'"),
        ({"hidden": [4], "normalization": "layer"}, "only one has 'hidden.1.bias'"),
        ({"hidden": [4], "out_features": 2}, r"'output.bias' is torch.float32 \(2,\) by the recipe"),
    ],
)
def test_a_recipe_of_another_network_is_refused_naming_the_tensor(arguments: dict[str, Any], message: str) -> None:
    recipe = maas.recipe(maas.nn.MLP, **{"in_features": 2, "out_features": 3, **arguments})
    with pytest.raises(RecipeError, match=f"the recipe 'mlp' does not describe this network: {message}"):
        _by_hand(maas.nn.MLP(2, 3, hidden=(4,)), recipe, _three())


@pytest.mark.parametrize(
    ("in_features", "out_features", "task"),
    [
        (3, 3, _three()),  # the preprocessing gives two numbers
        (2, 2, _three()),  # three classes want three outputs
        (2, 2, Classification(("a", "b"))),  # two classes want one output; the second would be passed over in silence
        (2, 3, Regression()),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(in_features: int, out_features: int, task: Any) -> None:
    """Model's docstring: "Raises DataError: the parts do not fit together"."""
    recipe = maas.recipe(maas.nn.MLP, in_features=in_features, out_features=out_features, hidden=())
    with pytest.raises(DataError):
        _by_hand(maas.nn.MLP(in_features, out_features, hidden=()), recipe, task)


def test_scores_by_group_are_those_of_its_rows_alone(mixed_model: Model, mixed: Parts) -> None:
    """Reference: scikit-learn on the rows of each group, chosen by numpy; of a field, and of a column left out."""
    test = mixed[1]
    values = mixed_model.predict(test)["value"]
    evaluation = mixed_model.evaluate(test, groups=["used", "colour"])
    assert [one.name for one in evaluation.groups] == ["used", "colour"]
    for grouping, texts in zip(evaluation.groups, (("true", "false"), ("red", "blue", "(missing)")), strict=True):
        assert {one.value for one in grouping.groups} <= set(texts)
        for one in grouping.groups:
            wanted = {"true": 1.0, "false": 0.0, "(missing)": None}.get(one.value, one.value)
            chosen = np.array([value == wanted for value in test.columns[grouping.name]])
            assert one.num_rows == chosen.sum()
            rmse = metrics.root_mean_squared_error(test.target[chosen], values[chosen])
            assert one.score == pytest.approx(rmse)
            assert one.low <= one.score <= one.high


def test_groups_must_name_a_column(wine_model: Model, wine_split: Parts) -> None:
    with pytest.raises(DataError, match="`groups` names no column: got 'asch', there are alcohol"):
        wine_model.evaluate(wine_split[1], groups="asch")


def test_prepared_in_parts_rows_keep_their_positions(vector_model: Model) -> None:
    """Parts are of 4,096 rows."""
    rows: list[Any] = [{"x": [0.0, 1.0, float(row)]} for row in range(9000)]
    rows[5000] = {"x": [1.0]}
    parts = list(vector_model.prepared(rows))
    assert [len(part.batch) for part in parts] == [4096, 4095, 808]
    assert np.concatenate([part.kept for part in parts]).tolist() == [row for row in range(9000) if row != 5000]
    assert [str(error) for part in parts for error in part.errors.values()] == [
        "row 5000: field 'x' must be 3 numbers, got list of 1"
    ]
    assert list(parts[1].errors) == [5000]
