"""The keys that a server trusts: in its folder, so that what is deployed later is held against them too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maas.signing import PublicKey, read_public_keys

TRUSTED = "trusted.public.pem"


def keep_keys(folder: Path, keys: Sequence[PublicKey] | None) -> None:
    """Let a server whose folder it is, or a front, remember the keys that it trusts; None: it asks for no signature."""
    if keys is not None:
        (folder / TRUSTED).write_text("".join(key.pem for key in keys))


def kept_keys(folder: Path) -> list[PublicKey] | None:
    """The keys that a server trusts; None where it asks for no signature.

    Raises:
        SignatureError: the file of the keys is damaged.
    """
    file = folder / TRUSTED
    return read_public_keys([file]) if file.exists() else None
