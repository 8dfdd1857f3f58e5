"""The pictures in the README: a training run in a terminal, and the page of `maas report`.

    python scripts/pictures.py          writes docs/pictures/*.png; wants a browser (scripts/browser.py)

Both are of real runs, with scikit-learn's bundled tables: what is shown is what the commands print.
"""

from __future__ import annotations

import html
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import browser

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
FIT = "maas fit train.csv --target diagnosis --epochs 12 --output artifacts/tumours"
REPORT = "maas report artifacts/tumours --data test.csv --train train.csv --output report.html"
PAGE = """<!DOCTYPE html><meta charset="utf-8"><style>
body{margin:0;background:#10151c}
pre{font:13px/1.45 "DejaVu Sans Mono",Menlo,Consolas,monospace;color:#dbe4ee;margin:0;padding:16px 20px;
display:inline-block}
b{color:#7cc7ff;font-weight:600}
</style><pre>"""


def main() -> None:
    command = browser.find()
    if command is None:
        raise SystemExit(f"no browser here: install one of {', '.join(browser.NAMES)}, or name it with CHROMIUM")
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, browser.Browser(command) as page:
        folder = Path(name)
        told("maas sample breast_cancer --output all.csv", folder)
        head, *lines = (folder / "all.csv").read_text().splitlines()
        parts = {"test.csv": lines[::4], "train.csv": [line for place, line in enumerate(lines) if place % 4]}
        for file, some in parts.items():
            (folder / file).write_text("\n".join([head, *some]) + "\n")
        terminal = folder / "terminal.html"
        terminal.write_text(f"{PAGE}<b>$ {FIT}</b>\n{html.escape(told(FIT, folder))}</pre>", "utf-8")
        page.open(terminal, width=1040, height=100)
        page.picture(PICTURES / "training.png")
        told(REPORT, folder)
        page.open(folder / "report.html", width=1000, height=1500)
        page.picture(PICTURES / "report.png", whole=False)


def told(command: str, folder: Path) -> str:
    """What a command shows in a terminal, its bars as they stand in the end."""
    words = [sys.executable, "-m", "maas", *command.split()[1:]]
    here, there = pty.openpty()
    environment = {**os.environ, "COLUMNS": "118", "TERM": "dumb", "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(words, cwd=folder, stdin=there, stdout=there, stderr=there, env=environment)
    os.close(there)
    parts = []
    try:
        while part := os.read(here, 1 << 14):
            parts.append(part)
    except OSError:  # the terminal's end, when nobody has it open
        pass
    os.close(here)
    text = b"".join(parts).decode("utf-8").replace("\r\n", "\n")
    if process.wait():
        raise SystemExit(f"{command} failed:\n{text}")
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.rstrip().split("\n")]
    return "\n".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in lines)


if __name__ == "__main__":
    main()
