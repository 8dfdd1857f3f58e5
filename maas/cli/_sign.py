"""The commands about signatures: keygen, sign."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace

from maas.cli._options import add_command, add_json
from maas.cli._print import print_json, tell


def add_keygen(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `maas keygen`."""
    keygen = add_command(
        commands,
        "keygen",
        "make a pair of keys: NAME.private.pem to sign with, NAME.public.pem to give away",
        "examples:\n  maas keygen release\n  maas keygen release --passphrase-file phrase.txt",
    )
    keygen.add_argument("name", metavar="NAME", help="of the two files; neither may be there")
    _add_passphrase(keygen, "encrypts the private key")
    add_json(keygen)


def add_sign(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `maas sign`."""
    sign = add_command(
        commands,
        "sign",
        "sign a saved model: model.sig stands in it from then on, and goes with it into archives",
        "examples:\n  maas sign artifacts/wine --key release.private.pem\n"
        "  maas verify artifacts/wine --public-key release.public.pem\n"
        "  maas package artifacts/wine && maas serve wine --public-key release.public.pem",
    )
    sign.add_argument("artifact", metavar="DIR", help="a saved model")
    sign.add_argument("--key", required=True, metavar="PEM", help="the private key")
    _add_passphrase(sign, "of the private key")
    add_json(sign)


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


def _add_passphrase(command: argparse.ArgumentParser, text: str) -> None:
    command.add_argument(
        "--passphrase-file", metavar="FILE", help=f"its first line {text}; - reads the line from standard input"
    )
