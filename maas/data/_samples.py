"""scikit-learn's bundled tables as CSV files, for a first try without any data at hand."""

from __future__ import annotations

from pathlib import Path

from maas.errors import DataError, show
from maas.storage import write_atomic

SAMPLES = {
    "breast_cancer": "diagnosis",
    "diabetes": "progression",
    "digits": "digit",
    "iris": "species",
    "wine": "cultivar",
}
"""Name of each bundled table, and of its target column."""


def write_sample(name: str, path: str | Path) -> Path:
    """Write one of scikit-learn's bundled tables as a CSV file.

    Args:
        name: a key of `SAMPLES`: "breast_cancer", "diabetes", "digits", "iris" or "wine".
        path: the file to write. Its folder is made if need be; a file that stands there is replaced.

    Returns:
        The path.
    """
    if name not in SAMPLES:
        raise DataError(f"there is no bundled table {show(name)}, there are {', '.join(SAMPLES)}")
    import sklearn.datasets

    bunch = getattr(sklearn.datasets, f"load_{name}")()
    header = [str(column).replace(" ", "_").replace("(", "").replace(")", "") for column in bunch.feature_names]
    labels = bunch.target
    if name in ("breast_cancer", "iris"):
        labels = bunch.target_names[bunch.target]
    lines = [",".join([*header, SAMPLES[name]])]
    for row, label in zip(bunch.data.tolist(), labels.tolist(), strict=True):
        lines.append(",".join([*map(repr, row), str(label)]))
    path = Path(path)
    write_atomic(path, ("\n".join(lines) + "\n").encode())
    return path
