"""Each trap that can be seen in an archive, made by spoiling a good one. None of it is run."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maas.archive import _layout
from maas.doctor import Finding, _contents, examine_model
from maas.doctor._config import config
from maas.doctor._contents import Contents

from .spoiling import only, read, zipped

Members = dict[str, bytes]
FACTS: dict[str, Any] = {"gpus": []}
MANIFEST, CONFIG = "MAR-INF/MANIFEST.json", "model-config.yaml"
RUNS = 'import pathlib\npathlib.Path("ran").touch()\n'


def said(key: str, value: str) -> Callable[[Members], Members]:
    """The manifest with another value."""

    def spoil(members: Members) -> Members:
        document = json.loads(members[MANIFEST])
        (document if key in document else document["model"])[key] = value
        return {**members, MANIFEST: json.dumps(document).encode()}

    return spoil


def errors(found: list[Finding]) -> list[str]:
    return [f"{one.subject}: {one.detail} -> {one.remedy}" for one in found if one.level == "error"]


def test_what_is_known_without_torch_is_what_the_archive_has() -> None:
    known = (_contents.MANIFEST, _contents.OURS, _contents._MOST_RATIO)
    assert known == (_layout.MANIFEST, _layout.HANDLERS, _layout._MOST_RATIO)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (said("modelName", "my_token"), "name: 'my_token' has 'token' in it: TorchServe takes its address"),
        (said("modelName", "models"), "name: 'models': torch-model-archiver deletes the folder of that name"),
        (said("modelName", "a/b"), "name: 'a/b' is no name for a model"),
        (said("modelName", "beer"), "name: the file is wine.mar, but the model in it is 'beer'"),
        (said("modelVersion", ""), "manifest: it names no version"),
        (said("runtime", "/bin/sh"), "manifest: its runtime is '/bin/sh'"),
        (said("serializedFile", "other.pt"), "manifest: its serializedFile is other.pt, which the archive does not"),
        (said("requirementsFile", "requirements.txt"), "code: it holds what maas never puts into an archive"),
        (lambda m: {**m, "more.py": RUNS.encode()}, "code: it holds what maas never puts into an archive"),
        (lambda m: {**m, MANIFEST: b"{"}, "manifest: MAR-INF/MANIFEST.json is missing, or no JSON"),
        (lambda m: {**m, CONFIG: b"a: [1"}, "settings: model-config.yaml is no YAML, and TorchServe would run on def"),
        (lambda m: {**m, CONFIG: b"maxWorkers: 2"}, "settings: minWorkers without maxWorkers, or the reverse"),
        (lambda m: {**m, CONFIG: m[CONFIG] + b"deviceType: gpu"}, "device: deviceType gpu, but torch finds 0 GPUs"),
        (lambda m: {**m, "maas_handler.py": RUNS.encode()}, "contents: "),
        (lambda m: {**m, "card.json": m["card.json"] + b" "}, "card.json is not what was saved: its SHA-256 differs"),
        (lambda m: {**m, "../up.txt": b""}, "archive: '../up.txt' would be unpacked outside of its folder"),
        (lambda m: {**m, "model.safetensors": bytes(2_000_000)}, "model.safetensors would unpack to 2,000,000 bytes"),
        (lambda m: {name: m[name] for name in m if name != "SHA256SUMS"}, "contents: "),
    ],
)
def test_traps(
    spoil: Callable[[Members], Members],
    says: str,
    wine_mar: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "wine.mar"
    path.write_bytes(zipped(spoil(read(wine_mar))))
    found = examine_model(path, FACTS)
    assert any(says in one for one in errors(found)), found
    assert all(one.remedy for one in found if one.level == "error")
    assert "not checked" in [one.level for one in found]  # the dry run, or all that comes after
    assert not (tmp_path / "ran").exists()


def test_an_altered_byte(wine_mar: Path, tmp_path: Path) -> None:
    data = bytearray(wine_mar.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "wine.mar").write_bytes(data)
    (found,) = errors(examine_model(tmp_path / "wine.mar", FACTS))
    assert "is damaged: its bytes do not have their checksum" in found


def test_a_name_that_comes_twice(wine_mar: Path, tmp_path: Path) -> None:
    (tmp_path / "wine.mar").write_bytes(zipped(read(wine_mar), ("card.json", b"{}")))
    (found,) = errors(examine_model(tmp_path / "wine.mar", FACTS))
    assert "card.json stands in it twice; readers differ" in found


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.mar").write_bytes(b"\x1f\x8b" + bytes(100))
    (tmp_path / "b.mar").write_bytes(b"hello")
    assert "--archive-format default" in only(examine_model(tmp_path / "a.mar", FACTS), "error").remedy
    assert "is not a whole zip" in only(examine_model(tmp_path / "b.mar", FACTS), "error").detail
    assert "no such file" in only(examine_model(tmp_path / "c.mar", FACTS), "error").detail


def test_without_torch_an_archive_is_read_as_far_as_it_can_be(wine_mar: Path) -> None:
    found = examine_model(wine_mar, {"error": "broken"})
    assert only(found, "not checked").detail == "torch cannot be imported"
    assert {"manifest", "name", "code", "settings"} <= {one.subject for one in found if one.level == "ok"}


@pytest.mark.parametrize(
    ("lines", "level", "says"),
    [
        ("batch_size: 8", "error", "batch_size is unknown to TorchServe, which would pass over it: batchSize is meant"),
        ("batchSize: '8'", "error", "batchSize is '8', a positive integer is wanted"),
        ("maxBatchDelay: 0", "error", "maxBatchDelay is 0, a positive integer is wanted"),
        ("batchSize: 8\nmaxBatchDelay: 100", "warning", "maxBatchDelay 100 ms: a lone request waits that long"),
        ("batchSize: 8", "warning", "maxBatchDelay 100 ms"),  # its default
        ("batchSize: 8\nmaxBatchDelay: 1\nuseJobTicket: true", "warning", "no batch of 8 ever comes together"),
        ("useJobTicket: yes please", "error", "true or false is wanted"),
        ("clientTimeoutInMills: 500", "error", "a request that has expired gets no answer at all"),
        ("asyncCommunication: true", "warning", "leaks requests"),
        ("batchSize: 8\nmaxBatchDelay: 1\njobQueueSize: 4", "warning", "jobQueueSize 4 is less than a batch of 8"),
        ("minWorkers: 1\nmaxWorkers: 4", "warning", "TorchServe does not scale between them"),
        ("minWorkers: 4\nmaxWorkers: 1", "error", "minWorkers 4 and maxWorkers 1"),
        ("deviceIds: [0, 1]", "error", "deviceIds [0, 1], but torch finds 1 GPUs"),
        ("just text", "error", "is no list of settings, and TorchServe would run on defaults"),
    ],
)
def test_settings(lines: str, level: str, says: str, tmp_path: Path) -> None:
    times = "" if lines == "just text" else "\nresponseTimeout: 60\nstartupTimeout: 60"
    found = list(config(_config(lines + times), {"gpus": [{}]}))
    assert says in only(found, level).detail, found


def test_time_limits_that_are_not_said() -> None:
    found = list(config(_config("batchSize: 1"), FACTS))
    assert [one.level for one in found] == ["warning", "warning"]
    assert "responseTimeout is not said, and so is 120 s" in found[0].detail


def test_settings_that_are_right() -> None:
    (found,) = config(_config("responseTimeout: 60\nstartupTimeout: 60\nmine: 3"), FACTS)
    assert (found.level, found.detail) == ("ok", "responseTimeout 60, startupTimeout 60")


def _config(text: str) -> Contents:
    info = {CONFIG: zipfile.ZipInfo(CONFIG)}
    return Contents(Path("some.mar"), info, {"model": {"configFile": CONFIG}}, {CONFIG: text.encode()})
