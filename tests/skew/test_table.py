"""The served model answers as the one in process, to the last bit, for the same rows in one request."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas
import pytest

import maas
from maas.serving import Server


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[maas.Model, maas.data.Rows, Path]:
    """A table with every kind of column: numbers, categories, booleans, and missing values of each."""
    random = np.random.default_rng(0)
    rows = 400
    frame = pandas.DataFrame(
        {
            "size": np.where(random.random(rows) < 0.1, np.nan, random.lognormal(3, 2, rows)),
            "count": random.integers(0, 10**6, rows),
            "colour": random.choice(["red", "green", "蓝", None], rows, p=[0.5, 0.3, 0.1, 0.1]),
            "is_new": random.choice([True, False], rows),
        }
    )
    frame["price"] = (
        frame["size"].fillna(20) * 0.3 + frame["count"] * 1e-5 + 10 * frame["is_new"] + random.normal(0, 1, rows)
    )
    train, test = maas.data.read_table(frame, target="price").split(test=0.3, seed=0)
    model = maas.fit(maas.recipe(maas.nn.MLP, normalization="batch"), train, epochs=3, device="cpu")
    folder = tmp_path_factory.mktemp("mixed")
    maas.package(model.save(folder / "mixed"), store=folder)
    return model, test, folder


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[maas.Client]:
    with server.client("mixed") as client:
        yield client


def test_served_answers_are_those_in_process_bit_for_bit(
    trained: tuple[maas.Model, maas.data.Rows, Path], client: maas.Client
) -> None:
    model, test, _ = trained
    assert list(client.predict(test.to_dicts())) == model.predict(test).to_dicts()


def test_an_unknown_category_is_answered_alike(
    trained: tuple[maas.Model, maas.data.Rows, Path], client: maas.Client
) -> None:
    row = {"size": None, "count": 3, "colour": "ultraviolet", "is_new": False}
    assert client.predict(row)["value"] == pytest.approx(trained[0].predict(row)["value"], rel=1e-6)
