"""The options of the commands about a registry: push, promote, registry."""

from __future__ import annotations

import argparse
import os

from maas.cli._options import add_command, add_imports, add_json, add_labelled, add_reading

_REGISTRY = """\
examples:
  export MAAS_REGISTRY=/shared/registry
  maas registry create
  maas registry list
  maas registry show wine@production
  maas registry diff wine 1 2
  maas registry pull wine@production artifacts/wine
  maas registry alias wine@3 candidate
  maas registry rollback wine
"""

_PROMOTE = """\
examples:
  maas promote wine@2
  maas promote wine@candidate --to production --data test.csv    (scores both on these rows)
  maas promote wine@2 --force 'clients were told'

what serves wine@production from this registry on this machine, for this user, gets the version first, without losing a
request; the alias is set when that has worked. Other machines follow with maas serve --registry --follow SECONDS
"""


def add_registry(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the three commands."""
    push = add_command(
        commands,
        "push",
        "add a saved model to a registry, as a version that never changes",
        "examples:\n  maas push artifacts/wine --name wine\n"
        "  maas push artifacts/wine --name wine --version 2.1 --registry /shared/registry",
    )
    add_imports(push)
    push.add_argument("artifact", metavar="DIR", help="a saved model")
    push.add_argument("--name", required=True, help="the model's name")
    push.add_argument("--version", metavar="V", help="one to three numbers (default: the next whole number)")
    _place(push)
    promote = add_command(
        commands, "promote", "let production be another version, where that breaks no client and is no worse", _PROMOTE
    )
    add_imports(promote)
    promote.add_argument("model", type=_exact, metavar="NAME@VERSION|ALIAS", help="the version")
    promote.add_argument("--to", default="production", metavar="ALIAS", help="alias to set (default: %(default)s)")
    promote.add_argument("--data", metavar="DATA", help="rows with their target that score both (default: their cards)")
    promote.add_argument("--force", metavar="REASON", help="promote against the rule; the reason is recorded")
    add_labelled(promote)
    promote.set_defaults(groups=[])
    _place(promote, reading=True)
    _add_actions(
        add_command(commands, "registry", "look into a registry of models, and tidy it", _REGISTRY).add_subparsers(
            dest="action", required=True, metavar="ACTION"
        )
    )


def add_serving_from(serve: argparse.ArgumentParser) -> None:
    """Add the options of `maas serve` that serve from a registry."""
    group = serve.add_argument_group(
        "from a registry", "models are NAME@ALIAS or NAME@VERSION then, and --store is not"
    )
    group.add_argument("--registry", metavar="DIR", help="serve what an alias, such as production, holds there")
    group.add_argument(
        "--follow", type=_seconds, metavar="S", help="look every S seconds, and release what the alias holds by then"
    )
    serve.set_defaults(source=None)


def _add_actions(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _place(actions.add_parser("create", help="make a registry of a folder that is absent or empty"))
    listed = actions.add_parser("list", help="the versions of a model, or of all")
    listed.add_argument("name", nargs="?", metavar="NAME", help="the model's name (default: all)")
    _place(listed)
    for action, text in (
        ("show", "what a version is, who pushed it, and what was done to the model's aliases"),
        ("lineage", "the version, the model that it was made from, and so on"),
        ("verify", "check a version to the last byte, and its golden answers"),
        ("delete", "delete a version that no alias holds"),
    ):
        command = actions.add_parser(action, help=text)
        command.add_argument("model", type=_which, metavar="NAME@VERSION|ALIAS", help="(default: NAME@production)")
        add_imports(command)
        _place(command)
    diff = actions.add_parser("diff", help="what differs between two versions: network, fields, scores")
    diff.add_argument("name", metavar="NAME", help="the model's name")
    diff.add_argument("versions", nargs=2, metavar="VERSION|ALIAS", help="before, and after")
    pull = actions.add_parser("pull", help="write the saved model of a version into a folder")
    pull.add_argument("model", type=_which, metavar="NAME@VERSION|ALIAS", help="(default: NAME@production)")
    pull.add_argument("output", metavar="DIR", help="the folder")
    alias = actions.add_parser("alias", help="let an alias that nobody serves by hold a version")
    alias.add_argument("model", type=_exact, metavar="NAME@VERSION|ALIAS", help="the version")
    alias.add_argument("alias", metavar="ALIAS", help="such as candidate")
    back = actions.add_parser("rollback", help="go back to what an alias held before, as promote goes forward")
    back.add_argument("name", metavar="NAME", help="the model's name")
    back.add_argument("--alias", default="production", help="(default: %(default)s)")
    collect = actions.add_parser("collect", help="remove what writers that died have left; write each index anew")
    collect.add_argument(
        "--older-than", type=float, default=24.0, metavar="HOURS", help="leave what is younger (default: %(default)g)"
    )
    for command in (alias, back):
        add_imports(command)
    for command in (diff, pull, alias, back, collect):
        _place(command)


def _place(command: argparse.ArgumentParser, *, reading: bool = False) -> None:
    given = os.environ.get("MAAS_REGISTRY")
    command.add_argument(
        "--registry",
        default=given,
        required=given is None,
        metavar="DIR",
        help="the registry's folder, or its file URL (default: $MAAS_REGISTRY)",
    )
    if reading:
        add_reading(command)
    else:
        add_json(command)


def _exact(text: str) -> tuple[str, str]:
    name, version = _which(text)
    if "@" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME@VERSION or NAME@ALIAS, such as wine@2")
    return name, version


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.1 to 86,400")
    return seconds


def _which(text: str) -> tuple[str, str]:
    """ "wine@2" as name and version or alias."""
    name, _, version = text.partition("@")
    return name, version or "production"
