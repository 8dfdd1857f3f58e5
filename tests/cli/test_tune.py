"""The commands tune, cross-validate and learning-rate, and fit --preflight."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import maas

from .conftest import Capture, run


def test_cross_validate(capsys: Capture, wine_csv: Path) -> None:
    given = ["cross-validate", wine_csv, "--target", "cultivar", "--folds", 3, "--epochs", 1, "--set", "hidden=[4]"]
    code, out, _ = run(capsys, *given)
    assert code == 0
    assert "3 folds of 178 rows, stratified, classification" in out
    assert "\ndeviation " in out
    code, out, _ = run(capsys, *given, "--time", "magnesium", "--json", "--baselines")
    found = json.loads(out)
    assert (code, found["kind"], len(found["folds"])) == (0, "by time (magnesium)", 3)
    assert "logistic regression" in found["baselines"]


def test_tune_saves_the_best(capsys: Capture, wine_csv: Path, tmp_path: Path) -> None:
    output, storage = tmp_path / "wine", tmp_path / "wine.log"
    given = ["tune", wine_csv, "--target", "cultivar", "--epochs", 2, "--output", output, "--storage", storage]
    given += ["--space", "learning_rate=log:1e-4:1e-1", "--space", "hidden=[[4], [8]]", "--space", "batch_size=8:16"]
    code, out, _ = run(capsys, *given, "--trials", 2)
    assert code == 0
    assert "2 trials, 0 failed; best first by accuracy" in out
    assert "over logistic regression" in out
    code, out, _ = run(capsys, *given, "--trials", 3, "--json")
    found = json.loads(out)
    best = found["tuning"]["trials"][found["tuning"]["best"] - 1]["chosen"]
    assert len(found["tuning"]["trials"]) == 3
    model = maas.load(output)
    assert model.recipe.arguments["hidden"] == best["hidden"]
    assert model.card["training"]["learning_rate"] == best["learning_rate"]
    assert 8 <= model.card["training"]["batch_size"] <= 16
    assert model.card["evaluation"]["num_rows"] == 36


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("hidden", "--space wants NAME=VALUE, got 'hidden'"),
        ("dropout=0.5", "--space wants NAME=LOW:HIGH, NAME=log:LOW:HIGH or NAME=[...], got '0.5'"),
        ("dropout=a:b", "`low` of a range must be a finite number, got 'a'"),
        ("dropout=0.5:0.1", "`low` of a range must be below `high`, got 0.5 and 0.1"),
        ("drop=0:0.5", "`space` names 'drop', which is no argument of MLP"),
    ],
)
def test_a_space_that_is_none(capsys: Capture, wine_csv: Path, tmp_path: Path, space: str, message: str) -> None:
    code, _, error = run(
        capsys, "tune", wine_csv, "--target", "cultivar", "--space", space, "--output", tmp_path / "wine"
    )
    assert code == 2
    assert message in error


def test_without_a_target(capsys: Capture, wine_csv: Path) -> None:
    code, _, error = run(capsys, "cross-validate", wine_csv)
    assert code == 2
    assert "say which column to predict with --target" in error


def test_learning_rate_suggests_one(capsys: Capture, wine_csv: Path) -> None:
    given = ["learning-rate", wine_csv, "--target", "cultivar", "--set", "hidden=[8]", "--steps", 50]
    code, out, _ = run(capsys, *given)
    assert code == 0
    assert out.splitlines()[-1].startswith("suggested: ")
    code, out, _ = run(capsys, *given, "--json")
    assert 1e-6 < json.loads(out)["suggestion"] < 1.0
    assert run(capsys, *given, "--low", 2)[0] == 2


def test_preflight_trains_nothing_and_says_what_would_waste_it(capsys: Capture, wine_csv: Path, tmp_path: Path) -> None:
    output = tmp_path / "wine"
    given = ["--target", "cultivar", "--set", "hidden=[32]", "--output", output, "--preflight"]
    code, out, _ = run(capsys, "fit", wine_csv, *given, "--learning-rate", "0.01")
    assert (code, out.splitlines()[2].split()[:2]) == (0, ["fine", "target"])
    assert not output.exists()
    header, *lines = wine_csv.read_text().splitlines()
    one_class = tmp_path / "one.csv"
    one_class.write_text("\n".join([header, *(line for line in lines if line.endswith(",1"))]))
    code, out, _ = run(capsys, "fit", one_class, *given, "--task", "classification", "--json")
    assert code == 1
    assert "one class only" in json.loads(out)["findings"][0]["message"]
    assert not output.exists()
