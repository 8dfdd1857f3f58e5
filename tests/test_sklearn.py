"""maas.sklearn: scikit-learn's own checks, and what its users do with an estimator."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import maas
from maas.sklearn import MaasClassifier, MaasRegressor

Array = np.ndarray[Any, Any]
IN_FLOAT32 = (
    "a row alone, or in another place, may get another seventh digit than among the others, as the network computes "
    "in float32; whether it does depends on the processor"
)


def _classifier(**settings: Any) -> MaasClassifier:
    return MaasClassifier(**{"epochs": 5, "learning_rate": 0.01, "random_state": 0, "device": "cpu", **settings})


def _regressor(**settings: Any) -> MaasRegressor:
    return MaasRegressor(**{"epochs": 5, "learning_rate": 0.01, "random_state": 0, "device": "cpu", **settings})


@pytest.fixture(scope="module")
def iris() -> tuple[Array, Array]:
    X, y = load_iris(return_X_y=True)
    return X, y


@pytest.fixture(scope="module")
def diabetes() -> tuple[Array, Array]:
    X, y = load_diabetes(return_X_y=True)
    return X, y


def _not_met(estimator: Any) -> dict[str, str]:
    """Checks that want the digits of float64."""
    names = ["check_methods_sample_order_invariance"]
    if isinstance(estimator, MaasRegressor):  # a float32 probability is let off here, a float64 value is not
        names.append("check_methods_subset_invariance")
    return dict.fromkeys(names, IN_FLOAT32)


@parametrize_with_checks([MaasClassifier(device="cpu"), MaasRegressor(device="cpu")], expected_failed_checks=_not_met)
def test_scikit_learns_own_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def test_a_search_in_a_pipeline(iris: tuple[Array, Array]) -> None:
    pipeline = make_pipeline(StandardScaler(), _classifier(epochs=10))
    rates = [1e-6, 0.01]
    search = GridSearchCV(pipeline, {"maasclassifier__learning_rate": rates}, cv=3).fit(*iris)
    assert search.best_params_ == {"maasclassifier__learning_rate": 0.01}
    assert search.best_score_ > 0.85
    assert search.score(*iris) > 0.85


def test_networks_are_searched_as_recipes(iris: tuple[Array, Array]) -> None:
    recipes = [maas.recipe(maas.nn.MLP, hidden=hidden) for hidden in ((), (32, 32))]
    search = GridSearchCV(_classifier(), {"recipe": recipes}, cv=2).fit(*iris)
    assert search.best_estimator_.recipe in recipes
    assert search.best_estimator_.model_.recipe.arguments["hidden"] in ([], [32, 32])


def test_cross_validation_of_a_classifier(iris: tuple[Array, Array]) -> None:
    assert cross_val_score(_classifier(epochs=20), *iris, cv=3).min() > 0.85  # chance is 1 / 3
    probabilities = cross_val_predict(_classifier(epochs=20), *iris, cv=3, method="predict_proba")
    assert (probabilities.argmax(axis=1) == iris[1]).mean() > 0.85


def test_cross_validation_of_a_regressor(diabetes: tuple[Array, Array]) -> None:
    assert cross_val_score(_regressor(), *diabetes, cv=3).min() > 0.25  # R2; ridge regression has 0.4, the mean 0


def test_the_defaults_are_those_of_fit() -> None:
    defaults = maas.fit.__kwdefaults__
    for estimator in (MaasClassifier(), MaasRegressor()):
        own = estimator.get_params()
        assert {name: own[name] for name in own if name in defaults} == {
            name: defaults[name]
            for name in (
                "epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "schedule", "patience", "device",
            )
        }  # fmt: skip


def test_the_answers_are_those_of_fit(iris: tuple[Array, Array], diabetes: tuple[Array, Array]) -> None:
    settings: dict[str, Any] = {"epochs": 2, "keep": "last", "seed": 7, "device": "cpu", "progress": False}
    model = maas.fit(maas.recipe(maas.nn.MLP), iris, 0, **settings)
    fitted = MaasClassifier(epochs=2, random_state=7, device="cpu").fit(*iris)
    np.testing.assert_array_equal(fitted.predict_proba(iris[0]), model.predict_proba(iris[0]))
    model = maas.fit(maas.recipe(maas.nn.MLP), diabetes, 0, **settings)
    regressor = MaasRegressor(epochs=2, random_state=7, device="cpu").fit(*diabetes)
    np.testing.assert_array_equal(regressor.predict(diabetes[0]), model.predict(diabetes[0])["value"])


def test_the_seed(iris: tuple[Array, Array]) -> None:
    X, y = iris
    first = _classifier(random_state=3).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(_classifier(random_state=np.int64(3)).fit(X, y).predict_proba(X), first)
    assert (_classifier(random_state=4).fit(X, y).predict_proba(X) != first).any()
    one, other = (_classifier(random_state=np.random.RandomState(0)).fit(X, y).predict_proba(X) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    shared = np.random.RandomState(0)
    one, other = (_classifier(random_state=shared).fit(X, y).predict_proba(X) for _ in range(2))
    assert (one != other).any()


def test_clone_and_set_params(iris: tuple[Array, Array]) -> None:
    fitted = _classifier(recipe=maas.recipe("mlp", hidden=(4,)), class_weight={0: 2.0}).fit(*iris)
    fresh = clone(fitted).set_params(epochs=1)
    assert fresh.get_params() == {**fitted.get_params(), "epochs": 1}
    with pytest.raises(NotFittedError):
        fresh.predict(iris[0])
    assert len(fresh.fit(*iris).model_.card["training"]["history"]) == 1


@pytest.mark.parametrize(
    ("labels", "stored"),
    [
        (np.array(["setosa", "virginica", "Versicolor"]), ["Versicolor", "setosa", "virginica"]),
        (np.array(["a", "TRUE", "1.0"], dtype=object), ["1.0", "TRUE", "a"]),  # in another order as maas sorts
        (np.array([2.0, -1.0, 10.0]), [-1, 2, 10]),
        (np.array([False, True]), [False, True]),
    ],
)
def test_labels_come_back_as_they_were_given(iris: tuple[Array, Array], labels: Array, stored: list[Any]) -> None:
    X, y = iris[0][iris[1] < len(labels)], labels[iris[1][iris[1] < len(labels)]]
    fitted = _classifier(epochs=10).fit(X, y)
    np.testing.assert_array_equal(fitted.classes_, np.unique(labels))
    predicted = fitted.predict(X)
    assert predicted.dtype == labels.dtype
    assert (predicted == y).mean() > 0.85
    np.testing.assert_array_equal(fitted.classes_[fitted.predict_proba(X).argmax(axis=1)], predicted)
    assert list(fitted.model_.task.classes) == stored
    np.testing.assert_array_equal(fitted.model_.predict(X)["label"].astype(labels.dtype), predicted)


def test_the_model_is_saved_and_loaded(iris: tuple[Array, Array], tmp_path: Path) -> None:
    X, y = iris
    fitted = _classifier().fit(X, y)
    loaded = maas.load(fitted.model_.save(tmp_path / "iris"))
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    assert loaded.predict({"x": X[0].tolist()})["label"] == fitted.predict(X[:1])[0]


def test_the_columns_of_a_frame_are_the_models_fields(diabetes: tuple[Array, Array], tmp_path: Path) -> None:
    frame = load_diabetes(as_frame=True).data
    fitted = _regressor().fit(frame, diabetes[1])
    assert list(fitted.feature_names_in_) == list(frame.columns)
    assert fitted.model_.schema.names == tuple(frame.columns)
    loaded = maas.load(fitted.model_.save(tmp_path / "diabetes"))
    np.testing.assert_array_equal(loaded.predict(frame)["value"], fitted.predict(frame))
    assert loaded.predict(frame.iloc[0].to_dict())["value"] == pytest.approx(fitted.predict(frame[:1])[0], rel=1e-6)
    np.testing.assert_array_equal(_regressor().fit(*diabetes).predict(diabetes[0]), fitted.predict(frame))
    with pytest.raises(ValueError, match="in the same order"):
        fitted.predict(frame[frame.columns[::-1]])


def test_missing_values(iris: tuple[Array, Array], tmp_path: Path) -> None:
    X, y = iris[0].copy(), iris[1]
    X[::7, 2] = np.nan
    for given in (X, pandas.DataFrame(X, columns=list("abcd"))):
        fitted = _classifier(epochs=20).fit(given, y)
        assert fitted.score(given, y) > 0.85
        maas.load(fitted.model_.save(tmp_path / "iris"))
    gap = np.array([[5.0, np.nan, 1.4, 0.2]])  # no row of training lacked this column
    median = np.array([[5.0, np.median(X[:, 1]), 1.4, 0.2]])
    fitted = _classifier().fit(X, y)
    np.testing.assert_array_equal(fitted.predict_proba(gap), fitted.predict_proba(median))


def test_the_validation_part_chooses_the_epoch(iris: tuple[Array, Array]) -> None:
    card = _classifier(validation=0.2, epochs=100, learning_rate=0.1, patience=3).fit(*iris).model_.card
    training = card["training"]
    assert card["data"]["num_validation_rows"] == 30
    losses = [epoch["validation_loss"] for epoch in training["history"]]
    assert training["stopped_early"]
    assert training["best_epoch"] == 1 + losses.index(min(losses)) == len(losses) - 3
    assert _classifier().fit(*iris).model_.card["data"]["num_validation_rows"] == 0


def test_a_class_that_only_the_validation_part_has_keeps_its_place(iris: tuple[Array, Array]) -> None:
    X, y = iris[0][:101], iris[1][:101]  # one row of the third class
    for seed in range(8):
        fitted = _classifier(validation=0.5, epochs=1, random_state=seed, class_weight={2: 3.0}).fit(X, y)
        assert fitted.predict_proba(X).shape == (101, 3)
        np.testing.assert_array_equal(fitted.classes_, [0, 1, 2])


def test_class_weights(iris: tuple[Array, Array]) -> None:
    X, y = iris[0][:, 1:2], np.minimum(iris[1], 1)  # 50 and 100 rows that one number hardly tells apart
    fitted = {name: _classifier(class_weight=weight).fit(X, y) for name, weight in {
        "none": None, "ones": {0: 1, 1: 1.0}, "balanced": "balanced", "alike": {0: 1.5, 1: 0.75}, "heavy": {0: 100},
    }.items()}  # fmt: skip
    shares = {name: one.predict_proba(X)[:, 0].mean() for name, one in fitted.items()}
    assert shares["none"] == shares["ones"] < shares["balanced"] == shares["alike"] < shares["heavy"]


def test_numbers_of_numpy_are_settings(iris: tuple[Array, Array]) -> None:
    grid = {"epochs": np.arange(1, 3), "learning_rate": np.logspace(-2, -1, 2, dtype=np.float32)}
    search = GridSearchCV(_classifier(validation=np.float32(0.25)), grid, cv=2, error_score="raise").fit(*iris)
    assert search.best_params_["epochs"] in (1, 2)


@pytest.mark.parametrize("copied", [lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy])
def test_a_pickle_answers_alike(iris: tuple[Array, Array], copied: Callable[[Any], Any]) -> None:
    fitted = _classifier().fit(*iris)
    other = copied(fitted)
    assert other.model_ is not fitted.model_
    np.testing.assert_array_equal(other.predict_proba(iris[0]), fitted.predict_proba(iris[0]))
    assert copied(MaasClassifier(epochs=3)).epochs == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_pickle_holds_the_network_on_the_cpu(iris: tuple[Array, Array]) -> None:
    fitted = _classifier(device="cuda").fit(*iris)
    assert fitted.model_.device.type == "cuda"
    other = pickle.loads(pickle.dumps(fitted))
    assert fitted.model_.device.type == "cuda"
    assert other.model_.device.type == "cpu"
    np.testing.assert_allclose(other.predict_proba(iris[0]), fitted.predict_proba(iris[0]), atol=1e-5)


X2 = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [3.0, 1.0]])
Y2 = np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("estimator", "X", "y", "message"),
    [
        (_classifier(), csr_array(X2), Y2, "Sparse data was passed for X, but dense data is required"),
        (_classifier(), [["red", "blue"]] * 4, Y2, "could not convert string to float"),
        (_classifier(), np.full((4, 2), np.inf), Y2, "Input X contains infinity"),
        (_classifier(), X2[:, 0], Y2, "Expected 2D array, got 1D array"),
        (_classifier(), X2, Y2[:3], "inconsistent numbers of samples"),
        (_classifier(), X2, np.stack([Y2, Y2], axis=1), "y should be a 1d array"),
        (_classifier(), X2, Y2 + 0.5, "Unknown label type: continuous"),
        (_classifier(), X2, Y2 * 0, "the target 'y' has one class only, 0"),
        (_classifier(), X2, np.array(["1", "1.0", "1", "2"]), "classes must differ as text, got '1' more than once"),
        (_classifier(), X2, Y2 + 2**53, r"an integer below 2\*\*53"),
        (_classifier(class_weight="fair"), X2, Y2, "class_weight"),
        (_classifier(class_weight={0: -1}), X2, Y2, "the weight of class 0 must be 0 or more, got -1"),
        (_classifier(class_weight={0: 0, 1: 0}), X2, Y2, "leaves nothing to learn"),
        (_regressor(), X2, Y2 * 0, "the target 'y' is 0 in every row"),
        (_regressor(), X2, np.array([0, 1, np.nan, 2]), "Input y contains NaN"),
        (_regressor(recipe="mlp"), X2, Y2, "`recipe` must be a recipe"),
        (_regressor(recipe=maas.recipe("cnn")), X2, Y2, "CNN"),
        (_regressor(epochs=0), X2, Y2, "`epochs` must be a positive integer, got 0"),
        (_regressor(learning_rate=np.float64(-1)), X2, Y2, "`learning_rate` must be positive and finite, got -1"),
        (_regressor(validation=None), X2, Y2, "`validation` must be a share of the rows from 0 to below 1, got None"),
        (_regressor(validation=1.0), X2, Y2, "`validation` must be a share of the rows from 0 to below 1, got 1.0"),
        (_regressor(patience=3), X2, Y2, "`patience` needs validation rows to look at; give `validation` too"),
        (_regressor(random_state=-1), X2, Y2, "Seed must be between 0 and"),
        (_regressor(device="abacus"), X2, Y2, "`device` 'abacus' cannot be used here"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted(estimator: Any, X: Any, y: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        estimator.fit(X, y)


def test_rows_cannot_be_weighed() -> None:
    with pytest.raises(TypeError, match="sample_weight"):
        _regressor().fit(X2, Y2, sample_weight=np.ones(4))  # type: ignore[call-arg]
