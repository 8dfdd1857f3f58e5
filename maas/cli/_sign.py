"""The commands about signatures: keygen, sign."""

from __future__ import annotations

import sys
from argparse import Namespace

from maas.cli._print import print_json, tell


def keygen(options: Namespace) -> bool:
    from maas.signing import keygen, read_public_keys

    private, public = keygen(options.name, passphrase=_passphrase(options))
    (key,) = read_public_keys([public])
    tell(
        options,
        f"{private} signs: keep it to yourself\n{public} verifies: give it to whoever serves your models\n"
        f"key {key.fingerprint}",
    )
    print_json(options, {"private": str(private), "public": str(public), "key": key.fingerprint})
    return False


def sign(options: Namespace) -> bool:
    import maas

    key = maas.sign(options.artifact, options.key, passphrase=_passphrase(options))
    tell(options, f"{options.artifact} is signed by key {key}; next: maas package {options.artifact}")
    print_json(options, {"path": str(options.artifact), "key": key})
    return False


def _passphrase(options: Namespace) -> bytes | None:
    """The first line of the file, or of standard input."""
    if options.passphrase_file is None:
        return None
    if options.passphrase_file == "-":
        return sys.stdin.readline().rstrip("\r\n").encode()
    with open(options.passphrase_file, "rb") as file:
        return file.readline().rstrip(b"\r\n")
