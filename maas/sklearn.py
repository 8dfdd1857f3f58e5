"""scikit-learn estimators around `maas.fit`: for pipelines, searches and cross-validation."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from maas import training
from maas.data import Rows
from maas.errors import DataError, show
from maas.model import Model
from maas.nn import Recipe
from maas.schema import Field, Schema, label_text
from maas.task import Classification, Regression, TaskLearner

__all__ = ["MaasClassifier", "MaasRegressor"]

_TO_FIT = ("epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "schedule", "patience", "device")


@dataclass(frozen=True)
class _Known:
    """A task to learn, as `maas.fit` takes it, of which all is known: the order of the classes is scikit-learn's."""

    task: Classification

    kind: ClassVar[str] = Classification.kind

    def learn(self, target: Any, name: str, schema: Schema) -> Classification:
        return self.task


class _Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both estimators share; those say what the settings mean."""

    model_: Model

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        epochs: int = 50,
        batch_size: int = 32,
        optimizer: Any = "adamw",
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        schedule: Any = "constant",
        validation: float = 0.0,
        patience: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        device: str | torch.device | None = None,
        verbose: bool = False,
    ) -> None:
        self.recipe = recipe
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.validation = validation
        self.patience = patience
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """A pickle holds the network on the CPU: where it is opened may be no such device as this one's."""
        state: dict[str, Any] = super().__getstate__()
        if "model_" in state:
            state = {**state, "model_": copy.deepcopy(self.model_).to("cpu")}
        return state

    def _learn(self, X: np.ndarray[Any, Any], target: np.ndarray[Any, Any], task: TaskLearner) -> None:
        # A search hands out the numbers of numpy, which `maas.fit` does not take for settings.
        settings = {name: _plain(getattr(self, name)) for name in _TO_FIT}
        validation = _plain(self.validation)
        if isinstance(validation, bool) or not isinstance(validation, (int, float)) or not 0 <= validation < 1:
            raise DataError(f"`validation` must be a share of the rows from 0 to below 1, got {show(validation)}")
        if self.patience is not None and not validation:
            raise DataError("`patience` needs validation rows to look at; give `validation` too, such as 0.1")
        seed = self.random_state
        generator = check_random_state(seed)
        self.model_ = training.fit(
            Recipe("mlp") if self.recipe is None else self.recipe,
            self._rows(X, target, task.kind),
            validation,
            task=task,
            keep="best" if validation else "last",
            seed=int(seed) if isinstance(seed, (int, np.integer)) else int(generator.randint(2**31)),
            progress=bool(self.verbose),
            **settings,
        )

    def _answers(self, X: Any) -> Any:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan")
        return self.model_.predict(self._rows(X))

    def _rows(self, X: np.ndarray[Any, Any], target: Any = None, task: str | None = None) -> Rows:
        """Rows with a field for each column that has a name, or with the field `x` for all of them."""
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            field = Field("x", "numeric", "number", shape=X.shape[1:], nullable=True)
            return Rows(Schema((field,)), {"x": X}, target, "y", task, source="arrays")
        fields = tuple(Field(str(name), "numeric", "number", nullable=True) for name in names)
        columns = {field.name: X[:, place] for place, field in enumerate(fields)}
        return Rows(Schema(fields), columns, target, "y", task, source="a data frame")


class MaasClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A network that learns one class a row, as a scikit-learn classifier.

    Takes numbers: arrays, or data frames, whose column names become the fields of the model. A missing value is filled
    with the training median, and where training rows lacked it too, the network is told; all numbers are standardised.
    Rows cannot be weighed one by one: there is no `sample_weight`; see `class_weight`. Text, images and whatever else
    is no table of numbers is for `maas.fit`.

    Args:
        recipe: what to train; None for `maas.recipe(maas.nn.MLP)`, two hidden layers of 64.
        epochs, batch_size, optimizer, learning_rate, weight_decay, schedule, device: as in `maas.fit`.
        validation: share of the rows, from 0 to below 1, that is kept from learning and chooses the epoch, the one of
            least loss there. With 0 the weights of the last epoch count.
        patience: stop after so many epochs without a lower validation loss; None: never.
        class_weight: what a row's loss is multiplied by: "balanced", or a weight by class, 1 for those left out.
        random_state: seed of initial weights, carving, order of rows and dropout.
        verbose: show a bar.

    Attributes:
        model_: the fitted `maas.Model`: save it, package it, serve it.
        classes_: the classes, in the order of `predict_proba`.
        n_features_in_, feature_names_in_: as everywhere in scikit-learn.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> MaasClassifier(random_state=0).fit(X, y).predict(X[:3])
    array([0, 0, 0])
    """

    classes_: np.ndarray[Any, Any]

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        epochs: int = 50,
        batch_size: int = 32,
        optimizer: Any = "adamw",
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        schedule: Any = "constant",
        validation: float = 0.0,
        patience: int | None = None,
        class_weight: str | Mapping[Any, float] | None = None,
        random_state: int | np.random.RandomState | None = None,
        device: str | torch.device | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            recipe,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            schedule=schedule,
            validation=validation,
            patience=patience,
            random_state=random_state,
            device=device,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from numbers of shape (rows, features) and a class for each row: a string, an integer or a boolean.

        Raises:
            DataError: a setting, or the classes, cannot be used.
            ValueError: scikit-learn refuses the arrays.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, places = np.unique(y, return_inverse=True)
        task = self._task(compute_class_weight(self.class_weight, classes=self.classes_, y=y))
        target = np.empty(len(places), object)
        target[:] = [task.classes[place] for place in places]
        self._learn(X, target, _Known(task))
        return self

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """The likeliest class of each row, of shape (rows,)."""
        places = self.predict_proba(X).argmax(axis=1)
        predicted: np.ndarray[Any, Any] = self.classes_[places]
        return predicted

    def predict_proba(self, X: Any) -> np.ndarray[Any, Any]:
        """Probabilities, float32 of shape (rows, classes), in the order of `classes_`."""
        probabilities: np.ndarray[Any, Any] = self._answers(X)["probabilities"]
        return probabilities

    def _task(self, weights: np.ndarray[Any, Any]) -> Classification:
        """The task of these classes and the weights of theirs, checked, and in the order of `classes_`."""
        labels = self.classes_.astype(object)
        options = Classification.with_options(class_weights=dict(zip(labels, weights.tolist(), strict=True)))
        learned = options.learn(labels, "y")
        known = {label_text(label): label for label in learned.classes}
        classes = tuple(known[label_text(label)] for label in labels)
        return Classification(classes, class_weights=tuple(weights.tolist()))


class MaasRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """A network that learns one number a row, as a scikit-learn regressor.

    Args: those of `MaasClassifier`, without `class_weight`. What is said there of the rows holds here.

    Attributes:
        model_: the fitted `maas.Model`: save it, package it, serve it.
        n_features_in_, feature_names_in_: as everywhere in scikit-learn.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from numbers of shape (rows, features) and a number for each row.

        Raises:
            DataError: a setting, or the target, cannot be used.
            ValueError: scikit-learn refuses the arrays.
        """
        X, y = validate_data(
            self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=2, y_numeric=True
        )
        self._learn(X, y.astype(np.float64), Regression)
        return self

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """The value of each row, float64 of shape (rows,)."""
        values: np.ndarray[Any, Any] = self._answers(X)["value"]
        return values


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
