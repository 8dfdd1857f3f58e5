"""Recommendations by real TorchServe: queries answered as in process, and refusals that spare the worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas
import pytest

import maas
from maas.data import Rows, read_interactions, read_items
from maas.preprocess import Interactions
from maas.serving import Server

Trained = dict[str, tuple[maas.Model, list[dict[str, Any]]]]
LISTS: list[dict[str, Any]] = [
    {"items": ["i3", "i5"]},
    {"items": [f"i{item}" for item in range(40)]},
    {"user": "stranger", "items": ["i7"]},
    {"user": "reader1", "items": ["i7", "i7"]},
    {"similar_to": "i2"},
    {"user": None, "similar_to": "new"},
]


def interactions() -> tuple[Rows, pandas.DataFrame]:
    random = np.random.default_rng(0)
    pairs = [(f"reader{user}", f"i{item}") for user in range(60) for item in random.choice(50, 12, replace=False)]
    items = pandas.DataFrame({"item": [*(f"i{item}" for item in range(50)), "new"]})
    items["about"] = [f"kind {'abcde'[index % 5]} thing" for index in range(51)]
    source = {"user": [user for user, _ in pairs], "item": [item for _, item in pairs]}
    return read_interactions(source, items=read_items(items)), items


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Path]:
    rows, items = interactions()
    train, test = rows.split(test=0.25, seed=0)
    asked = [*({"user": user} for user in test.columns["user"]), *test.to_dicts(), *LISTS]
    content = Interactions.with_options(items=read_items(items))
    models: Trained = {}
    for name, recipe, options in (
        ("ease", maas.recipe(maas.nn.EASE), {}),
        ("knn", maas.recipe(maas.nn.ItemNeighbours, neighbours=10), {}),
        ("factors", maas.recipe(maas.nn.MatrixFactorization, embedding_dim=8), {"epochs": 3, "progress": False}),
        ("content", maas.recipe(maas.nn.ContentBased), {"preprocess": content}),
    ):
        models[name] = maas.fit(recipe, train, device="cpu", **options), asked
    random = np.random.default_rng(1)
    columns = {name: random.integers(0, 40, 400) for name in ("user", "item")}
    rated = read_interactions({**columns, "rating": random.normal(3, 1, 400)}, task="regression")
    known, unknown = rated.split(test=0.25, within="user")
    recipe = maas.recipe(maas.nn.RatingFactorization, embedding_dim=4)
    asked = [*unknown.to_dicts(), {"user": "nobody", "item": 3}]
    models["ratings"] = maas.fit(recipe, known, epochs=2, device="cpu", progress=False), asked
    folder = tmp_path_factory.mktemp("recommend")
    for name, (model, _) in models.items():
        maas.package(model.save(folder / name), store=folder)
    return models, folder


@pytest.mark.parametrize("name", ["ease", "knn", "factors", "content", "ratings"])
def test_served_answers_are_those_in_process_bit_for_bit(
    name: str, trained: tuple[Trained, Path], server: Server
) -> None:
    model, asked = trained[0][name]
    wanted = model.predict(asked).to_dicts()
    with server.client(name) as client:
        assert list(client.predict(asked)) == wanted
        alone = client.predict(asked[0])
    for key in ("scores", "value"):
        assert alone.get(key) == pytest.approx(wanted[0].get(key), abs=1e-5)
    assert alone.get("items") == wanted[0].get("items")


@pytest.mark.usefixtures("workers_live")
def test_a_bad_query_is_refused_and_the_worker_lives(http: httpx.Client) -> None:
    bad: list[tuple[Any, str, str | None]] = [
        ({"user": "nobody"}, "unknown user 'nobody'; give what they like as 'items'", "user"),
        ({"user": {}}, "field 'user' must be a label", "user"),
        ({"items": "i3"}, "field 'items' must be a list of 1 to 1000 labels, got 'i3'", "items"),
        ({"items": []}, "got 0 of them", "items"),
        ({"items": ["i3", None]}, "must be a list of labels (string, number or boolean), got null in it", "items"),
        ({"items": [["i3"]]}, "got list of 1 in it", "items"),
        ({"items": [{"id": "i3"}]}, "got dict of 1 in it", "items"),
        ({"items": ["i3"] * 1001}, "got 1001 of them", "items"),
        ({"items": ["i3", "beer"]}, "unknown item 'beer'", "items"),
        ({"items": [3]}, "unknown item '3'", "items"),
        ({"items": ["x" * 100_000]}, "unknown item", "items"),
        ({"items": {"i3": 1}}, "must be a list", "items"),
        ({"similar_to": ["i3"]}, "field 'similar_to' must be a label", "similar_to"),
        ({"similar_to": 10**300}, "field 'similar_to' must be a label", "similar_to"),
        ({"similar_to": "i3", "user": "reader1"}, "must stand alone", "similar_to"),
        ({}, "a row must have user, items or similar_to", "user"),
        ({"usr": "reader1"}, "there is no field 'usr'; did you mean 'user'?", "usr"),
    ]
    for row, detail, field in bad:
        answer = http.post("/predictions/ease", json=row)
        assert answer.status_code in (400, 422), row
        assert detail in answer.json()["detail"], answer.json()
        assert answer.json().get("field") == field
    mixed = http.post("/predictions/ease", json={"instances": [{"user": "nobody"}, {"similar_to": "i3"}]})
    assert mixed.status_code == 422
    assert mixed.json()["predictions"][0] is None
    assert mixed.json()["predictions"][1]["items"]
    assert http.post("/predictions/ratings", json={"user": "reader1"}).status_code == 422
    assert http.post("/predictions/ratings", json={"user": ["reader1"], "item": "3"}).status_code == 422


def test_the_description_lists_items_and_no_user(server: Server) -> None:
    with server.client("ease") as client:
        described = client.describe()
    assert "reader" not in str(described)
    items = described["schema"]["properties"]["items"]
    assert items["type"] == ["array", "null"]
    assert items["items"]["examples"][-1] == "new"
    assert described["schema"]["required"] == []
