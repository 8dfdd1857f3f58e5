"""The command line of groups, intended use and reports."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas
import pytest

import maas

from .conftest import Capture, run

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def write_table() -> None:
    """Two numbers of which one decides; a column `site` that the network does not see."""
    x = np.random.default_rng(0).normal(size=(300, 2))
    lines = [f"{a},{b},{'ab'[row % 2]},{'yes' if a > 0 else 'no'}" for row, (a, b) in enumerate(x.tolist())]
    Path("t.csv").write_text("\n".join(["one,other,site,answer", *lines]))


def test_from_fit_with_groups_to_a_page(capsys: Capture) -> None:
    write_table()
    arguments = ["--target", "answer", "--drop", "site", "--groups", "site", "--epochs", "2", "--output", "m"]
    stated = ["--intended-use", "a test", "--limits", "not for <people>"]
    code, out, _ = run(capsys, "fit", "t.csv", *arguments, *stated)
    assert code == 0
    assert "\nby site: " in out
    code, out, _ = run(capsys, "inspect", "m")
    assert code == 0
    assert "use        a test\nlimits     not for <people>\n" in out
    assert "class by class:" in out
    code, out, _ = run(capsys, "evaluate", "m", "t.csv", "--groups", "site", "--groups", "one", "--json")
    shown = json.loads(out)["groups"]
    assert [(one["name"], sum(group["num_rows"] for group in one["groups"])) for one in shown] == [
        ("site", 300),
        ("one", 300),
    ]
    code, out, _ = run(capsys, "report", "m", "--data", "t.csv", "--train", "t.csv", "--groups", "site")
    assert code == 0
    assert out.startswith("report.html (")
    page = Path("report.html").read_text("utf-8")
    assert "not for &lt;people&gt;" in page
    assert "Answered worst" in page
    assert maas.load("m").digest in page
    code, out, _ = run(capsys, "report", "m", "--output", "stored.html", "--json")
    assert (code, json.loads(out)["report"]) == (0, "stored.html")
    stored = Path("stored.html").read_text("utf-8")
    assert "Who is served worse" in stored
    assert "Answered worst" not in stored


def test_rows_that_are_split_off_in_python_only(capsys: Capture) -> None:
    series = np.sin(np.arange(60) / 5)
    windows = maas.data.windows(pandas.DataFrame({"v": series}), window=6, horizon=2)
    train, test = windows.split(0.2)
    model = maas.fit(maas.recipe(maas.nn.RNN, hidden_size=2), train, epochs=1, device="cpu", progress=False)
    model.save("m", evaluation=model.evaluate(test, baselines_from=train))
    Path("t.csv").write_text("v\n1\n")
    for command in (["evaluate", "m", "t.csv"], ["report", "m", "--data", "t.csv"]):
        code, _, err = run(capsys, *command)
        assert (code, err.count("\n")) == (2, 1)
        assert "no rows to score a forecast by: they are split off in Python, maas.data.windows(...)" in err
    assert run(capsys, "report", "m")[0] == 0
    assert "the intervals are too narrow" in Path("report.html").read_text("utf-8")
    assert "the intervals are too narrow" in run(capsys, "inspect", "m")[1]


def test_a_report_on_a_folder_of_images(capsys: Capture) -> None:
    import torch
    from torchvision.io import write_png

    for label, grey in (("dark", 20), ("light", 220)):
        Path("images", label).mkdir(parents=True)
        for place in range(6):
            write_png(torch.full((1, 8, 8), grey + place, dtype=torch.uint8), f"images/{label}/{place}.png")
    rows = maas.data.read_images("images")
    recipe = maas.recipe(maas.nn.CNN, filters=(2,))
    maas.fit(recipe, rows, epochs=1, device="cpu", progress=False).save("m")
    assert run(capsys, "report", "m", "--data", "images")[0] == 0
    assert Path("report.html").read_text("utf-8").count("data:image/png;base64,") == 12
    lines = [f"images/{label}/{place}.png,{label}" for label in ("dark", "light") for place in range(6)]
    Path("paths.csv").write_text("\n".join(["path,class", *lines]))
    code, out, _ = run(capsys, "evaluate", "m", "paths.csv", "--json")
    assert (code, json.loads(out)["num_rows"]) == (0, 12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("report {wine_artifact}", "was saved without scores; give test rows with --data"),
        ("report {wine_artifact} --groups ash", "--groups needs --data, the rows to score"),
        ("report {wine_artifact} --data {wine} --output .", "`path` must be a file such as report.html"),
        ("evaluate {wine_artifact} {wine} --groups asch", "`groups` names no column: got 'asch'"),
        ("fit {wine} --target cultivar --output m --groups asch", "`groups` names no column: got 'asch'"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: str, message: str, capsys: Capture, wine_csv: Path, wine_artifact: Path
) -> None:
    code, _, err = run(capsys, *arguments.format(wine=wine_csv, wine_artifact=wine_artifact).split())
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not Path("m").exists()


@pytest.mark.parametrize("evaluation", [{"scores": 3}, [1], {"labels": ["a"]}])
def test_a_hostile_evaluation_on_a_card_is_one_line(
    evaluation: object, capsys: Capture, wine_artifact: Path, tmp_path: Path
) -> None:
    model = maas.load(wine_artifact)
    model.card["evaluation"] = evaluation
    path = model.save(tmp_path / "odd")
    for command in ("inspect", "report"):
        code, _, err = run(capsys, command, path)
        assert code == 3
        assert "the card does not hold an evaluation" in err
