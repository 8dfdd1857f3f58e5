"""maas.task.Anomaly: its threshold by hand and in the long run, what is normal, stored state, the way through fit."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch

import maas
from maas import task
from maas.data import Rows, read_images, read_sequences, read_table
from maas.data._cells import as_objects
from maas.errors import DataError, FormatError
from maas.schema import Field, Schema
from maas.task import Anomaly, Batch

ONE_FIELD = Schema((Field("x", "numeric", "number"),))


def _machines(rows: int, share: float = 0.1, seed: int = 0) -> pandas.DataFrame:
    """Four sensors that follow one another; where "state" is "broken" the second does not."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, 1)) @ np.array([[1.0, 2.0, -1.0, 0.5]]) + generator.normal(0, 0.1, (rows, 4))
    broken = generator.random(rows) < share
    x[broken, 1] *= -1
    return pandas.DataFrame(x, columns=list("abcd")).assign(state=np.where(broken, "broken", "ok"))


@pytest.fixture(scope="module")
def fitted() -> tuple[maas.Model, Rows, Rows]:
    train, test = read_table(_machines(600), target="state", task="anomaly").split(0.3, seed=0)
    options = Anomaly.with_options(normal="ok", false_alarms=0.05)
    recipe = maas.recipe(maas.nn.AutoEncoder, hidden=(16,), code=1)
    model = maas.fit(
        recipe, train, validation=0.3, task=options, epochs=15, learning_rate=0.01, device="cpu", progress=False
    )
    return model, train, test


