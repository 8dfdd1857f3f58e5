"""`maas predict`: rows from files and standard input, bad ones among good, and readers that leave."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import maas
from maas.cli._rows import read_rows

from .conftest import Capture, run

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def test_predict_answers_good_rows_and_names_bad_ones(capsys: Capture, wine_csv: Path, wine_artifact: Path) -> None:
    lines = wine_csv.read_text().splitlines()
    Path("rows.csv").write_text("\n".join([lines[0], lines[1], "x" + lines[2], lines[3]]))
    code, out, err = run(capsys, "predict", wine_artifact, "rows.csv")
    assert code == 1
    answers = [json.loads(line) for line in out.splitlines()]
    assert answers[1] is None
    assert all(answers[row]["label"] == 0 for row in (0, 2))
    assert err == "maas: row 1: field 'alcohol' must be a number, got 'x13.2'\n"
    code, out, _ = run(capsys, "predict", wine_artifact, "rows.csv", "--json")
    assert code == 1
    assert json.loads(out)["errors"] == [
        {"row": 1, "field": "alcohol", "detail": "field 'alcohol' must be a number, got 'x13.2'"}
    ]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_predict_goes_through_rows_in_parts_that_fit_in_memory(
    form: str, capsys: Capture, wine_csv: Path, wine_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = wine_csv.read_text().splitlines()
    lines[11] = "strong" + lines[11][lines[11].index(",") :]
    lines[15] = "3e38" + lines[15][lines[15].index(",") :]
    Path("rows.csv").write_text("\n".join(lines[:40]))
    if form == "jsonl":
        cells = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:40]]
        rows = [{name: float(cell) if cell != "strong" else cell for name, cell in row.items()} for row in cells]
        for row in rows:
            del row["cultivar"]
        Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    code, whole, told = run(capsys, "predict", wine_artifact, f"rows.{form}")
    seen: list[int] = []
    prepare = maas.Model.prepare
    monkeypatch.setattr(maas.Model, "rows_at_once", 7)
    monkeypatch.setattr(maas.Model, "prepare", lambda model, rows: seen.append(len(rows)) or prepare(model, rows))
    assert run(capsys, "predict", wine_artifact, f"rows.{form}")[0] == code == 1
    assert max(seen) == 7
    again = run(capsys, "predict", wine_artifact, f"rows.{form}")
    assert again[2] == told
    assert re.findall(r"maas: row (\d+):", told) == ["10", "14"]
    answers, others = ([json.loads(line) for line in out.splitlines()] for out in (whole, again[1]))
    assert len(answers) == len(others) == 39
    assert [row for row, answer in enumerate(answers) if answer is None] == [10, 14]
    for one, other in zip(answers, others, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert one["label"] == other["label"]
            assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_an_answer_that_is_not_finite_is_refused_as_the_server_refuses_it(capsys: Capture) -> None:
    """JSON has no infinity, and what is never answered in service must not be counted as answered rightly."""
    generator = np.random.default_rng(0)
    lines = [f"{a},{b},ok" for a, b in generator.normal(size=(60, 2)).tolist()]
    Path("t.csv").write_text("\n".join(["a,b,state", *lines]))
    options = ["--task", "anomaly", "--network", "autoencoder", "--target", "state", "--false-alarms", "0.3"]
    assert run(capsys, "fit", "t.csv", *options, "--epochs", "1", "--output", "m")[0] == 0
    Path("far.csv").write_text("a,b,state\n1e25,0,bad\n0,0,ok\n")
    code, out, err = run(capsys, "predict", "m", "far.csv", "--json")
    shown = json.loads(out, parse_constant=pytest.fail)
    detail = "the network gives no finite number for this row"
    assert (code, shown["predictions"][0], shown["predictions"][1]["anomalous"]) == (1, None, False)
    assert shown["errors"] == [{"row": 0, "field": None, "detail": detail}]
    code, _, err = run(capsys, "evaluate", "m", "far.csv")
    assert (code, err) == (2, f"maas: row 0: {detail}\n")


@pytest.mark.parametrize("form", ["one", "list", "lines"])
def test_predict_reads_json_from_standard_input(
    form: str, capsys: Capture, wine_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row: dict[str, Any] = json.loads((wine_artifact / "example.json").read_text())["rows"][0]
    text = {
        "one": json.dumps(row, indent=1),
        "list": json.dumps([row, row]),
        "lines": f"{json.dumps(row)}\n\n{json.dumps(row)}\r\n",
    }[form]
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    code, out, _ = run(capsys, "predict", wine_artifact, "-")
    assert code == 0
    assert len(out.splitlines()) == (1 if form == "one" else 2)


def test_a_line_of_json_may_hold_what_ends_a_line_elsewhere(tmp_path: Path) -> None:
    rows = [{"note": "one\u2028two\x85three"}, {"note": ""}]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    assert read_rows(str(file)) == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the input is empty"),
        ("{}\n{", "line 2 is neither a JSON row"),
        ('{"alcohol": NaN}', "line 1 is neither a JSON row"),
        ("[" * 200_000, "line 1 is neither a JSON row"),
    ],
)
def test_standard_input_that_is_not_json(
    text: str, message: str, capsys: Capture, wine_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    code, _, err = run(capsys, "predict", wine_artifact, "-")
    assert code == 2
    assert message in err


def test_a_reader_that_has_seen_enough_is_no_error(wine_csv: Path, wine_artifact: Path) -> None:
    """As `maas predict ... | head -1` does."""
    lines = wine_csv.read_text().splitlines()
    Path("long.csv").write_text("\n".join([lines[0], *lines[1:] * 20]))
    command = [sys.executable, "-m", "maas", "predict", wine_artifact, "long.csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b'{"label": ')
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 141
