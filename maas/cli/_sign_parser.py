"""The options of the commands about signatures: keygen, sign."""

from __future__ import annotations

import argparse

from maas.cli._parser import _command, _json


def add_keygen(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `maas keygen`."""
    keygen = _command(
        commands,
        "keygen",
        "make a pair of keys: NAME.private.pem to sign with, NAME.public.pem to give away",
        "examples:\n  maas keygen release\n  maas keygen release --passphrase-file phrase.txt",
    )
    keygen.add_argument("name", metavar="NAME", help="of the two files; neither may be there")
    _passphrase(keygen, "encrypts the private key")
    _json(keygen)


def add_sign(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `maas sign`."""
    sign = _command(
        commands,
        "sign",
        "sign a saved model: model.sig stands in it from then on, and goes with it into archives",
        "examples:\n  maas sign artifacts/wine --key release.private.pem\n"
        "  maas verify artifacts/wine --public-key release.public.pem\n"
        "  maas package artifacts/wine && maas serve wine --public-key release.public.pem",
    )
    sign.add_argument("artifact", metavar="DIR", help="a saved model")
    sign.add_argument("--key", required=True, metavar="PEM", help="the private key")
    _passphrase(sign, "of the private key")
    _json(sign)


def _passphrase(command: argparse.ArgumentParser, text: str) -> None:
    command.add_argument(
        "--passphrase-file", metavar="FILE", help=f"its first line {text}; - reads the line from standard input"
    )
