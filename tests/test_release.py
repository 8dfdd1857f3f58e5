"""What a release holds: a wheel that serves, one version, every dependency's licence."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import maas

ROOT = Path(__file__).parent.parent


def run(*words: str | Path, folder: Path = ROOT, **environment: str) -> str:
    given = {**os.environ, **environment}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_wheel_of_the_sdist_serves_outside_the_repository(tmp_path: Path) -> None:
    """In an environment of its own but for what it depends on, which scripts/release-check installs too."""
    quiet = ("--quiet", "--no-deps", "--disable-pip-version-check")
    run("-m", "hatchling", "build", "--target", "sdist", "--directory", tmp_path)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as files:
        held = {Path(*Path(name).parts[1:]) for name in files.getnames()}
    assert {Path(one) for one in ("README.zh-CN.md", "scripts/test", "docs/README.md", "tests/conftest.py")} <= held
    assert not [one for one in held if one.parts[:1] in ((".venv",), (".benchmarks",), (".ci",))]
    run("-m", "pip", "wheel", *quiet, "--no-build-isolation", "--wheel-dir", tmp_path, sdist)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    run("-m", "pip", "install", *quiet, "--target", site, wheel)
    printed = run("-P", ROOT / "scripts" / "journey.py", tmp_path / "away", folder=tmp_path, PYTHONPATH=str(site))
    assert f"maas: {site / 'maas' / '__init__.py'}" in printed
    assert f"handler: {site / 'maas' / 'handlers' / 'maas_handler.py'}" in printed
    assert "served answers: [" in printed


def test_the_changes_begin_with_this_version() -> None:
    versions = re.findall(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == maas.__version__


def test_the_licence_of_each_dependency_is_listed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(one for extra in extras if extra != "dev" for one in extras[extra])]
    names = {re.match(r"[\w.-]+", one)[0].lower() for one in wanted}  # type: ignore[index]
    listed = re.findall(r"^\| (\S+) \| \S+ \| (.+) \|$", (ROOT / "docs" / "licences.md").read_text(), re.MULTILINE)
    assert names - {name for name, _ in listed} == set()
    assert [name for name, licence in listed if name in names and licence == "not said"] == []


def test_the_tests_of_the_version_matrix_are_there() -> None:
    quick = re.search(r'QUICK="([^"]+)"', (ROOT / "scripts" / "matrix").read_text())
    assert quick is not None
    assert [one for one in quick[1].split() if not (ROOT / one).exists()] == []
