"""The command line and the environment that start TorchServe's Java, without TorchServe's own launcher script."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from maas.errors import ServingError
from maas.nn import available_cores
from maas.serving._imports import import_environment
from maas.serving._settings import DRAIN, Instance


def torchserve_home() -> Path:
    """The folder in which TorchServe's package lies.

    Raises:
        ServingError: TorchServe is not installed.
    """
    spec = importlib.util.find_spec("ts")
    if spec is None or spec.origin is None:
        raise ServingError("TorchServe is not installed; install it with pip install 'maas-torch[serve]'")
    return Path(spec.origin).parent.parent


def command_line(java: Path, instance: Instance, archives: Mapping[str, str]) -> list[str]:
    """What is run.

    Args:
        java: the runtime.
        instance: where it lives and listens.
        archives: for each model the name of its archive's file in the server's own store.
    """
    home, folder = torchserve_home(), instance.folder
    return [
        str(java),
        *_collector(),
        f"-Dmodel_server_home={home}",
        f"-Dlog4j.configurationFile=file://{folder / 'log4j2.xml'}",
        f"-Djava.io.tmpdir={folder / 'tmp'}",
        *("-cp", f"{instance.classes}:{home / 'ts' / 'frontend' / '*'}"),
        "org.pytorch.serve.ModelServer",
        *("--python", sys.executable),
        *("-f", str(folder / "config.properties")),
        *("-s", str(instance.store)),
        "-ncs",
        *("-m", *(f"{name}={file}" for name, file in archives.items())),
    ]


def _collector() -> list[str]:
    """On one or two cores a garbage collector with threads of its own takes them from those who answer."""
    chosen = any(
        "GC" in os.environ.get(name, "") for name in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
    )
    return [] if chosen or available_cores() > 2 else ["-XX:+UseSerialGC"]


def environment(instance: Instance, imports: Sequence[str]) -> dict[str, str]:
    """What is set in its environment, above what is there."""
    folder = instance.folder
    return {
        "TEMP": str(folder / "tmp"),
        "TMPDIR": str(folder / "tmp"),
        "LOG_LOCATION": str(instance.logs),
        "METRICS_LOCATION": str(instance.logs),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        DRAIN: str(instance.drain_mark),
        **import_environment(imports),
    }


def start(
    java: Path, instance: Instance, archives: Mapping[str, str], imports: Sequence[str]
) -> subprocess.Popen[bytes]:
    """Start TorchServe. Its folder must be there, with the generated files and the archives in it."""
    whole = {**os.environ, **environment(instance, imports)}
    whole.pop("TS_CONFIG_FILE", None)
    with open(instance.console_log, "ab") as console:
        # A session of its own: Ctrl-C in the terminal reaches us, and we stop it in order.
        return subprocess.Popen(
            command_line(java, instance, archives),
            cwd=instance.folder,
            env=whole,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
