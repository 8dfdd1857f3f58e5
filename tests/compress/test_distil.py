"""maas.compress.distil: a smaller network that learned from a larger one's answers."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import maas
from maas.compress import distil, prune
from maas.compress._taught import Taught
from maas.errors import CompressionError, DataError, RecipeError
from maas.task import Batch

SMALL = maas.recipe(maas.nn.MLP, hidden=(8,), seed=1)


def rows(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    points = random.normal(size=(count, 4)).astype(np.float32)
    return points, np.digitize(points[:, 0] + points[:, 1] ** 2, [0.3, 1.5])


TRAIN, VALID = rows(600, 0), rows(300, 1)


@pytest.fixture(scope="module")
def model() -> maas.Model:
    recipe = maas.recipe(maas.nn.MLP, hidden=(64, 64), seed=0)
    return maas.fit(recipe, TRAIN, epochs=15, learning_rate=5e-3, progress=False)


def test_a_smaller_network_learns_and_its_artifact_knows_nothing_of_a_teacher(model, tmp_path):
    before = copy.deepcopy(model.network.state_dict())
    smaller = distil(
        model, VALID, recipe=SMALL, train=TRAIN, epochs=25, learning_rate=1e-2, max_drop=0.05, progress=False
    )
    assert smaller.network.hidden[0].out_features == 8
    assert type(smaller.task) is maas.task.Classification
    (told,) = smaller.card["compression"]
    assert told["method"] == "distil(mlp, epochs=25)"
    smaller.save(tmp_path / "m")
    assert json.loads((tmp_path / "m" / "artifact.json").read_text())["task"]["kind"] == "classification"
    loaded = maas.load(tmp_path / "m")
    assert np.array_equal(loaded.predict_proba(VALID[0]), smaller.predict_proba(VALID[0]))
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, before[name])
        assert not tensor.requires_grad
    assert all(parameter.requires_grad for parameter in model.network.parameters())
    assert maas.package(tmp_path / "m", store=tmp_path / "store").exists()


def test_it_follows_the_teacher_where_that_is_wrong(model):
    """Labels say nothing here: the teacher's answers to the same rows do."""
    noise = (TRAIN[0], np.random.default_rng(0).permutation(TRAIN[1]))
    options = {"recipe": SMALL, "train": noise, "epochs": 25, "learning_rate": 1e-2, "progress": False, "max_drop": 0.9}
    options |= {"keep": "last", "validation": 0}
    scores = [
        distil(model, VALID, teacher_share=share, **options).score(VALID).values["accuracy"] for share in (0.01, 1.0)
    ]
    assert scores[1] > scores[0] + 0.2


def _loss(task: maas.task.Task, target: np.ndarray, outputs: torch.Tensor, told: torch.Tensor, **options: float):
    """What a taught task makes of outputs and a teacher's, in training."""
    parts = maas.fit(
        maas.recipe(maas.nn.MLP, hidden=()),
        (np.eye(len(target), dtype=np.float32), target),
        epochs=1,
        validation=0,
        keep="last",
        progress=False,
        task=task,
    )
    taught = Taught(parts, parts.task, **options)
    taught.teacher = _Fixed(told)
    batch = Batch({"x": torch.eye(len(target))}, parts.task.encode(target))
    network = _Fixed(outputs).train()
    return taught.loss(network, batch), parts.task.loss(network, batch)


class _Fixed(torch.nn.Module):
    def __init__(self, outputs: torch.Tensor) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.outputs


def test_the_loss_of_classes_is_hintons():
    torch.manual_seed(0)
    outputs, told = torch.randn(6, 3), torch.randn(6, 3)
    found, labels = _loss("classification", np.array([0, 1, 2] * 2), outputs, told, temperature=3.0, share=0.75)
    soft = F.cross_entropy(outputs / 3, (told / 3).softmax(1), reduction="none")
    entropy = -((told / 3).softmax(1) * (told / 3).log_softmax(1)).sum(1)  # a constant, beside Hinton's cross entropy
    torch.testing.assert_close(found, 0.25 * labels + 0.75 * 9 * (soft - entropy))


