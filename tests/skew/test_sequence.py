"""Sequences and forecasts by real TorchServe: the answers of the model in process, and refusals that name the field."""

import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import maas
from maas.data import Rows, read_sequences, windows
from maas.serving import Server

Trained = dict[str, tuple[maas.Model, Rows]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Path]:
    """A bidirectional GRU over sequences of many lengths with missing steps, a CNN1d, and a forecast."""
    generator = np.random.default_rng(0)
    series = [generator.normal(row % 2, 1, (generator.integers(3, 25), 2)) for row in range(120)]
    for one in series[::3]:
        one[generator.random(one.shape) < 0.1] = np.nan
    known, asked = read_sequences(series, target=["low", "high"] * 60).split(0.4)
    early, late = windows(np.sin(np.arange(150) / 5), window=12, horizon=3).split(0.3)
    models: Trained = {}
    for name, recipe, train, test in (
        ("gru", maas.recipe(maas.nn.RNN, cell="gru", hidden_size=16, bidirectional=True), known, asked),
        ("cnn", maas.recipe(maas.nn.CNN1d, filters=(16, 16)), known, asked),
        ("ahead", maas.recipe(maas.nn.RNN, hidden_size=16), early, late),
    ):
        models[name] = maas.fit(recipe, train, epochs=2, device="cpu", progress=False), test
    folder = tmp_path_factory.mktemp("sequences")
    for name, (model, _) in models.items():
        maas.package(model.save(folder / name), store=folder)
    return models, folder


@pytest.mark.parametrize("name", ["gru", "cnn", "ahead"])
def test_served_answers_are_those_in_process_bit_for_bit(
    name: str, trained: tuple[Trained, Path], server: Server
) -> None:
    model, test = trained[0][name]
    with server.client(name) as client:
        assert list(client.predict(test.to_dicts())) == model.predict(test).to_dicts()
        alone = client.predict(test.to_dicts()[0])
    beside = model.predict(test)[0]
    if name == "ahead":
        assert alone["values"] == pytest.approx(beside["values"], abs=1e-5)
    else:
        assert alone["label"] == beside["label"]
        assert alone["probabilities"] == pytest.approx(beside["probabilities"], abs=1e-5)


def test_arrays_may_come_as_npy(trained: tuple[Trained, Path], http: httpx.Client) -> None:
    model, test = trained[0]["ahead"]
    file = io.BytesIO()
    np.save(file, test.columns["sequence"])
    headers = {"Content-Type": "application/x-npy"}
    answer = http.post("/predictions/ahead", content=file.getvalue(), headers=headers).json()["predictions"]
    served = np.array([row["values"] for row in answer])
    cut = http.post("/predictions/ahead", content=file.getvalue()[:-1], headers=headers)
    np.testing.assert_allclose(served, model.predict(test)["values"], atol=1e-5)
    assert (cut.status_code, cut.json()["type"]) == (400, "urn:maas:problem:not-npy")


BAD: dict[str, tuple[Any, str]] = {
    "three channels": ([[0.0, 1.0], [0.0, 1.0, 2.0]], "field 'sequence' must have steps of 2 numbers, got list of 3"),
    "no axis of channels": ([0.0, 1.0], "field 'sequence' must have steps of 2 numbers, got 0.0"),
    "empty": ([], "field 'sequence' must be 1 to 48 steps of 2 numbers, got 0 steps"),
    "text": ([[0.0, "1"]], "field 'sequence' must have steps of 2 numbers, got '1'"),
    "boolean": ([[0.0, True]], "field 'sequence' must have steps of 2 numbers, got True"),
    "too many steps": ([[0.0, 0.0]] * 49, "field 'sequence' must be 1 to 48 steps of 2 numbers, got 49 steps"),
    "200,000 steps": ([[0.0, 0.0]] * 200_000, "must be 1 to 48 steps of 2 numbers, got 200000 steps"),
    "no sequence": ("0, 1, 2", "field 'sequence' must be 1 to 48 steps of 2 numbers, got '0, 1, 2'"),
    "null": (None, "field 'sequence' must be 1 to 48 steps of 2 numbers, got None"),
    "beyond float32": ([[1e300, 0.0]], "field 'sequence' is too large for the model"),
}


@pytest.mark.usefixtures("workers_live")
def test_bad_sequences_are_refused_and_the_worker_lives(trained: tuple[Trained, Path], http: httpx.Client) -> None:
    good = trained[0]["gru"][1].to_dicts()[0]
    for case, (value, detail) in BAD.items():
        response = http.post("/predictions/gru", json={"sequence": value})
        assert response.status_code == 422, case
        assert response.json()["field"] == "sequence", case
        assert detail in response.json()["detail"], case
        beside = http.post("/predictions/gru", json={"instances": [good, {"sequence": value}]})
        assert beside.json()["predictions"][0]["label"] in ("low", "high"), case
        assert beside.json()["predictions"][1] is None, case
    short = http.post("/predictions/ahead", json={"sequence": [[0.0]] * 11})
    assert short.status_code == 422
    assert "field 'sequence' must be 12 x 1 numbers" in short.json()["detail"]
    assert http.post("/predictions/gru", json=good).status_code == 200
