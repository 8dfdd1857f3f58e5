"""Archives that maas did not write: what can be said of them without running any of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maas.doctor import Finding, examine_model

from .spoiling import zipped

ONE_CLASS = "class Handler:\n    def initialize(self, context): ...\n    def handle(self, data, context): ...\n"


def examined(tmp_path: Path, source: str | None, handler: str = "my_handler.py", **more: bytes) -> list[Finding]:
    manifest = {
        "runtime": "python",
        "model": {"modelName": "theirs", "modelVersion": "1.0", "handler": handler, "serializedFile": "weights.pt"},
    }
    members = {"MAR-INF/MANIFEST.json": json.dumps(manifest).encode(), "weights.pt": b"PK", **more}
    if source is not None:
        members["my_handler.py"] = source.encode()
    path = tmp_path / "theirs.mar"
    path.write_bytes(zipped(members))
    return examine_model(path, {"gpus": []})


def details(found: list[Finding], level: str) -> str:
    return "\n".join(f"{one.subject}: {one.detail}" for one in found if one.level == level)


def test_nothing_of_it_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = examined(tmp_path, "open('ran', 'w').close()\n" + ONE_CLASS)
    assert not (tmp_path / "ran").exists()
    assert "my_handler.py has one class, Handler" in details(found, "ok")
    assert not details(found, "error")
    warnings = details(found, "warning")
    assert "this archive is not maas's: it brings code of its own (my_handler.py)" in warnings
    assert "weights.pt: a file of torch.save is a pickle" in warnings
    assert "there is no model-config.yaml" in warnings
    skipped = details(found, "not checked")
    assert "what it does with a bad row, a NaN or a large answer: it is not run" in skipped
    assert "nothing is run of an archive that maas did not write" in skipped


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (ONE_CLASS + "class Other: ...\n", "has 2 classes (Handler, Other) and no function handle"),
        ("x = 1\n", "has 0 classes (none) and no function handle"),
        ("import nothing_of_that_name\n" + ONE_CLASS, "No module named 'ts.torch_handler.my_handler'"),
        ("def handle(:\n", "my_handler.py is not Python"),
        (None, "'my_handler.py' is neither in the archive nor one of TorchServe's"),
    ],
)
def test_a_handler_that_cannot_load(source: str | None, says: str, tmp_path: Path) -> None:
    assert says in details(examined(tmp_path, source), "error")


def test_a_function_and_its_own_modules_will_do(tmp_path: Path) -> None:
    source = "import network\nclass A: ...\nclass B: ...\ndef serve(data, context): ...\n"
    found = examined(tmp_path, source, "my_handler.py:serve", **{"network.py": b""})
    assert not details(found, "error")
    assert "my_handler.py has the function serve" in details(found, "ok")


def test_a_file_in_the_place_of_pythons_own(tmp_path: Path) -> None:
    found = examined(tmp_path, ONE_CLASS, **{"json.py": b"", "torch.py": b""})
    assert "json.py stands on the worker's path before Python's own module json" in details(found, "error")
    assert "torch.py stands" in details(found, "error")


def test_a_stock_handler(tmp_path: Path) -> None:
    found = examined(tmp_path, None, "image_classifier")
    assert "image_classifier is TorchServe's own: an exception on one request fails the whole" in details(
        found, "warning"
    )
