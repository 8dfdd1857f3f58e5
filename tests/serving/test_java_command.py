"""The command line that TorchServe's Java is started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from maas.serving import _java_command
from maas.serving._settings import Instance


@pytest.mark.parametrize(
    ("cores", "given", "wanted"), [(1, "", True), (2, "-Xmx1g", True), (4, "", False), (2, "-XX:+UseZGC", False)]
)
def test_few_cores_get_a_collector_without_threads_of_its_own(monkeypatch, tmp_path, cores, given, wanted):
    monkeypatch.setattr(_java_command, "available_cores", lambda: cores)
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", given)
    instance = Instance(tmp_path, tmp_path, "127.0.0.1", 1, 2, 3, 4, token_minutes=60)
    command = _java_command.command_line(Path("java"), instance, {"m": "m.mar"})
    assert ("-XX:+UseSerialGC" in command) is wanted
    assert command.index("org.pytorch.serve.ModelServer") > 1
