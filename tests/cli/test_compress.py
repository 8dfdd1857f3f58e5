"""The command maas compress."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas
import pytest

import maas
from maas.compress import Search

from .conftest import Capture, run


def test_a_search_saves_the_best_and_its_picture(
    capsys: Capture, wine_csv: Path, wine_artifact: Path, tmp_path: Path
) -> None:
    output = tmp_path / "small"
    given = ["--data", wine_csv, "--test", wine_csv, "--max-drop", 0.2, "--optimize", "size", "--output", output]
    code, out, _ = run(capsys, "compress", wine_artifact, *given, "--json")
    assert code == 0
    said = json.loads(out)
    picture = tmp_path / "small-pareto.svg"
    assert (said["artifact"], said["picture"]) == (str(output), str(picture))
    assert picture.read_text().startswith("<svg")
    model = maas.load(output)
    assert Search.from_json(model.card["compression_search"]) == Search.from_json(said["search"])
    assert said["search"]["best"] == "bfloat16"  # its matrices are too small for int8 to pay
    assert (
        "needs rows to go on training with"
        in {one["name"]: one for one in said["search"]["candidates"]}["distilled"]["skipped"]
    )
    assert model.card["evaluation"]["num_rows"] == 178
    assert model.card["lineage"]["parent"] == maas.load(wine_artifact).digest
    assert run(capsys, "verify", output)[0] == 0
    code, out, _ = run(capsys, "report", output, "--output", tmp_path / "r.html")
    assert code == 0
    assert "<h2>Compression</h2>" in (tmp_path / "r.html").read_text()

    code, _, error = run(capsys, "compress", output, "--data", wine_csv, "--output", tmp_path / "again")
    assert code == 1
    assert "the model is compressed already (bfloat16_weights); search from the model that it was made of" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "again").exists()


def test_a_budget_of_0_that_nothing_meets(capsys: Capture, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(120, 3))
    table = pandas.DataFrame(x, columns=["a", "b", "c"]).assign(y=2 * x[:, 0])
    rows = maas.data.read_table(table, target="y")
    recipe = maas.recipe(maas.nn.MLP, hidden=(128, 128))
    model = maas.fit(recipe, rows, epochs=1, device="cpu", progress=False)
    model.save(tmp_path / "m")
    table["y"] = model.predict(rows)["value"]  # what it answers is the truth, so that any change is for the worse
    table.to_csv(tmp_path / "t.csv", index=False)
    given = ["--data", tmp_path / "t.csv", "--max-drop", 0, "--output", tmp_path / "small"]
    code, out, error = run(capsys, "compress", tmp_path / "m", *given)
    assert code == 1
    assert "120 rows judge, and rmse may be worse by a share of 0" in out
    assert "int8_weights" in out
    assert error == "maas: no candidate keeps rmse within 0; allow more with max_drop (--max-drop)\n"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["m", "t.csv"]
    code, _, error = run(capsys, "compress", tmp_path / "m", *given, "--method", "int8_weights")
    assert code == 1
    assert "takes rmse from 0.0000 to 0." in error
    assert sorted(one.name for one in tmp_path.iterdir()) == ["m", "t.csv"]


@pytest.mark.parametrize(
    ("method", "kinds"),
    [
        (["int8_weights"], {"int8_weights"}),
        (["bfloat16"], {"bfloat16_weights"}),
        (["prune", "--share", 0.25, "--train", "{csv}", "--epochs", 2], {"narrowed"}),
        (["distil", "--train", "{csv}", "--epochs", 2, "--set", "hidden=[8]"], set()),
    ],
)
def test_a_method_alone(
    capsys: Capture, method: list[object], kinds: set[str], wine_csv: Path, wine_artifact: Path, tmp_path: Path
) -> None:
    chosen = [wine_csv if one == "{csv}" else one for one in method]
    given = ["--data", wine_csv, "--max-drop", 0.9, "--output", tmp_path / "small", "--method", *chosen]
    code, out, error = run(capsys, "compress", wine_artifact, *given)
    assert (code, error) == (0, "")
    assert f"{method[0]}: accuracy " in out
    model = maas.load(tmp_path / "small")
    assert {one.kind for one in model.recipe.transforms} == kinds
    assert model.card["evaluation"] is None
    assert sorted(one.name for one in tmp_path.iterdir() if not one.name.startswith(".")) == ["small"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("--method int8 --test {csv}", 2, "--test belongs to the search; leave out --method, or --test"),
        ("--method int8 --optimize size", 2, "--optimize belongs to the search"),
        ("--share 0.5", 2, "--share belongs to --method prune"),
        ("--method int8 --set hidden=[3]", 2, "--set belongs to --method distil"),
        ("--method distil", 2, "--method distil needs --train, the rows to teach with"),
        ("--method fuse", 1, "has no convolution over images that could be fused"),
        ("--batch-size 8", 2, "--batch-size is for training: give rows to go on with as --train"),
        ("--picture .", 2, "--picture must be a file such as pareto.svg"),
        ("--max-drop 2", 2, "`max_drop` must be from 0 to below 1, got 2.0"),
        ("--target asch", 2, "asch"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    capsys: Capture, arguments: str, code: int, message: str, wine_csv: Path, wine_artifact: Path, tmp_path: Path
) -> None:
    given = arguments.format(csv=wine_csv).split()
    found, _, error = run(capsys, "compress", wine_artifact, "--data", wine_csv, "--output", tmp_path / "m", *given)
    assert found == code
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_artifact(capsys: Capture, wine_csv: Path, wine_artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    given = ["--data", wine_csv, "--output", tmp_path / "full"]
    code, _, error = run(capsys, "compress", wine_artifact, *given)
    assert code == 2
    assert "--output: " in error
    assert "is not an artifact and will not be replaced" in error
    code, _, error = run(capsys, "compress", wine_artifact, "--data", wine_csv, "--output", wine_artifact)
    assert code == 2
    assert "--output is the model itself, which would be lost; choose another folder" in error
    code, _, error = run(capsys, "compress", tmp_path / "full", "--data", wine_csv, "--output", tmp_path / "m")
    assert code == 3
    assert "is not an artifact" in error
    assert sorted(one.name for one in tmp_path.iterdir()) == ["full"]