class _Same(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_the_networks_number_is_the_loss_and_the_answer() -> None:
    learned = Anomaly(threshold=2.0)
    batch = Batch({"x": torch.tensor([[1.0], [2.0], [5.0]])}, learned.encode(as_objects("abc")))
    assert learned.loss(_Same(), batch).tolist() == [1.0, 2.0, 5.0]
    answers = learned.join(learned.run(_Same(), batch))
    assert json.loads(json.dumps(answers.to_dicts())) == [
        {"score": 0.5, "anomalous": False},
        {"score": 1.0, "anomalous": False},
        {"score": 2.5, "anomalous": True},
    ]


def test_the_threshold_is_the_conformal_quantile_of_normal_rows() -> None:
    """By hand: of 19 normal rows and 10 % the ceil(20 x 0.9) = 18th; anomalies among the rows have no say."""
    learned = Anomaly.with_options(normal="ok", false_alarms=0.1).learn(as_objects(["ok", "bad"]))
    assert not learned.is_settled
    errors = np.random.default_rng(0).permutation(np.arange(1.0, 20.0))
    truth = as_objects(["ok"] * 19 + ["bad"] * 5)
    settled = learned.settle(learned.answers(np.concatenate([errors, np.full(5, 1000.0)])), truth)
    assert (settled.threshold, settled.num_normal, settled.is_settled) == (18.0, 19, True)
    assert learned.settle(learned.answers(errors), None).threshold == 18.0


def test_too_few_rows_give_their_greatest_score_and_a_warning() -> None:
    learned = Anomaly.with_options(false_alarms=0.01).learn(None)
    message = "9 normal validation rows are too few for `false_alarms` 0.01, which takes 99: .* stands for 0.1; give"
    with pytest.warns(UserWarning, match=message):
        settled = learned.settle(learned.answers(np.arange(1.0, 10.0)), None)
    assert settled.threshold == 9.0
    assert learned.settle(learned.answers(np.arange(1.0, 100.0)), None).threshold == 99.0  # just enough


def test_false_alarms_keep_to_their_share_in_the_long_run() -> None:
    """The bound is over draws of validation rows and a further row: 4,000 of them, 99.9 % interval by the binomial."""
    generator = np.random.default_rng(0)
    learned = Anomaly.with_options(false_alarms=0.1).learn(None)
    alarms = 0
    for _ in range(4000):
        scores = generator.exponential(size=31)
        settled = learned.settle(learned.answers(scores[:30]), None)
        alarms += int(settled.answers(scores[30:])["anomalous"][0])
    exact = 1 - math.ceil(31 * 0.9) / 31  # 3 of 31 ranks
    assert abs(alarms / 4000 - exact) < 3.3 * math.sqrt(exact * (1 - exact) / 4000)


def test_errors_of_nothing_and_below_nothing() -> None:
    learned = Anomaly.with_options(false_alarms=0.5).learn(None)
    settled = learned.settle(learned.answers(np.zeros(3)), None)
    assert settled.answers(np.array([0.0, 3e38])).finite().all()
    assert settled.answers(np.array([0.0, 1e-9]))["anomalous"].tolist() == [False, True]
    with pytest.raises(DataError, match="the network of an anomaly gives errors, 0 or more, got -1; take one such as"):
        learned.settle(learned.answers(np.array([-1.0, 2.0])), None)


@pytest.mark.parametrize(
    ("normal", "target", "wanted"),
    [
        (None, None, None),
        ("ok", None, ("ok",)),
        (None, ["ok", "ok"], ("ok",)),
        (0, [0, 1, 2], ("0",)),
        (False, [True, False], ("false",)),
        (["idle", "run"], ["run", "bad", "idle"], ("idle", "run")),
        (["ok", "never seen"], ["ok", "bad"], ("never seen", "ok")),
    ],
)
def test_what_is_normal(normal: Any, target: Any, wanted: Any) -> None:
    learned = Anomaly.with_options(normal=normal).learn(None if target is None else as_objects(target))
    assert learned.normal == wanted
    if target is not None:
        teaching = learned.teaching(as_objects(target))
        assert teaching.tolist() == [maas.schema.label_text(label) in wanted for label in target]


@pytest.mark.parametrize(
    ("options", "target", "message"),
    [
        ({}, ["ok", "bad"], r"say which label of the target 'y' normal rows have, .*normal='bad'\).*'bad', 'ok'"),
        (
            {"normal": "fine"},
            ["ok", "bad"],
            "`normal` says 'fine', and no training row has that label: there are 'bad'",
        ),
        ({"normal": "a"}, [("a",), ("b",)], "the target 'y' of an anomaly is one label a row"),
    ],
)
def test_a_target_that_does_not_say_what_is_normal(options: Any, target: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Anomaly.with_options(**options).learn(as_objects(target), "y")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normal": 0.5}, "`normal` must be a label or several, such as 'ok', got 0.5"),
        ({"normal": []}, "`normal` must be a label or several, such as 'ok', got list of 0"),
        ({"false_alarms": 0}, "`false_alarms` must be a share above 0 and below 1, got 0"),
        ({"false_alarms": 1.0}, "`false_alarms` must be a share above 0 and below 1, got 1.0"),
        ({"false_alarms": True}, "`false_alarms` must be a share above 0 and below 1, got True"),
    ],
)
def test_options_out_of_range(options: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Anomaly.with_options(**options)


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan"), float("inf")])
def test_thresholds_out_of_range(threshold: float) -> None:
    with pytest.raises(DataError, match="`threshold` must be a finite number above 0, got"):
        Anomaly(threshold=threshold)


def test_state_round_trip() -> None:
    for learned in (Anomaly(), Anomaly(("ok", "run"), 0.25, 0.05, 40)):
        state, arrays = learned.state()
        assert task.from_state("anomaly", json.loads(json.dumps(state)), arrays, ONE_FIELD) == learned


GOOD = {"normal": ["ok"], "threshold": 1.0, "false_alarms": 0.01, "num_normal": 5}


@pytest.mark.parametrize(
    "change",
    [
        {"normal": "ok"},
        {"normal": [1]},
        {"threshold": 0.0},
        {"threshold": "1"},
        {"threshold": float("inf")},
        {"threshold": True},
        {"false_alarms": 2.0},
        {"false_alarms": None},
        {"num_normal": -1},
        {"num_normal": 1.5},
    ],
)
def test_a_state_that_it_did_not_write_is_refused(change: dict[str, Any]) -> None:
    assert task.from_state("anomaly", GOOD, {}, ONE_FIELD)
    with pytest.raises(FormatError):
        task.from_state("anomaly", {**GOOD, **change}, {}, ONE_FIELD)


def test_the_whole_way(fitted: tuple[maas.Model, Rows, Rows], tmp_path: Path) -> None:
    model, train, test = fitted
    assert train.policy.kind == "stratified"
    assert model.task.num_normal == int(sum(label == "ok" for label in train.target) * 0.3)
    assert model.card["training"]["settled"] == model.task.state()[0]
    evaluation = model.evaluate(test, baselines_from=train)
    assert evaluation.scores["roc_auc"] > 0.9
    assert evaluation.labels == ("normal", "anomalous")
    names = ["distance to the mean", "Mahalanobis distance", "PCA reconstruction", "isolation forest"]
    assert [one.name for one in evaluation.baselines] == names
    loaded = maas.load(model.save(tmp_path / "m", evaluation=evaluation))
    assert loaded.predict(test).to_dicts() == model.predict(test).to_dicts()
    assert loaded.task == model.task


def test_rows_that_are_not_normal_teach_nothing() -> None:
    """The same model comes of the normal rows alone, and of these among broken ones."""
    table = _machines(200)
    normal = table[table.state == "ok"]
    validation = read_table(_machines(50, share=0.0, seed=1), target="state", task="anomaly")
    models = [
        maas.fit(
            maas.recipe(maas.nn.AutoEncoder, hidden=(), code=1),
            read_table(rows, target="state", task="anomaly"),
            validation,
            task=Anomaly.with_options(normal="ok", false_alarms=0.1),
            epochs=2,
            device="cpu",
            progress=False,
        )
        for rows in (table, normal)
    ]
    assert models[0].task == models[1].task
    assert models[0].schema == models[1].schema
    assert models[0].predict(validation).to_dicts() == models[1].predict(validation).to_dicts()


def test_rows_without_a_target(tmp_path: Path) -> None:
    """From a table, an array, a folder of images and sequences; what is normal can be said for a later evaluation."""
    table = _machines(120, share=0.0).drop(columns="state")
    rows = read_table(table)
    assert (rows.target, rows.task, len(rows.schema.fields)) == (None, None, 4)
    options = Anomaly.with_options(normal="ok", false_alarms=0.1)
    small = maas.recipe(maas.nn.AutoEncoder, hidden=(), code=1)
    for source in (rows, table.to_numpy(), torch.tensor(table.to_numpy())):
        model = maas.fit(small, source, task=options, epochs=1, device="cpu", progress=False)
        assert model.task.num_normal == 12
    tests = read_table(_machines(40, share=0.3), target="state", task="anomaly")
    model = maas.fit(small, rows, task=options, epochs=1, device="cpu", progress=False)
    assert len(model.evaluate(tests, baselines_from=rows).baselines) == 4
    from torchvision.io import write_png

    for index in range(20):
        write_png(torch.full((1, 8, 8), index * 10, dtype=torch.uint8), str(tmp_path / f"{index}.png"))
    images = read_images(tmp_path)
    assert (images.target, len(images)) == (None, 20)
    series = read_sequences([np.arange(3.0 + index % 4) for index in range(20)])
    for recipe, given in (
        (maas.recipe(maas.nn.ImageAutoEncoder, filters=(4,), code=2), images),
        (maas.recipe(maas.nn.SequenceAutoEncoder, hidden_size=4, code=2), series),
    ):
        model = maas.fit(
            recipe,
            given,
            validation=0.5,
            task=Anomaly.with_options(false_alarms=0.2),
            epochs=1,
            device="cpu",
            progress=False,
        )
        assert set(model.predict(given)[0]) == {"score", "anomalous"}


def test_an_evaluation_needs_to_know_what_is_normal(fitted: tuple[maas.Model, Rows, Rows]) -> None:
    rows = read_table(_machines(60).drop(columns="state"))
    with pytest.raises(DataError, match=r"`test` has no target to score against; read it with target=\.\.\."):
        fitted[0].evaluate(rows)
    model = maas.fit(
        maas.recipe(maas.nn.AutoEncoder),
        rows,
        validation=0.5,
        task=Anomaly.with_options(false_alarms=0.2),
        epochs=1,
        device="cpu",
        progress=False,
    )
    with pytest.raises(DataError, match="the model learned without labels and does not know which of them are normal"):
        model.evaluate(fitted[2])


def test_without_validation_rows_there_is_no_threshold() -> None:
    rows = read_table(_machines(40).drop(columns="state"))
    with pytest.raises(DataError, match="this anomaly chooses by validation rows: give `validation`"):
        maas.fit(maas.recipe(maas.nn.AutoEncoder), rows, validation=0, keep="last", task="anomaly", device="cpu")


def test_another_network_that_gives_one_score_a_row() -> None:
    """Any registered network will do: here one that gives the squared length of a row after one learned layer."""

    @maas.network("test_tasks.length")
    class Length(torch.nn.Module):
        def __init__(self, in_features: int) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(in_features, 2, bias=False)

        @classmethod
        def sizes(cls, inputs: Any, num_outputs: int) -> dict[str, Any]:
            return {"in_features": inputs["x"].shape[0]}

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x).square().sum(dim=1, keepdim=True)

    rows = read_table(_machines(60), target="state", task="anomaly")
    options = Anomaly.with_options(normal="ok", false_alarms=0.2)
    model = maas.fit(maas.recipe(Length), rows, validation=0.5, task=options, epochs=1, device="cpu", progress=False)
    assert model.evaluate(rows).scores["false_alarm_rate"] is not None


def test_scores_by_group_and_a_report(fitted: tuple[maas.Model, Rows, Rows], tmp_path: Path) -> None:
    """A group without anomalies has no area under a curve, and is said not to be judged."""
    model, train, test = fitted
    shift = as_objects("day" if row % 2 else "night" for row in range(len(test)))
    evaluation = model.evaluate(replace(test, side={"shift": shift}), baselines_from=train, groups="shift")
    assert {one.value for one in evaluation.groups[0].groups} == {"day", "night"}
    calm = as_objects("calm" if label == "ok" and row % 2 else "rest" for row, label in enumerate(test.target))
    found = model.evaluate(replace(test, side={"shift": calm}), groups="shift").groups[0].groups
    assert {one.value: one.score is None for one in found} == {"calm": True, "rest": False}
    page = maas.report(evaluation, tmp_path / "r.html", model=model, test=test).read_text()
    assert "false alarm rate" in page
