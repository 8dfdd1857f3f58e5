"""Checks of Python, torch and GPUs; and with them all checks of what is installed."""

from __future__ import annotations

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
from maas.doctor._packages import DISTRIBUTION, extras, packages
from maas.doctor._torchserve import java, torchserve

_TORCH_SECONDS = 120
_DRIVER = Path("/proc/driver/nvidia/version")


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
