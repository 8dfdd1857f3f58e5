"""maas.task.Classification, its loss and answers against torch.nn.functional."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from maas import task
from maas.data._cells import as_objects
from maas.errors import DataError, FormatError
from maas.schema import Field, Schema
from maas.task import Answers, Batch, Classification

ONE_FIELD = Schema((Field("x", "numeric", "number"),))

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.2, 0.5, 0.3]], np.float32)


def _answers() -> Answers:
    return Classification((0, 1, 2)).answers(PROBABILITIES)


def _network(outputs: int) -> torch.nn.Module:
    class Named(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x)

    return Named(4, outputs).double()


@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_loss_and_answers_of_each_row(num_classes: int) -> None:
    """Reference: torch's softmax cross entropy row by row; for two classes over the logits (0, z)."""
    learned = Classification(tuple(range(num_classes)))
    assert learned.num_outputs == (1 if num_classes == 2 else num_classes)
    network = _network(learned.num_outputs)
    x = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    target = learned.encode(as_objects([0, 1, 1, num_classes - 1, 0, 1]))
    assert target.dtype == torch.int64
    logits = network(x)
    if num_classes == 2:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    wanted = torch.stack([F.cross_entropy(row[None], place[None]) for row, place in zip(logits, target, strict=True)])
    loss = learned.loss(network, Batch({"x": x}, target))
    assert loss.shape == (6,)
    assert torch.allclose(loss, wanted, rtol=1e-12)
    with torch.no_grad():
        answers = learned.join(learned.run(network, Batch({"x": x})))
    np.testing.assert_allclose(answers["probabilities"], F.softmax(logits, dim=1).detach().numpy(), rtol=1e-6)
    assert answers["label"].tolist() == logits.argmax(dim=1).tolist()


@pytest.mark.parametrize("num_classes", [2, 3])
def test_loss_of_mixed_rows(num_classes: int) -> None:
    """Reference: the share of each class times its cross entropy."""
    learned = Classification(tuple(range(num_classes)))
    network = _network(learned.num_outputs)
    x = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    shares = torch.tensor([[0.3, 0.7], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])  # of the first two classes
    logits = network(x)
    if num_classes == 2:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    wanted = -(shares * F.log_softmax(logits, dim=1)[:, :2]).sum(dim=1)
    assert torch.allclose(learned.loss(network, Batch({"x": x}, shares)), wanted, rtol=1e-6)
    first = torch.ones(4, 1)  # no row of the batch is of a later class
    by_place = learned.loss(network, Batch({"x": x}, torch.zeros(4, dtype=torch.int64)))
    assert torch.allclose(learned.loss(network, Batch({"x": x}, first)), by_place, rtol=1e-12)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([2, 0, 10, 2, 1], (0, 1, 2, 10)),
        (["b", "a", "c", "B"], ("B", "a", "b", "c")),
        ([True, False, True], (False, True)),
        (["10", "9"], ("10", "9")),
    ],
)
def test_classes_are_sorted_and_keep_their_type(labels: list[Any], classes: tuple[Any, ...]) -> None:
    learned = Classification.learn(as_objects(labels))
    assert learned.classes == classes
    assert [type(label) for label in learned.classes] == [type(labels[0])] * len(classes)
    assert learned.encode(as_objects(labels)).tolist() == [classes.index(label) for label in labels]
    probabilities = np.eye(len(classes), dtype=np.float32)
    assert [answer["label"] for answer in learned.answers(probabilities)] == list(classes)


def test_whole_floats_become_classes_that_can_be_stored() -> None:
    """A column of 30 integers reads as float64; `fit(..., task="classification")` learns its classes from that."""
    learned = Classification.learn(np.array([0.0, 2.0, 1.0, 2.0]))
    state = json.loads(json.dumps(learned.state()[0]))
    assert Classification.from_state(state, {}) == learned


@pytest.mark.parametrize("labels", [[0.5, 1.5], [0.0, float("nan"), 1.0], [0.0, float("inf"), 1.0], [0.0, 2.0**53]])
def test_numbers_that_are_no_labels_are_refused(labels: list[float]) -> None:
    """A class is a string, an integer or a boolean (docs/artifact-format.md)."""
    with pytest.raises(DataError, match="a class is a string, an integer below 2\\*\\*53 or a boolean, got"):
        Classification.learn(np.array(labels))


