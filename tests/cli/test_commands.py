"""The command line: results, exit codes, and one line in place of a traceback for a user's mistake."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import maas
from maas.cli import main

from .conftest import Capture, run

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def test_from_a_table_to_an_archive(capsys: Capture) -> None:
    assert run(capsys, "sample", "iris", "--output", "iris.csv")[0] == 0
    with pytest.warns(UserWarning, match="test rows stand in training too"):
        code, out, _ = run(
            capsys, "fit", "iris.csv", "--target", "species", "--output", "a/iris", "--epochs", "3", "--test", "0.4"
        )
    assert code == 0
    assert "stratified split: 90 training rows, 60 test rows; 1 test rows stand in training too" in out
    assert "over logistic regression" in out
    assert "next: maas package a/iris" in out
    code, out, _ = run(capsys, "evaluate", "a/iris", "iris.csv", "--train", "iris.csv", "--json")
    assert code == 0
    assert json.loads(out)["num_rows"] == 150
    code, out, _ = run(capsys, "package", "a/iris", "--version", "3.1", "--json")
    assert code == 0
    assert json.loads(out)["archive"] == "model_store/iris.mar"
    for path in ("a/iris", "model_store/iris.mar"):
        code, out, _ = run(capsys, "verify", path, "--json")
        assert (code, len(json.loads(out)["digest"])) == (0, 64)
        code, out, _ = run(capsys, "inspect", path, "--json")
        shown = json.loads(out)
        assert shown["recipe"]["kind"] == "mlp"
        assert shown["card"]["evaluation"]["num_rows"] == 60
    assert shown["archive"] == {"name": "iris", "version": "3.1"}
    assert "iris 3.1" in run(capsys, "inspect", "model_store/iris.mar")[1]


def test_mixed_rows_from_a_table_of_paths(capsys: Capture) -> None:
    lines = ["photo,note,size,y"]
    for row in range(40):
        Pillow.new("L", (6, 6), 200 * (row % 2)).save(f"{row}.png")
        lines.append(f"{row}.png,{['a bad', 'a good'][row % 3 > 0]} day,{row / 7},{row % 2}")
    Path("t.csv").write_text("\n".join(lines))
    given = ["fit", "t.csv", "--type", "photo=image", "--type", "note=text", "--epochs", "2", "--output", "m"]
    code, _, error = run(capsys, *given)
    assert code == 2
    assert "of mixed rows, maas.nn.Fusion takes a network for each part" in error
    code, out, _ = run(capsys, *given, "--network", "fusion", "--set", "width=8")
    assert code == 0
    assert "Model(fusion, 3 fields -> y (classification))" in out
    code, out, _ = run(capsys, "predict", "m", "t.csv", "--json")
    assert code == 0
    Path("7.png").unlink()
    code, out, error = run(capsys, "predict", "m", "t.csv")
    assert code != 0
    assert "row 7: field 'photo': there is no file '7.png'" in out + error


def test_fit_takes_the_networks_arguments_and_the_tables_options(capsys: Capture) -> None:
    lines = ["when,zip,size,price"] + [
        f"2024-01-{day:02},{day % 3},{'?' if day == 5 else day},{day * 2.5}" for day in range(1, 29)
    ]
    Path("t.csv").write_text("\n".join(lines))
    code, out, _ = run(
        capsys, "fit", "t.csv", "--target", "price", "--drop", "when", "--time", "when", "--type", "zip=categorical",
        "--missing", "?", "--set", "hidden=[7, 5]", "--set", "activation=tanh", "--epochs", "2", "--batch-size", "4",
        "--optimizer", "sgd", "--learning-rate", "0.01", "--weight-decay", "0", "--patience", "1",
        "--output", "m", "--json",
    )  # fmt: skip
    assert code == 0
    shown = json.loads(run(capsys, "inspect", "m", "--json")[1])
    assert shown["recipe"]["arguments"]["hidden"] == [7, 5]
    assert shown["recipe"]["arguments"]["activation"] == "tanh"
    assert [(field["name"], field["kind"], field["nullable"]) for field in shown["schema"]] == [
        ("zip", "categorical", False),
        ("size", "numeric", True),
    ]
    assert shown["card"]["training"]["optimizer"]["kind"] == "sgd"
    assert shown["card"]["data"]["split"] == "by time (when)"
    assert json.loads(out)["evaluation"]["task"] == "regression"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("fit nowhere.csv --target y --output m", 2, "there is no file nowhere.csv"),
        ("fit {wine} --target cultivr --output m", 2, "`target` names no column: got 'cultivr'"),
        ("fit {wine} --output m", 2, "say which column to predict with --target"),
        ("fit {wine} --target cultivar --output m --set hiden=3", 2, "MLP has no argument 'hiden'"),
        ("fit {wine} --target cultivar --output m --set hidden", 2, "--set wants NAME=VALUE, got 'hidden'"),
        ("fit {wine} --target cultivar --output m --set hidden=[0]", 2, "`hidden` must be positive integers"),
        ("fit {wine} --target cultivar --output m --network nerve", 2, "no network is registered as 'nerve'"),
        ("fit {wine} --target cultivar --output m --epochs 0", 2, "`epochs` must be a positive integer, got 0"),
        ("fit {wine} --target cultivar --output m --device tpu9", 2, "`device` 'tpu9' cannot be used here"),
        ("fit {wine} --target cultivar --output {folder}", 2, "is not an artifact and will not be replaced"),
        ("evaluate {wine_artifact} nowhere.csv", 2, "there is no file nowhere.csv"),
        ("predict nowhere {wine}", 3, "nowhere is not an artifact: there is no such folder"),
        ("verify {wine}", 3, "is not a whole archive"),
        ("inspect nowhere.mar", 3, "there is no archive nowhere.mar"),
        ("package {wine_artifact} --name Models", 3, "lower-case letters"),
        ("package {wine_artifact} --version one", 3, "a version is one to three numbers"),
        ("serve --store {store} --port 99999", 4, "`port` is from 1 to 65535"),
        ("serve --store {store} --metrics-port 0", 4, "`metrics_port` is from 1 to 65535, got 0"),
        ("serve --store {store} --front --metrics-port 9000", 4, "that of one TorchServe"),
        ("call wine {wine} --url http://127.0.0.1:9 --token \u00fc", 4, "a token is printable ASCII"),
        ("verify {wine_artifact} --import no_such_module_at_all", 2, "--import no_such_module_at_all: No module named"),
        ("serve --store nowhere", 4, "there is no model store nowhere"),
        ("call wine {wine} --url http://127.0.0.1:9 --token x", 4, "did not answer"),
        ("call nobody-serves-this {wine}", 4, "no server runs here that serves 'nobody-serves-this'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_an_exit_code(
    arguments: str, code: int, message: str, capsys: Capture, wine_csv: Path, wine_artifact: Path, tmp_path: Path
) -> None:
    (tmp_path / "store").mkdir()
    maas.package(wine_artifact, store=tmp_path / "store", name="wine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not lose me")
    values = {
        "store": tmp_path / "store",
        "wine": wine_csv,
        "wine_artifact": wine_artifact,
        "folder": tmp_path / "mine",
    }
    got, _, err = run(capsys, *arguments.format(**values).split())
    assert got == code
    assert message in err
    assert err.startswith("maas: ")
    assert err.count("\n") == 1
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "do not lose me"


def test_what_steers_a_terminal_is_shown_and_not_obeyed(capsys: Capture, wine_artifact: Path, tmp_path: Path) -> None:
    model = maas.load(wine_artifact)
    model.target = "\x1b]0;owned\x07"
    out = run(capsys, "inspect", model.save(tmp_path / "odd"))[1]
    assert "\x1b" not in out
    assert "\\x1b]0;owned\\x07" in out


@pytest.mark.parametrize("command", ["evaluate", "inspect"])
def test_labels_that_steer_a_terminal_are_shown(command: str, capsys: Capture, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    lines = [f"{generator.normal()},{'plain' if row % 2 else chr(27) + '[31m'}" for row in range(40)]
    Path("t.csv").write_text("\n".join(["x,y", *lines]))
    assert "\x1b" not in run(capsys, "fit", "t.csv", "--epochs", "1", "--output", "m")[1]
    out = run(capsys, command, "m", *["t.csv"] * (command == "evaluate"))[1]
    assert "\x1b" not in out
    assert "\\x1b[31m" in out


def test_a_warning_is_one_line(capsys: Capture) -> None:
    lines = [f"{row % 5},{row % 2}" for row in range(40)]
    Path("t.csv").write_text("\n".join(["x,y", *lines]))
    done = subprocess.run(
        [sys.executable, "-m", "maas", "fit", "t.csv", "--epochs", "1", "--output", "m", "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert re.fullmatch(r"maas: stratified split: .*before the split\n", done.stderr)


def test_a_network_of_ones_own_goes_through_every_command(capsys: Capture, wine_csv: Path, tmp_path: Path) -> None:
    (tmp_path / "lines_for_cli.py").write_text(
        "import torch, maas\n@maas.network('test.cli')\nclass Line(torch.nn.Linear):\n"
        "    @classmethod\n    def sizes(cls, inputs, num_outputs):\n"
        "        return {'in_features': inputs['x'].shape[0], 'out_features': num_outputs}\n"
        "    def forward(self, x):\n        return super().forward(x)\n"
    )
    own = ["--import", "lines_for_cli"]
    options = ["--target", "cultivar", "--network", "test.cli", "--epochs", "1", "--output", "line"]
    assert run(capsys, "fit", wine_csv, *options, *own)[0] == 0
    for arguments in (["verify", "line"], ["package", "line"], ["predict", "line", wine_csv], ["inspect", "line"]):
        assert run(capsys, *arguments, *own)[0] == 0


def test_help_teaches_by_example(capsys: Capture) -> None:
    for command in ("fit", "evaluate", "predict", "inspect", "verify", "package", "serve", "call", "ready", "sample"):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert f"maas {command} " in capsys.readouterr().out.split("example", 1)[1]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGHUP], ids=["Ctrl-C", "terminal closed"])
def test_serve_and_call_until_it_is_stopped(
    stop: signal.Signals, wine_artifact: Path, wine_csv: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(capsys, "package", wine_artifact, "--name", "wine-cli")[0] == 0
    serving = subprocess.Popen(
        [sys.executable, "-m", "maas", "serve", "wine-cli", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert serving.stdout is not None
        started = json.loads(serving.stdout.readline())
        code, out, _ = run(capsys, "call", "wine-cli", wine_csv)
        assert (code, len([json.loads(line)["label"] for line in out.splitlines()])) == (0, 178)
        monkeypatch.setattr("sys.stdin", io.StringIO('{"alcohol": 1}'))
        code, _, error = run(capsys, "call", "wine-cli", "-")
        assert (code, error) == (1, "maas: row 0: field 'malic_acid' is missing\n")
        begun = time.monotonic()
        os.killpg(serving.pid, stop)
        assert serving.wait(30) == 0
        assert time.monotonic() - begun < 30
        assert not Path(started["folder"]).exists()
        with pytest.raises(ProcessLookupError):
            os.kill(started["pid"], 0)
    finally:
        serving.kill()
        serving.wait()
        assert serving.stdout is not None
        serving.stdout.close()


def _sensors(folder: Path) -> Path:
    generator = np.random.default_rng(0)
    lines = ["a,b,hot,cold,state"]
    for a, b in generator.normal(size=(150, 2)):
        odd = abs(b) > 2
        lines.append(
            f"{a:.4f},{a + (3 if odd else 0.1) * b:.4f},{int(a > 0.3)},{int(a < -0.3)},{'bad' if odd else 'ok'}"
        )
    (folder / "s.csv").write_text("\n".join(lines) + "\n")
    (folder / "plain.csv").write_text("\n".join(",".join(line.split(",")[:2]) for line in lines) + "\n")
    return folder / "s.csv"


@pytest.mark.filterwarnings("ignore:.*too few for `false_alarms`", "ignore:.*stand in none or in all")
def test_anomalies_labels_and_thresholds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(arguments: str) -> str:
        assert main(arguments.split()) == 0
        return capsys.readouterr().out

    table = _sensors(tmp_path)
    short = "--epochs 2 --device cpu"
    plain = f"fit {tmp_path / 'plain.csv'} --task anomaly --network autoencoder --normal ok {short}"
    out = run(f"{plain} --output {tmp_path / 'a'}")
    assert f"not evaluated: the rows have no target; maas evaluate {tmp_path / 'a'} DATA --target COLUMN" in out
    assert "say here with --normal LABEL" in run(f"{plain} --output {tmp_path / 'n'}".replace("--normal ok", ""))
    assert json.loads(run(f"{plain} --output {tmp_path / 'a'} --json"))["evaluation"] is None
    assert "false_alarm_rate" in run(f"evaluate {tmp_path / 'a'} {table} --target state")
    assert "threshold" in run(f"inspect {tmp_path / 'a'}")
    out = run(
        f"fit {table} --target state --task anomaly --normal ok --false-alarms 0.2 --drop hot --drop cold "
        f"--network autoencoder {short} --output {tmp_path / 'b'}"
    )
    assert "isolation forest" in out
    assert "roc_auc" in run(f"evaluate {tmp_path / 'b'} {table} --train {table}")
    many = f"fit {table} --task multilabel --target hot,cold --drop state --threshold f1 {short}"
    assert "micro_f1" in run(f"{many} --output {tmp_path / 'c'}")
    assert "micro_f1" in run(f"evaluate {tmp_path / 'c'} {table}")
    one = f"fit {table} --target hot --drop state --drop cold --threshold 0.3 {short}"
    assert "accuracy" in run(f"{one} --output {tmp_path / 'd'}")
    assert "threshold 0.3" in run(f"inspect {tmp_path / 'd'}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--target a --threshold f1", "--threshold is for classes or several labels, the task is regression; leave it"),
        ("--target state --normal ok", "--normal is for --task anomaly, the task is classification; leave it out"),
        (
            "--target state --false-alarms 0.1",
            "--false-alarms is for --task anomaly, the task is classification; leave",
        ),
        (
            "--target hot --threshold 2",
            "`threshold` must be a number from 0 to 1 or one of f1, youden, accuracy, got 2",
        ),
        (f"--target hot --threshold {10**400}", "`threshold` must be a number from 0 to 1 or one of"),
        ("--target state --group hot --seed -1", "`seed` must be an integer from 0 to below 2**63, got -1"),
        (f"--target state --set hidden={'[' * 100_000}", "the arguments of a recipe take at most 65536 bytes"),
        ("--task multilabel --target hot,cald", "`target` names no column: got 'cald'"),
        ("--task multilabel", "say which column to predict with `target`; there are 'a', 'b', 'hot', 'cold', 'state'"),
    ],
)
def test_options_that_do_not_suit_the_task(
    options: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = _sensors(tmp_path)
    assert main(f"fit {table} {options} --output {tmp_path / 'm'}".split()) == 2
    assert message in capsys.readouterr().err
