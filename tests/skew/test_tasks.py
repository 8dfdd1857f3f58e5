"""Several labels, a chosen threshold and anomalies by real TorchServe: the answers of the models in process."""

from pathlib import Path

import numpy as np
import pytest

import maas
from maas.data import Rows, from_arrays, read_images, read_sequences
from maas.errors import RequestRefused
from maas.serving import Server
from maas.task import Anomaly, Classification, MultiLabel

Trained = dict[str, tuple[maas.Model, Rows]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Path]:
    """One small model a task, and for anomalies one a kind of row."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 4))
    labels = [[name for name, has in zip("pqrs", row > 0.5, strict=True) if has] for row in x]
    series = [generator.normal(size=(generator.integers(3, 20), 2)) for _ in range(100)]
    images = generator.integers(0, 255, (60, 9, 7), dtype=np.uint8)
    anomaly = Anomaly.with_options(normal="ok", false_alarms=0.3)
    models: Trained = {}
    for name, recipe, rows, task in (
        ("labels", maas.recipe(maas.nn.MLP), from_arrays(x, labels), MultiLabel.with_options(threshold="f1")),
        (
            "binary",
            maas.recipe(maas.nn.MLP),
            from_arrays(x, x[:, 0] > 1),
            Classification.with_options(threshold="youden"),
        ),
        ("vectors", maas.recipe(maas.nn.AutoEncoder), from_arrays(x), anomaly),
        ("sequences", maas.recipe(maas.nn.SequenceAutoEncoder, hidden_size=16), read_sequences(series), anomaly),
        ("images", maas.recipe(maas.nn.ImageAutoEncoder), read_images((images, ["ok"] * 60), task="anomaly"), anomaly),
    ):
        known, asked = rows.split(0.4, seed=0)
        settings = {"epochs": 3, "learning_rate": 0.01, "device": "cpu", "progress": False}
        models[name] = maas.fit(recipe, known, validation=0.3, task=task, **settings), asked
    folder = tmp_path_factory.mktemp("tasks")
    for name, (model, _) in models.items():
        maas.package(model.save(folder / name), store=folder)
    return models, folder


@pytest.mark.parametrize("name", ["labels", "binary", "vectors", "sequences", "images"])
def test_served_answers_are_those_in_process_bit_for_bit(
    name: str, trained: tuple[Trained, Path], server: Server
) -> None:
    model, test = trained[0][name]
    wanted = model.predict(test).to_dicts()
    with server.client(name) as client:
        assert list(client.predict(test.to_dicts())) == wanted
        alone = [client.predict(row) for row in test.to_dicts()[:10]]
    for one, beside in zip(alone, wanted, strict=False):
        assert one.keys() == beside.keys()
        for key, value in beside.items():
            if key in ("label", "labels", "anomalous"):
                assert one[key] == value
            else:
                assert one[key] == pytest.approx(value, rel=1e-5, abs=1e-5)


def test_the_thresholds_are_not_those_that_nobody_chose(trained: tuple[Trained, Path]) -> None:
    """Else the test above would show nothing of them."""
    models = trained[0]
    assert models["binary"][0].task.threshold != 0.5
    assert 0.5 not in models["labels"][0].task.thresholds
    for name in ("vectors", "sequences", "images"):
        model, test = models[name]
        assert model.task.threshold != 1.0
        assert 0 < model.predict(test)["anomalous"].mean() < 1


def test_bad_rows_are_refused_and_the_others_answered(trained: tuple[Trained, Path], server: Server) -> None:
    for name, bad in (("vectors", {"x": [1.0, "a", 0.0, 0.0]}), ("images", {"image": "AAAA"}), ("labels", {})):
        good = trained[0][name][1].to_dicts()[0]
        with server.client(name) as client:
            with pytest.raises(RequestRefused) as refused:
                client.predict([good, bad])
            assert refused.value.status == 422
            assert refused.value.problem["predictions"][0] is not None
            assert refused.value.problem["predictions"][1] is None


def test_a_row_far_outside_has_no_finite_error(trained: tuple[Trained, Path], server: Server) -> None:
    with server.client("vectors") as client:
        with pytest.raises(RequestRefused, match="the network gives no finite number for this row"):
            client.predict({"x": [1e30, 0.0, 0.0, 0.0]})
        assert client.predict({"x": [1e6, 0.0, 0.0, 0.0]})["anomalous"] is True
        far = np.array([[1e6, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
        assert client.predict(far)["anomalous"].tolist()[0] is True
