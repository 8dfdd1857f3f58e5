"""What the benchmarks share: the peers' environment, and words on where, when and with what they were run."""

import contextlib
import os
import platform
import subprocess
import sys
import sysconfig
import venv
from datetime import date
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def make_peers(folder: Path, peers: tuple[str, ...]) -> Path:
    """The interpreter of the peers' environment, which is made where it is not there.

    It is a venv whose .pth points to the site-packages of the interpreter that runs this, so that torch is not
    installed twice. "-" is this interpreter itself.
    """
    if str(folder) == "-":
        return Path(sys.executable)
    python = folder / "bin" / "python"
    borrowed = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}), "running_interpreter.pth")
    if not borrowed.exists():  # written last: an environment that was stopped while it was made has none
        print(f"making {folder}: {', '.join(peers)}", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True, symlinks=True)
        borrowed.write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    missing = [name for name in peers if not version_in(python, name)]
    if missing and subprocess.run([python, "-m", "pip", "install", "--quiet", "--quiet", *missing]).returncode:
        raise SystemExit(f"{', '.join(missing)} cannot be installed; leave the peers out with --no-peers")
    return python


def where(commit: str | None, device: str = "") -> str:
    """One line: the day, the commit, the machine."""
    found = commit or git("rev-parse", "--short", "HEAD")
    measured = git("status", "--porcelain", "--", "maas", "handlers", ":(glob)benchmarks/**/*.py")
    found += " and uncommitted changes" if measured else ""
    on = processor() + (f", {device}" if device else "")
    return f"{date.today()}, commit {found}. {on}, {os.cpu_count()} cores; load at the end {os.getloadavg()[1]:.1f}."


def versions(python: Path, peers: tuple[str, ...]) -> str:
    """One line: Python, torch and the peers."""
    named = "".join(f", {name} {version_in(python, name)}" for name in peers)
    return f"Python {platform.python_version()}, torch {version('torch')}{named}."


def processor() -> str:
    """The name of the CPU, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def version_in(python: Path, name: str) -> str:
    code = f"from importlib.metadata import version; print(version({name!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip()


def git(*arguments: str) -> str:
    with contextlib.suppress(FileNotFoundError):
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return ""