@pytest.mark.parametrize(("label", "shown"), [(3, "'3'|3"), ("x", "'x'"), (True, "'true'|True")])
def test_one_class_only_is_refused(label: Any, shown: str) -> None:
    with pytest.raises(DataError, match=f"the target 'kind' has one class only, ({shown}): there is nothing to learn"):
        Classification.learn(as_objects([label] * 4), "kind")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ((), "at least two classes"),
        (("a",), "at least two classes"),
        (("a", "b", "a"), "must differ as text, got 'a' more"),
        ((1, "1"), "must differ as text, got '1' more"),
        ((True, "true"), "must differ as text, got 'true' more"),
    ],
)
def test_classes_must_be_two_and_differ(classes: tuple[Any, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Classification(classes)


def test_labels_are_known_by_their_text() -> None:
    """A CSV gives 1.0 or "1" where a frame gave 1."""
    assert Classification((0, 1, 2)).encode(as_objects([2, 1.0, "0"])).tolist() == [2, 1, 0]


def test_a_label_that_training_lacked_is_a_class_whose_answers_are_all_wrong() -> None:
    scores = Classification((0, 1, 2)).score(_answers(), as_objects([0, 7, 1]))
    assert scores.values["accuracy"] == pytest.approx(2 / 3)
    assert scores.labels == ["0", "1", "2", "7"]
    assert scores.values["roc_auc"] is None


def test_an_unknown_label_cannot_be_learned_from() -> None:
    with pytest.raises(DataError, match="label '7' was not among the training rows' classes: 0, 1, 2; remove the rows"):
        Classification((0, 1, 2)).encode(as_objects([0, 7, 1]))


def test_baselines_pass_over_rows_of_a_class_that_training_lacked() -> None:
    """It may stand in the validation part alone, which baselines are given too. Reference: without those rows."""
    learned, known = Classification(("a", "b")), np.array([0.0, 1.0, 2.0, 3.0])
    found, wanted = (
        learned.baselines(ONE_FIELD, {"x": x}, as_objects(target), {"x": known})
        for x, target in ((np.append(known, 9.0), ["a", "a", "b", "b", "new"]), (known, ["a", "a", "b", "b"]))
    )
    assert list(found) == ["majority class", "logistic regression", "boosted trees"]
    for name, answers in wanted.items():
        np.testing.assert_array_equal(found[name]["probabilities"], answers["probabilities"])
    with pytest.raises(DataError, match="label 'new' was not among the training rows' classes: a, b"):
        learned.baselines(ONE_FIELD, {"x": known[:1]}, as_objects(["new"]), {"x": known})


def test_scores_follow_from_the_answers() -> None:
    """By hand: two of three are right; log loss -(ln 0.7 + ln 0.6 + ln 0.2) / 3."""
    scores = Classification((0, 1, 2)).score(_answers(), as_objects([0, 2, 0]))
    assert scores.values["accuracy"] == pytest.approx(2 / 3)
    assert scores.values["log_loss"] == pytest.approx(-np.log([0.7, 0.6, 0.2]).mean(), rel=1e-6)
    assert scores.confusion.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_answers_are_columns_and_dicts() -> None:
    answers = Classification(("a", "b")).answers(np.array([[0.25, 0.75], [0.5, 0.5]], np.float32))
    wanted = [
        {"label": "b", "probabilities": {"a": 0.25, "b": 0.75}},
        {"label": "a", "probabilities": {"a": 0.5, "b": 0.5}},
    ]
    assert answers.to_dicts() == list(answers) == [answers[0], answers[1]] == wanted
    assert json.loads(json.dumps(answers.to_dicts())) == wanted
    assert answers["label"].tolist() == ["b", "a"]
    assert answers["probabilities"].shape == (2, 2)


def test_answers_behave_as_a_sequence() -> None:
    answers = _answers()
    dicts = answers.to_dicts()
    assert len(answers) == 3
    assert answers[-1] == dicts[2]
    assert answers[1:].to_dicts() == dicts[1:]
    assert answers[::-1].to_dicts() == dicts[::-1]
    assert answers[:0].to_dicts() == []
    assert answers.take([2, 0]).to_dicts() == [dicts[2], dicts[0]]
    assert answers.take(np.array([False, True, False])).to_dicts() == [dicts[1]]
    assert Answers.join([answers[:1], answers[1:2], answers[2:]]).to_dicts() == dicts
    for index in (3, -4):
        with pytest.raises(IndexError):
            answers[index]


def test_answers_that_are_not_finite_are_told() -> None:
    probabilities = PROBABILITIES.copy()
    probabilities[1, 2], probabilities[2, 0] = np.nan, np.inf
    assert Classification((0, 1, 2)).answers(probabilities).finite().tolist() == [True, False, False]


@pytest.mark.parametrize("classes", [(0, 1, 2), ("a", "b"), (False, True)])
def test_state_round_trip(classes: tuple[Any, ...]) -> None:
    state, arrays = Classification(classes).state()
    again = task.from_state("classification", json.loads(json.dumps(state)), arrays, ONE_FIELD)
    assert again == Classification(classes)
    assert [type(label) for label in again.classes] == [type(label) for label in classes]


@pytest.mark.parametrize(
    "state",
    [
        {"classes": [1.5, 2]},
        {"classes": [None, "a"]},
        {"classes": [["a"], ["b"]]},
        {"classes": ["a"]},
        {"classes": ["a", "a"]},
        {"classes": "ab"},
        {"classes": {"a": 0, "b": 1}},
    ],
)
def test_a_state_that_it_did_not_write_is_refused(state: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        task.from_state("classification", state, {}, ONE_FIELD)


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(
        FormatError, match=r"unknown task 'os.system'; registered are anomaly, classification, .*regression"
    ):
        task.from_state("os.system", {}, {}, ONE_FIELD)
    with pytest.raises(DataError, match=r"`task` must be one of .*classification, .*regression.*, got 'ordering'"):
        task.task_class("ordering")


@pytest.mark.parametrize("num_classes", [2, 3])
def test_label_smoothing(num_classes: int) -> None:
    """Reference: torch's cross_entropy with `label_smoothing`; for two classes over the logits (0, z)."""
    target = as_objects([0, 1, num_classes - 1, 0])
    learned = Classification.with_options(label_smoothing=0.2).learn(target)
    network, x = _network(learned.num_outputs), torch.randn(4, 4, dtype=torch.float64)
    logits = network(x)
    if num_classes == 2:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    places = learned.encode(target)
    wanted = F.cross_entropy(logits, places, reduction="none", label_smoothing=0.2)
    assert torch.allclose(learned.loss(network, Batch({"x": x}, places)), wanted, rtol=1e-9)
    shares = F.one_hot(places, num_classes).double() * 0.7 + 0.3 / num_classes  # as mixed rows have
    wanted = F.cross_entropy(logits, shares, reduction="none", label_smoothing=0.2)
    assert torch.allclose(learned.loss(network, Batch({"x": x}, shares)), wanted, rtol=1e-9)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_class_weights(num_classes: int) -> None:
    """Reference: torch's cross_entropy with `weight`; mixed rows take the mean weight of their shares."""
    given = {0: 0.5, 1: 3.0, 2: 0.0} if num_classes == 3 else {1: 3.0, "0": 0.5}
    target = as_objects([0, 1, num_classes - 1, 0])
    learned = Classification.with_options(class_weights=given).learn(target)
    assert learned.class_weights == (0.5, 3.0, 0.0)[:num_classes]
    network, x = _network(learned.num_outputs), torch.randn(4, 4, dtype=torch.float64)
    logits = network(x)
    if num_classes == 2:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    places = learned.encode(target)
    weight = torch.tensor(learned.class_weights, dtype=torch.float64)
    wanted = F.cross_entropy(logits, places, reduction="none", weight=weight)
    assert torch.allclose(learned.loss(network, Batch({"x": x}, places)), wanted, rtol=1e-6)
    shares = torch.tensor([[0.3, 0.7], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]], dtype=torch.float64)
    plain = -(shares * F.log_softmax(logits, dim=1)[:, :2]).sum(dim=1)
    wanted = plain * (shares @ weight[:2])
    assert torch.allclose(learned.loss(network, Batch({"x": x}, shares)), wanted, rtol=1e-6)


def test_balanced_class_weights_equal_scikit_learns() -> None:
    target = as_objects(["a"] * 7 + ["b"] * 2 + ["c"])
    learned = Classification.with_options(class_weights="balanced").learn(target)
    wanted = compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=target.astype(str))
    assert learned.class_weights == pytest.approx(wanted.tolist())


def test_what_only_learning_needs_is_not_stored() -> None:
    options = Classification.with_options(label_smoothing=0.1, class_weights="balanced")
    learned = options.learn(as_objects(["a", "b", "b"]))
    assert learned.state() == ({"classes": ["a", "b"]}, {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_smoothing": 1.0}, "`label_smoothing` must be from 0 to below 1, got 1.0"),
        ({"label_smoothing": -0.1}, "`label_smoothing` must be from 0 to below 1, got -0.1"),
        ({"label_smoothing": True}, "`label_smoothing` must be from 0 to below 1, got True"),
        ({"class_weights": "even"}, "`class_weights` must be \"balanced\" or a weight for each class, got 'even'"),
        ({"class_weights": {"a": -1}}, "the weight of class 'a' must be 0 or more, got -1"),
        ({"class_weights": {"a": 0, "b": 0.0}}, "`class_weights` are 0 for every class, which leaves nothing to learn"),
        ({"class_weights": {"a": float("inf")}}, "the weight of class 'a' must be 0 or more, got inf"),
        ({"class_weights": {"a": 1.0}}, "must have a weight for each class: got a, there are a, b"),
        ({"class_weights": {"a": 1, "b": 1, "c": 1}}, "must have a weight for each class: got a, b, c, there are a, b"),
        ({"threshold": 1.5}, "`threshold` must be a number from 0 to 1 or one of f1, youden, accuracy, got 1.5"),
        ({"threshold": True}, "`threshold` must be a number from 0 to 1 or one of f1, youden, accuracy, got True"),
        ({"threshold": "f2"}, "`threshold` must be a number from 0 to 1 or one of f1, youden, accuracy, got 'f2'"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Classification.with_options(**options).learn(as_objects(["a", "b"]))
