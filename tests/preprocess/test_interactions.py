"""maas.preprocess.Interactions, Ids and what items are like."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from maas.data import read_interactions, read_items
from maas.errors import DataError, FormatError
from maas.preprocess import Ids, Interactions, for_schema, from_state
from maas.schema import Field, Schema, TensorSpec

PAIRS = {"user": ["ann", "ann", "böb", "böb", "böb"], "item": ["tea", "milk", "rum", "tea", "gin"]}
ITEMS = ["rum", "tea", "gin", "milk", "new"]
ROWS = read_interactions(PAIRS, items=ITEMS)
TABLE = read_items(
    pandas.DataFrame(
        {
            "item": ITEMS,
            "about": ["strong dark cane", "hot green leaves", "strong clear juniper", "cold white", "strong clear"],
            "kind": ["spirit", "plant", "spirit", "animal", None],
            "price": [20.0, 3.0, 25.0, 1.0, np.nan],
        }
    ),
    texts=["about"],
)


def learned(content: bool = False) -> Interactions:
    return (Interactions.with_options(items=TABLE) if content else Interactions).learn(ROWS.schema, ROWS.columns)


def applied(*rows: dict[str, Any], content: bool = False) -> tuple[dict[str, Any], dict[int, str]]:
    columns, wrong = ROWS.schema.rows_to_columns(rows)
    assert not wrong
    tensors, errors = learned(content).apply(columns)
    return tensors, {row: error.detail for row, error in errors.items()}


def test_users_and_items_become_numbers() -> None:
    tensors, errors = applied(
        {"user": "ann"},
        {"items": ["new", "tea", "new"]},
        {"similar_to": "gin"},
        {"user": "böb", "items": ["milk"]},
        {"user": "nobody", "items": ["milk"]},
        {"user": "böb", "items": None},
    )
    assert not errors
    assert tensors["user"].tolist() == [1, 0, 0, 2, 0, 2]
    assert tensors["history"].tolist() == [[1, 3, 0], [1, 4, 0], [2, 0, 0], [3, 0, 0], [3, 0, 0], [0, 1, 2]]
    assert tensors["history_lengths"].tolist() == [2, 2, 1, 1, 1, 3]
    assert learned().outputs == {
        "user": TensorSpec((), "int64", 3),
        "history": TensorSpec((None,), "int64", 5),
        "history_lengths": TensorSpec((), "int64"),
    }
    assert for_schema(ROWS.schema) is Interactions


def test_rows_that_cannot_be_answered_say_why_and_spare_their_neighbours() -> None:
    tensors, errors = applied(
        {"user": "nobody"},
        {"items": ["tea", "te"]},
        {"similar_to": "beer"},
        {},
        {"similar_to": "tea", "user": "ann"},
        {"similar_to": "tea", "items": ["gin"]},
        {"user": "ann"},
    )
    assert errors == {
        0: "field 'user' has the unknown user 'nobody'; give what they like as 'items'",
        1: "field 'items' has the unknown item 'te'; did you mean 'tea'?",
        2: "field 'similar_to' has the unknown item 'beer'",
        3: "a row must have user, items or similar_to, got none of them",
        4: "field 'similar_to' must stand alone, without user and items",
        5: "field 'similar_to' must stand alone, without user and items",
    }
    assert tensors["user"][6] == 1


def test_what_users_touched_besides_is_known_too() -> None:
    columns, _ = ROWS.schema.rows_to_columns(
        [{"user": "ann", "items": ["milk"]}, {"user": "cy"}, {"items": ["rum"]}, {"user": "böb"}]
    )
    more = np.array([("gin", "beer"), ("tea",), ("gin",), None], object)
    more[3] = ()
    known = learned().knowing(columns, more)
    assert known.users == ("ann", "böb")
    asked, _ = ROWS.schema.rows_to_columns([{"user": "ann"}, {"user": "böb"}])
    tensors, _ = known.apply(asked)
    assert tensors["history"].tolist() == [[1, 2, 3], [0, 1, 2]]
    assert isinstance(from_state("interactions", ROWS.schema, *known.state()), Interactions)
    items = replace(ROWS.schema["items"], longest=3)
    short = Schema((ROWS.schema["user"], items, ROWS.schema["similar_to"]))
    full = replace(learned(), schema=short).knowing(columns, np.array([("rum", "new"), (), (), ("new",)], object))
    assert np.diff(full.ends).tolist() == [3, 3]  # no more than an artifact may hold
    nobody = replace(learned(), users=(), ends=np.zeros(1, np.int64), touched=np.zeros(0, np.int64))
    assert nobody.knowing(columns, more).state()[1]["ends"].tolist() == [0]


def test_examples_name_no_user_and_can_be_answered() -> None:
    rows = learned().examples(4)
    assert rows[0] == {"items": ["new"]}
    assert list(rows[1]) == ["similar_to"]
    assert all(set(row) <= {"items", "similar_to"} for row in rows)
    assert not applied(*rows)[1]


@pytest.mark.parametrize("content", [False, True])
def test_what_was_learned_comes_back_and_names_no_user_outside_its_arrays(content: bool) -> None:
    one = learned(content)
    state, arrays = one.state()
    assert "ann" not in json.dumps(state)
    other = from_state("interactions", ROWS.schema, json.loads(json.dumps(state)), arrays)
    assert isinstance(other, Interactions)
    assert other.users == ("ann", "böb")
    columns, _ = ROWS.schema.rows_to_columns([{"user": "böb"}, {"items": ["tea"]}])
    for name, tensor in one.apply(columns)[0].items():
        assert torch.equal(other.apply(columns)[0][name], tensor)


def test_likeness_of_texts_is_the_cosine_of_scikit_learns_tfidf() -> None:
    table = TABLE.take(range(5))
    schema = Schema(table.schema.fields[:2])
    only = replace(table, schema=schema, columns={name: table.columns[name] for name in schema.names})
    content = Interactions.with_options(items=only).learn(ROWS.schema, ROWS.columns).content
    assert content is not None
    wanted = cosine_similarity(TfidfVectorizer(sublinear_tf=True).fit_transform(table.columns["about"]))
    np.testing.assert_allclose(content.likeness([np.array([item]) for item in range(5)]), wanted, atol=1e-6)
    mean = content.likeness([np.array([0, 2])])[0]
    np.testing.assert_allclose(mean, (wanted[0] + wanted[2]) / 2, atol=1e-6)


def test_an_item_that_nobody_touched_is_like_those_of_its_kind() -> None:
    tensors, _ = applied({"items": ["gin"]}, {"similar_to": "milk"}, content=True)
    content = tensors["content"]
    assert content.dtype == torch.float32
    assert content.shape == (2, 5)
    assert content[0].argsort(descending=True).tolist()[:3] == [2, 0, 4]  # itself, rum, new
    alone = applied({"similar_to": "milk"}, content=True)[0]["content"]
    assert torch.equal(alone[0], content[1])


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"item": ["tea", "beer"], "about": ["a b", "c d"]}, "has 'beer', which the interactions do not know"),
        ({"item": ["tea"]}, "has their identifiers and what describes them"),
        ({"item": ["tea", "gin"], "about": ["! ?", "- -"]}, "says nothing about any of them"),
    ],
)
def test_tables_that_describe_nothing(frame: dict[str, Any], message: str) -> None:
    options = Interactions.with_options(items=read_items(pandas.DataFrame(frame)))
    with pytest.raises(DataError, match=message):
        options.learn(ROWS.schema, ROWS.columns)


@pytest.mark.parametrize("items", [pandas.DataFrame({"item": ["tea"]}), ["tea"]])
def test_what_is_no_table_of_items(items: Any) -> None:
    message = f"`items` must be a table of items, got {type(items).__name__}; read it with maas.data.read_items"
    with pytest.raises(DataError, match=message):
        Interactions.with_options(items=items)


def test_rows_that_teach_nothing() -> None:
    with pytest.raises(DataError, match="user 'ann' has more than one row"):
        Interactions.learn(ROWS.schema, {name: column[[0, 0]] for name, column in ROWS.columns.items()})
    with pytest.raises(DataError, match=r"read them with maas\.data\.read_interactions"):
        Interactions.learn(Schema((Field("x", "numeric", "number"),)), {"x": np.zeros(3)})
    odd = {**ROWS.columns, "items": np.array([("beer",), ("tea",), None], object)[:2]}
    with pytest.raises(DataError, match="item 'beer' is not among the schema's items"):
        Interactions.learn(ROWS.schema, odd)


def _ends(arrays: dict[str, Any]) -> None:
    arrays["ends"] = np.array([0, 9, 5], np.int64)


HOSTILE: list[tuple[str, Callable[[dict[str, Any], dict[str, Any]], Any], str]] = [
    ("bytes", lambda state, arrays: arrays.update(users=np.zeros(3)), "'users' must be bytes"),
    ("utf8", lambda state, arrays: arrays.update(users=np.full(7, 255, np.uint8)), "'users' is not UTF-8"),
    (
        "twice",
        lambda state, arrays: arrays.update(users=np.full(6, 97, np.uint8), users_ends=np.array([0, 3, 6])),
        "'users' names one twice",
    ),
    (
        "bounds",
        lambda state, arrays: arrays.update(users_ends=np.array([0, 9, 7])),
        "'users_ends' must rise from 0 to 7",
    ),
    ("falling", lambda state, arrays: _ends(arrays), "'ends' must rise from 0 to 5 in int64"),
    (
        "fewer",
        lambda state, arrays: arrays.update(ends=np.array([0, 5])),
        "'ends' must have at least one item for each",
    ),
    ("none", lambda state, arrays: arrays.update(ends=np.array([0, 0, 5])), "'ends' must have at least one item"),
    ("dtype", lambda state, arrays: arrays.update(touched=np.zeros(5)), "'touched' must be int64 of one axis"),
    ("number", lambda state, arrays: arrays.update(touched=np.array([1, 3, 0, 1, 5])), "the number of no item"),
    (
        "order",
        lambda state, arrays: arrays.update(touched=np.array([3, 1, 0, 1, 2])),
        "'touched' must rise for each user",
    ),
    ("features", lambda state, arrays: state["content"].update(num_features=0), "items have 1 to 4194304 features"),
    ("huge", lambda state, arrays: state["content"].update(num_features=10**9), "items have 1 to 4194304 features"),
    (
        "place",
        lambda state, arrays: arrays["content_places"].__setitem__(0, 10**6),
        "places or values that no training",
    ),
    ("nan", lambda state, arrays: arrays["content_values"].__setitem__(0, np.nan), "places or values that no training"),
    ("items", lambda state, arrays: arrays.update(content_ends=np.array([0, 27])), "content_ends"),
    (
        "pairs",
        lambda state, arrays: arrays.update(content_values=np.zeros(3)),
        "int64 places with a float64 value each",
    ),
]


@pytest.mark.parametrize(("harm", "message"), [one[1:] for one in HOSTILE], ids=[one[0] for one in HOSTILE])
def test_a_hostile_state_is_refused(harm: Any, message: str) -> None:
    state, arrays = learned(content=True).state()
    state, arrays = json.loads(json.dumps(state)), {name: array.copy() for name, array in arrays.items()}
    harm(state, arrays)
    with pytest.raises(FormatError, match=message):
        Interactions.from_state(ROWS.schema, state, arrays)


def test_a_hostile_schema_is_refused() -> None:
    state, arrays = learned().state()
    user, items, like = ROWS.schema.fields
    twice = replace(items, values=("tea",) * 5)
    with pytest.raises(FormatError, match="the schema names an item twice"):
        Interactions.from_state(Schema((user, twice, like)), state, arrays)
    with pytest.raises(FormatError, match="three optional fields"):
        Interactions.from_state(Schema((replace(user, optional=False), items, like)), state, arrays)
    with pytest.raises(FormatError, match="'touched' must rise for each user, who may touch `longest` items"):
        Interactions.from_state(Schema((user, replace(items, longest=2), like)), state, arrays)


def test_ids_number_what_training_had() -> None:
    rows = read_interactions({**PAIRS, "rating": [1, 2, 3, 4, 5]}, task="regression")
    ids = Ids.learn(rows.schema, rows.columns)
    assert for_schema(rows.schema) is Ids
    columns, _ = rows.schema.rows_to_columns([{"user": "böb", "item": "gin"}, {"user": 3, "item": "tea"}])
    tensors, errors = ids.apply(columns)
    assert not errors
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {"user": [2, 0], "item": [4, 1]}
    assert ids.outputs == {"user": TensorSpec((), "int64", 3), "item": TensorSpec((), "int64", 5)}
    state, arrays = ids.state()
    assert Ids.from_state(rows.schema, state, arrays) == ids
    assert not {"ann", "böb"} & {row["user"] for row in ids.examples(3)}
    with pytest.raises(FormatError, match="ids are a user and an item"):
        Ids.from_state(ROWS.schema, state, arrays)
    with pytest.raises(FormatError, match="ids need at least one user and one item"):
        Ids.from_state(
            rows.schema, state, {**arrays, "users": np.zeros(0, np.uint8), "users_ends": np.zeros(1, np.int64)}
        )
