"""scikit-learn's bundled tables: a network beside boosted trees, as rows of a Markdown table.

    python benchmarks/quality/tables.py              4 tables, 10 splits each, about seven minutes

Each split (80 % to learn from, stratified for classes) is a function of its seed; both methods learn from and are
scored on the same rows. Boosted trees are scikit-learn's HistGradientBoosting with its defaults, as in every evaluation
of maas, and GradientBoosting with its defaults. The network's settings, the same for all classifications, are a first
guess that was tried on the splits 100 to 102; the splits that are printed are others of the same rows.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

import maas
from maas.data import SAMPLES, Rows, read_table, write_sample

CLASSES: dict[str, Any] = {
    "recipe": maas.recipe(maas.nn.MLP, hidden=(128,), dropout=0.3),
    "epochs": 60,
    "batch_size": 32,
    "learning_rate": 3e-3,
    "weight_decay": 0.1,
    "schedule": "cosine",
    "keep": "last",
    "validation": 0,
}
NUMBERS: dict[str, Any] = {**CLASSES, "recipe": maas.recipe(maas.nn.MLP, hidden=(32,), dropout=0.3), "epochs": 30}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="how many splits, counted from --first")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--tables", nargs="*", default=["digits", "wine", "breast_cancer", "diabetes"])
    options = parser.parse_args()
    print("| table | score | network | HistGradientBoosting | GradientBoosting | gain over the better | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.tables:
            path = write_sample(name, Path(folder) / f"{name}.csv")
            rows = read_table(path, target=SAMPLES[name], task=None if name == "diabetes" else "classification")
            print(row(name, rows, range(options.first, options.first + options.seeds)), flush=True)


def row(name: str, rows: Rows, seeds: range) -> str:
    """One table's line: means over the splits with their standard errors."""
    settings = dict(CLASSES if rows.task == "classification" else NUMBERS)
    recipe = settings.pop("recipe")
    primary = "accuracy" if rows.task == "classification" else "rmse"
    found: list[tuple[float, float, float]] = []
    start = time.perf_counter()
    for seed in seeds:
        train, test = rows.drop_duplicates().split(0.2, seed=seed)
        model = maas.fit(recipe, train, seed=seed, progress=False, **settings)
        evaluation = model.evaluate(test, baselines_from=train)
        mine, trees = evaluation.scores[primary], named(evaluation, "boosted trees").scores[primary]
        assert mine is not None
        assert trees is not None
        found.append((mine, trees, gradient_boosting(train, test)))
    sign, unit = (1, 100) if primary == "accuracy" else (-1, 1)
    columns = np.array(found) * unit
    better = columns[:, 1:].mean(axis=0) * sign
    gain = sign * (columns[:, 0] - columns[:, 1 + int(better.argmax())])
    cells = [f"{column.mean():.2f} ± {error(column):.2f}" for column in columns.T]
    score = "accuracy, %" if primary == "accuracy" else "RMSE"
    spent = time.perf_counter() - start
    return f"| {name} | {score} | {' | '.join(cells)} | {gain.mean():+.2f} ± {error(gain):.2f} | {spent:.0f} |"


def named(evaluation: maas.Evaluation, name: str) -> Any:
    return next(one for one in evaluation.baselines if one.name == name)


def gradient_boosting(train: Rows, test: Rows) -> float:
    """The score of scikit-learn's GradientBoosting: accuracy, or root of the mean squared error."""
    tables = [np.stack([rows.columns[name] for name in rows.schema.names], axis=1) for rows in (train, test)]
    assert train.target is not None
    assert test.target is not None
    if train.task == "classification":
        labels = [rows.target.astype(str) for rows in (train, test)]  # type: ignore[union-attr]
        trees = GradientBoostingClassifier(random_state=0).fit(tables[0], labels[0])
        return float((trees.predict(tables[1]) == labels[1]).mean())
    trees = GradientBoostingRegressor(random_state=0).fit(tables[0], train.target)
    return float(np.sqrt(np.square(trees.predict(tables[1]) - test.target).mean()))


def error(values: Any) -> float:
    """The standard error of a mean."""
    return statistics.stdev(values.tolist()) / len(values) ** 0.5 if len(values) > 1 else float("nan")


if __name__ == "__main__":
    main()
