"""scikit-learn's bundled tables as CSV files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets

from maas.data import SAMPLES, read_table, write_sample
from maas.errors import DataError


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_sample_read_back_equals_scikit_learns(name: str, tmp_path: Path) -> None:
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    path = write_sample(name, tmp_path / "new" / f"{name}.csv")
    assert path == tmp_path / "new" / f"{name}.csv"
    rows = read_table(path, target=SAMPLES[name])
    assert rows.target is not None
    np.testing.assert_array_equal(np.column_stack([rows.columns[field] for field in rows.schema.names]), bunch.data)
    labels = bunch.target_names[bunch.target] if name in ("breast_cancer", "iris") else bunch.target
    np.testing.assert_array_equal(rows.target, labels)
    assert rows.task == ("regression" if name == "diabetes" else "classification")


def test_an_unknown_sample_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no bundled table 'titanic', there are breast_cancer, diabetes, dig"):
        write_sample("titanic", tmp_path / "titanic.csv")
    assert not list(tmp_path.iterdir())
