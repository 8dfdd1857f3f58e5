"""Checks of the packages that maas needs, and of its extras."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping

from maas.doctor._finding import Check, Finding

DISTRIBUTION = "maas-torch"
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

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)[^>;]*(?:>=([0-9.]+))?[^;]*(?:;.*extra == ['\"](\w+)['\"])?")


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
        version = installed(name)
        if version is None:
            wrong.append(f"{name} is not installed")
        elif _numbers(version) < _numbers(least):
            wrong.append(f"{name} is {version}, and {least} or newer is wanted")
    return wrong


def installed(name: str) -> str | None:
    """The version of a distribution; None where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0]))
