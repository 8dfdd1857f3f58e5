"""maas push, promote, registry: what they print, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import maas
from maas.cli import main
from maas.data import Rows


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAAS_REGISTRY", str(tmp_path / "registry"))
    assert main(["registry", "create"]) == 0
    return tmp_path / "registry"


@pytest.fixture(scope="module")
def scored(wine_model: maas.Model, wine_split: tuple[Rows, Rows], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wine model with its scores."""
    evaluation = wine_model.evaluate(wine_split[1])
    return wine_model.save(tmp_path_factory.mktemp("scored") / "wine", evaluation=evaluation)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(arguments) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def test_from_a_push_to_production_and_back(
    place: Path, scored: Path, wine_artifact: Path, wine_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "push", str(wine_artifact), "--name", "wine")["version"] == "1"
    assert "wine@2  " in told(capsys, "push", str(scored), "--name", "wine")
    assert said(capsys, "promote", "wine@1") | {"version": None} == {
        "version": None,
        "alias": "production",
        "before": None,
        "released": [],
    }
    assert main(["promote", "wine@2"]) == 2
    assert "wine@1 was saved without an evaluation; give test rows" in capsys.readouterr().err
    assert told(capsys, "promote", "wine@2", "--data", str(wine_csv)) == "wine@2 is production; it was 1\n"
    assert told(capsys, "registry", "alias", "wine@1", "candidate") == "wine@1 is candidate\n"
    first, second = told(capsys, "registry", "list", "wine").splitlines()
    assert first.startswith("wine@1 ")
    assert first.endswith("candidate")
    assert "  accuracy " in second
    assert [one["aliases"] for one in said(capsys, "registry", "list")] == [["candidate"], ["production"]]
    text = told(capsys, "registry", "show", "wine")
    assert text.startswith("wine@2\n")
    assert "promote  production none -> 1, by " in text
    assert "promote  production 1 -> 2, by " in text
    assert said(capsys, "registry", "show", "wine@candidate")["version"] == "1"
    assert "scores: test rows None -> " in told(capsys, "registry", "diff", "wine", "candidate", "production")
    assert told(capsys, "registry", "diff", "wine", "2", "2") == "nothing but cards and golden rows differs\n"
    assert said(capsys, "registry", "verify", "wine")["version"] == "2"
    assert told(capsys, "registry", "pull", "wine@1", str(tmp_path / "got")) == f"wine@1 is in {tmp_path / 'got'}\n"
    assert maas.verify(tmp_path / "got") == maas.verify(wine_artifact)
    assert "wine@1, wine@2  model " in told(capsys, "registry", "lineage", "wine@1")
    assert told(capsys, "registry", "rollback", "wine") == "wine@1 is production; it was 2\n"
    assert told(capsys, "registry", "delete", "wine@2") == "wine@2 is deleted\n"
    assert told(capsys, "registry", "collect") == "nothing was left over\n"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["registry", "show", "wine"], 2, "has no model wine, there are none"),
        (["registry", "list", "../wine"], 2, "a model's name is 1 to 64 lower-case letters"),
        (["registry", "list", "--registry", "nowhere"], 2, "nowhere is not a registry: it has no maas-registry.json"),
        (["registry", "list", "--registry", "s3://bucket"], 2, "a registry is a folder, or file:///FOLDER"),
        (["push", "nowhere", "--name", "wine"], 3, "nowhere is not an artifact"),
        (["serve", "--registry", "nowhere", "wine"], 2, "nowhere is not a registry"),
        (["serve", "wine", "--follow", "5"], 4, "--follow looks at an alias of a registry; say which with --registry"),
    ],
)
def test_what_is_refused(
    place: Path, arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(arguments) == code
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["promote", "wine"], "'wine' is not NAME@VERSION or NAME@ALIAS, such as wine@2"),
        (["serve", "--registry", "r", "wine", "--follow", "0"], "'0' is not a number of seconds from 0.1 to 86,400"),
        (["serve", "--registry", "r", "wine", "--follow", "nan"], "'nan' is not a number of seconds"),
    ],
)
def test_options_that_are_wrong(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*arguments, *["--registry", "r"] * (arguments[0] == "promote")])
    assert says in capsys.readouterr().err


def test_a_diff_names_the_fields(
    place: Path, wine_artifact: Path, wine_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = maas.data.read_table(wine_csv, target="cultivar", drop=["hue"])
    model = maas.fit(maas.recipe(maas.nn.MLP, hidden=(4,)), rows, epochs=1, device="cpu", progress=False)
    main(["push", str(wine_artifact), "--name", "wine"])
    main(["push", str(model.save(tmp_path / "less")), "--name", "wine"])
    text = told(capsys, "registry", "diff", "wine", "1", "2")
    assert "network: in_features 13 -> 12, hidden [16] -> [4]\n" in text
    assert "  hue: gone\n" in text
    assert "breaks clients:\n  field 'hue' is gone\n" in text
    assert "  hue: new\n" in told(capsys, "registry", "diff", "wine", "2", "1")


def test_a_registry_must_be_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("MAAS_REGISTRY", raising=False)
    with pytest.raises(SystemExit):
        main(["registry", "list"])
    assert "the following arguments are required: --registry" in capsys.readouterr().err


def test_a_damaged_version_exits_as_a_damaged_artifact(
    place: Path, wine_artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(capsys, "push", str(wine_artifact), "--name", "wine")
    (place / "artifacts" / found["artifact"] / "card.json").write_text("{}")
    assert main(["registry", "verify", "wine@1"]) == 3
    assert "wine@1 is damaged: card.json is not what was saved" in capsys.readouterr().err


@pytest.mark.parametrize("front", [[], ["--front"]])
def test_a_dry_run_from_a_registry(
    place: Path, wine_artifact: Path, front: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["push", str(wine_artifact), "--name", "wine", "--version", "3.1"])
    main(["promote", "wine@3.1"])
    text = told(capsys, "serve", "--registry", str(place), "wine@production", "--dry-run", *front)
    assert "wine@3.1" in text


def test_terminals_are_not_steered(place: Path, wine_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["push", str(wine_artifact), "--name", "wine"])
    main(["promote", "wine@1"])
    main(["promote", "wine@1", "--to", "beta", "--force", "\x1b[2Jnothing to see"])
    text = told(capsys, "registry", "show", "wine")
    assert "against the rule: \\x1b[2Jnothing to see" in text
