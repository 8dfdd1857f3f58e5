"""What was served and deployed, in the server's folder, so that a release can be taken back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RECORD = "releases.jsonl"


def write(folder: Path, action: str, name: str, version: str) -> None:
    """Add a line: "serve", "deploy" or "rollback" made a version of a model the default."""
    line = {"time": datetime.now(UTC).isoformat(), "action": action, "model": name, "version": version}
    with open(folder / RECORD, "a") as file:
        file.write(json.dumps(line) + "\n")


def read(folder: Path) -> list[dict[str, Any]]:
    """All lines, the oldest first."""
    file = folder / RECORD
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def before(folder: Path, name: str) -> str | None:
    """The version that a rollback goes back to: the one before, less those that were taken back."""
    versions: list[str] = []
    for line in read(folder):
        if line["model"] == name:
            if line["action"] == "rollback":
                versions.pop()
            else:
                versions.append(line["version"])
    return versions[-2] if len(versions) > 1 else None
