"""Baselines of mixed rows: fields, pixels and TF-IDF beside each other, and names that say so."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from maas.data._cells import as_objects
from maas.schema import Columns, Field, Schema
from maas.task._baselines import classification_baselines, regression_baselines

SIZE = Field("size", "numeric", "number")
NOTE = Field("note", "text", "string")
PHOTO = Field("photo", "image", "bytes")


def shade(value: int) -> bytes:
    buffer = io.BytesIO()
    Pillow.new("L", (4, 4), value).save(buffer, "PNG")
    return buffer.getvalue()


def rows(count: int, seed: int) -> tuple[Columns, np.ndarray[Any, Any]]:
    """A number, a word and a shade, and how many of the three say yes."""
    signs = np.random.default_rng(seed).integers(0, 2, (count, 3))
    columns = {
        "size": signs[:, 0] * 2.0,
        "note": as_objects([["a bad day", "a good day"][one] for one in signs[:, 1]]),
        "photo": as_objects([shade(200 * one) for one in signs[:, 2].tolist()]),
    }
    return columns, signs.sum(axis=1)


def test_a_linear_model_sees_all_and_trees_all_but_texts() -> None:
    train, total = rows(200, 0)
    test, truth = rows(100, 1)
    schema = Schema((SIZE, NOTE, PHOTO))
    found = regression_baselines(schema, train, total.astype(float), test)
    names = [
        "mean",
        "ridge regression with TF-IDF on fields and 4 x 4 grey pixels",
        "boosted trees without texts on fields and 4 x 4 grey pixels",
    ]
    assert list(found) == names
    errors = {name: np.abs(values - truth).mean() for name, values in found.items()}
    assert errors[names[1]] < 0.1  # the sum is linear in what it sees
    assert 0.4 < errors[names[2]] < 0.6  # a coin's toss of 0 or 1 is hidden from it
    yes = classification_baselines(schema, train, (total > 1).astype(int), test, 2)
    assert list(yes)[1:] == [name.replace("ridge", "logistic") for name in names[1:]]
    accuracies = [(one.argmax(axis=1) == (truth > 1)).mean() for one in list(yes.values())[1:]]
    assert accuracies[0] == 1.0
    assert 0.6 < accuracies[1] < 0.9


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ((SIZE, NOTE), ["logistic regression with TF-IDF", "boosted trees without texts"]),
        ((SIZE, PHOTO), [f"{one} on fields and 4 x 4 grey pixels" for one in ("logistic regression", "boosted trees")]),
        (
            (PHOTO, NOTE),
            [
                "logistic regression with TF-IDF on 4 x 4 grey pixels",
                "boosted trees without texts on 4 x 4 grey pixels",
            ],
        ),
        ((NOTE, Field("scent", "odour", "bytes")), ["logistic regression on TF-IDF"]),
        ((Field("scent", "odour", "bytes"),), []),
    ],
)
def test_names_say_what_is_seen(fields: tuple[Field, ...], names: list[str]) -> None:
    train, total = rows(40, 0)
    given = {**train, "scent": train["photo"]}
    columns = {field.name: given[field.name] for field in fields}
    found = classification_baselines(Schema(fields), columns, (total > 1).astype(int), columns, 2)
    assert list(found) == ["majority class", *names]


def test_texts_without_a_word_of_two_letters_are_seen_by_their_characters() -> None:
    """scikit-learn finds no word in these."""
    columns = {"note": as_objects([":)", ":("] * 10), "size": np.zeros(20)}
    target = np.array([1, 0] * 10)
    for fields in ((NOTE,), (NOTE, SIZE)):
        found = classification_baselines(Schema(fields), columns, target, columns, 2)
        assert list(found.values())[1].argmax(axis=1).tolist() == target.tolist()
