"""The one rule by which README and the pages of docs are run.

A page's blocks run in their order, in one folder. ```python blocks share one process and one namespace; each ```bash
block is a bash of its own, which ends at the first command that fails. A ```text or ```json block behind one of these
is what it prints: word for word, but that "..." stands for anything, numbers for others near them, and the verdict of
a comparison for another. What cannot run is an indented block, or ```console.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from maas.cli import main

RUN = ("bash", "python")
PRINTED = ("json", "text")
SHOWN = ("console", "promql", "yaml")

_FENCED = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PLAIN = re.compile(r"(maas (?!serve )|export )[^|<>&;$`*]*")
_NUMBER = r"[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?"
_VERDICTS = "the network is better|the baseline is better|no difference shown"
_PARTS = re.compile(rf"(?P<any>\.\.\.)|(?P<number>{_NUMBER})|(?P<space>\s+)|(?P<verdict>{_VERDICTS})")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and the line that it begins in."""

    language: str
    code: str
    line: int


def blocks_of(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a page in their order, of these languages or of all."""
    text = page.read_text("utf-8")
    found = [Block(one[1], one[2], text.count("\n", 0, one.start()) + 1) for one in _FENCED.finditer(text)]
    return [block for block in found if not languages or block.language in languages]


def run_command(command: list[str], folder: Path) -> str:
    """What a command prints that ends well, with this environment's commands in its path."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    given = {**os.environ, "PATH": path, "no_proxy": "127.0.0.1"}
    done = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def run_shell(code: str, folder: Path) -> str:
    """What a block of bash prints, which ends at the first command that fails.

    Where it has nothing but plain lines of `maas` and `export`, they run in this process: one for each would load torch
    each time.
    """
    uncommented = (re.sub(r"(^|\s)#.*", "", line) for line in code.replace("\\\n", " ").splitlines())
    lines = [line for line in uncommented if line.strip()]
    if not all(_PLAIN.fullmatch(line) for line in lines):
        return run_command(["bash", "-euo", "pipefail", "-c", code], folder)
    out = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), patch.dict(os.environ, no_proxy="127.0.0.1"):
        for program, *arguments in map(shlex.split, lines):
            if program == "export":
                name, _, value = arguments[0].partition("=")
                os.environ[name] = value
            else:
                assert main(arguments) == 0, arguments
    return out.getvalue()


def run_page(page: Path, folder: Path) -> None:
    """Run a page's blocks in a folder, and hold what they print against what the page shows."""
    names: dict[str, Any] = {"__name__": "page"}
    printed: str | None = None
    for block in blocks_of(page):
        where = f"{page.name}, line {block.line}"
        if block.language == "bash":
            printed = run_shell(block.code, folder)
        elif block.language == "python":
            out = io.StringIO()
            code = compile("\n" * block.line + block.code, str(page), "exec")
            with contextlib.chdir(folder), contextlib.redirect_stdout(out):
                exec(code, names)  # noqa: S102
            printed = out.getvalue()
        elif block.language in PRINTED and printed is not None:
            assert alike(block.code, printed), f"{where} shows\n{block.code}\nand this was printed:\n{printed}"
            printed = None


def alike(shown: str, printed: str) -> bool:
    """Whether this was printed, but for what "..." stands for, numbers near those shown, and white space."""
    pattern, numbers, done = "", [], 0
    shown = shown.strip()
    for one in _PARTS.finditer(shown):
        pattern += re.escape(shown[done : one.start()])
        if one.lastgroup == "number":
            numbers.append(one[0])
        pattern += {"any": ".*?", "number": f"({_NUMBER})", "space": r"\s+", "verdict": f"(?:{_VERDICTS})"}[
            one.lastgroup or ""
        ]
        done = one.end()
    found = re.fullmatch(pattern + re.escape(shown[done:]), printed.strip(), re.DOTALL)
    return found is not None and all(map(_near, numbers, found.groups()))


def _near(shown: str, printed: str) -> bool:
    """Whether a number is near the shown one; of whole ones, which count or name things, any will do."""
    one, other = (float(text.replace(",", "").rstrip(".")) for text in (shown, printed))
    return "." not in shown or math.isclose(one, other, rel_tol=0.25, abs_tol=0.1)
