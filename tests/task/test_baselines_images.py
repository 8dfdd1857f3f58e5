"""Baselines of images: the methods for tables on small grey pixels."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from maas.schema import Columns, Field, Schema
from maas.task._baselines import classification_baselines, regression_baselines

SCHEMA = Schema((Field("image", "image", "bytes"),))


def _shades(values: list[int], side: int = 20) -> Columns:
    column = np.empty(len(values), object)
    for row, value in enumerate(values):
        buffer = io.BytesIO()
        Pillow.new("RGB", (side, side), (value, value, value)).save(buffer, "PNG")
        column[row] = buffer.getvalue()
    return {"image": column}


def test_a_linear_model_sees_what_pixels_tell() -> None:
    shades = list(range(0, 240, 8))
    dark = np.array([int(value < 120) for value in shades])
    test = _shades([10, 230])
    found = classification_baselines(SCHEMA, _shades(shades), dark, test, 2)
    assert list(found) == [
        "majority class",
        "logistic regression on 16 x 16 grey pixels",
        "boosted trees on 16 x 16 grey pixels",
    ]
    assert found["logistic regression on 16 x 16 grey pixels"].argmax(axis=1).tolist() == [1, 0]
    values = regression_baselines(SCHEMA, _shades(shades, 8), np.array(shades, float), _shades([10, 230], 8))
    assert values["ridge regression on 8 x 8 grey pixels"] == pytest.approx([10, 230], abs=5)


def test_at_most_10_000_images_evenly_over_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maas.task._baseline_matrices._MOST_ENCODED", 20)
    shades = list(range(0, 240, 4))  # sorted by class: the first 20 are all of one
    dark = np.array([int(value < 120) for value in shades])
    found = classification_baselines(SCHEMA, _shades(shades, 4), dark, _shades([10, 230], 4), 2)
    assert found["logistic regression on 4 x 4 grey pixels of 20 rows"].argmax(axis=1).tolist() == [1, 0]
