"""The front's API keys: one a line, in a file of this user alone."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from maas.errors import ServingError

_KEY = re.compile(r"[A-Za-z0-9._~+/=-]{16,256}")  # what a bearer token may have; a `*` would match anything


def make_keys(file: Path) -> None:
    """Write a file with one new key."""
    file.touch(mode=0o600)
    file.write_text(secrets.token_urlsafe(32) + "\n")


def read_keys(file: Path) -> list[str]:
    """The keys in a file; empty lines and those that begin with # are passed over.

    Raises:
        ServingError: it cannot be read, others can read it, or it holds no key, or what is none.
    """
    try:
        mode, text = file.stat().st_mode, file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ServingError(f"`keys` {file} cannot be read: {error}") from error
    if mode & 0o077:
        raise ServingError(f"`keys` {file} can be read by others, its mode is {mode & 0o777:o}; chmod 600 {file}")
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if not _KEY.fullmatch(line.strip()):
            raise ServingError(
                f"`keys` {file}: line {number} is no key; one has 16 to 256 letters, digits or ._~+/=-, such as that "
                f"of openssl rand -hex 32"
            )
        keys.append(line.strip())
    if not keys:
        raise ServingError(f"`keys` {file} holds no key; openssl rand -hex 32 makes one")
    return keys