def test_the_loss_of_two_classes_and_of_labels_is_that_of_each_sigmoid():
    torch.manual_seed(0)
    outputs, told = torch.randn(6, 1), torch.randn(6, 1)
    found, labels = _loss("classification", np.array([0, 1] * 3), outputs, told, temperature=2.0, share=0.5)
    soft = F.binary_cross_entropy_with_logits(outputs / 2, torch.sigmoid(told / 2), reduction="none")[:, 0]
    torch.testing.assert_close(found, 0.5 * labels + 0.5 * 4 * soft)


def test_numbers_are_drawn_to_the_mean_of_both():
    """Its gradient is that of the squared error from the mean of label and answer."""
    outputs = torch.randn(6, 1, requires_grad=True)
    told, target = torch.randn(6, 1), np.arange(6.0)
    found, _ = _loss("regression", target, outputs, told, share=0.5)
    (gradient,) = torch.autograd.grad(found.sum(), outputs)
    mean = (torch.from_numpy((target - target.mean()) / target.std()).float()[:, None] + told) / 2
    torch.testing.assert_close(gradient, 2 * (outputs - mean).detach())


def test_epochs_are_judged_by_labels_alone(model):
    taught = Taught(model, model.task)
    prepared = model.prepare(VALID[0]).batch
    batch = Batch(prepared.inputs, model.task.encode(VALID[1]))
    assert torch.equal(taught.loss(model.network.eval(), batch), model.task.loss(model.network, batch))


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(model, tmp_path):
    options = {"recipe": SMALL, "train": TRAIN, "max_drop": 0.9, "progress": False}
    through = distil(model, VALID, epochs=4, **options)

    run = tmp_path / "run"
    distil(model, VALID, epochs=2, run=run, **options)
    run = maas.Run(run, resume=True)
    again = distil(model, VALID, epochs=4, run=run, **options)
    for name, tensor in through.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name]), name
    other = prune(model, VALID, share=0.5, max_drop=0.9)
    with pytest.raises(maas.errors.RunError, match="task"):
        distil(other, VALID, epochs=4, run=run, **options)


def test_a_teacher_may_be_pruned_already(model):
    once = prune(model, VALID, share=0.25, max_drop=0.9)
    smaller = distil(once, VALID, recipe=SMALL, train=TRAIN, epochs=2, max_drop=0.9, progress=False)
    assert [one["method"] for one in smaller.card["compression"]] == ["prune(share=0.25)", "distil(mlp, epochs=2)"]


def test_what_cannot_be_taught_is_refused_by_name(model):
    with pytest.raises(DataError, match="`recipe` must be a recipe"):
        distil(model, VALID, recipe=maas.nn.MLP, train=TRAIN)
    with pytest.raises(RecipeError, match="a ease learns in closed form"):
        distil(model, VALID, recipe=maas.recipe(maas.nn.EASE), train=TRAIN)
    with pytest.raises(RecipeError, match="CNN takes one `image`"):
        distil(model, VALID, recipe=maas.recipe(maas.nn.CNN), train=TRAIN, progress=False)
    for options, message in (
        ({"temperature": 0}, "`temperature` must be above 0 and at most 100, got 0"),
        ({"teacher_share": 1.5}, "`teacher_share` must be above 0 and at most 1, got 1.5"),
        ({"preprocess": 1}, "`preprocess` follows from the model"),
    ):
        with pytest.raises(DataError, match=message):
            distil(model, VALID, recipe=SMALL, train=TRAIN, **options)
    with pytest.raises(CompressionError, match=r"distil\(mlp, epochs=1\) takes accuracy from"):
        distil(model, VALID, recipe=SMALL, train=TRAIN, epochs=1, max_drop=0.0, progress=False)


def test_an_anomaly_has_no_teacher():
    normal = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    train = maas.data.as_rows((normal, np.array(["ok"] * 190 + ["odd"] * 10)), task="anomaly")
    task = maas.task.Anomaly.with_options(normal="ok", false_alarms=0.1)
    recipe = maas.recipe(maas.nn.AutoEncoder, hidden=(8,))
    model = maas.fit(recipe, train, task=task, epochs=1, validation=0.3, progress=False)
    with pytest.raises(CompressionError, match=r"a anomaly cannot be taught .* classification, multilabel, regression"):
        distil(model, train, recipe=recipe, train=train)
