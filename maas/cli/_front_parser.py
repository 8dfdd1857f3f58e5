"""The options of `maas serve --front`, and of `maas front`, which asks a front that runs."""

from __future__ import annotations

import argparse

from maas.cli._options import add_command, add_json


def add_front_options(serve: argparse.ArgumentParser) -> None:
    """Add the options of `maas serve` that stand or fall with --front."""
    front = serve.add_argument_group("the front", "Caddy before several instances; it needs the extra `front`")
    front.add_argument("--front", action="store_true", help="serve through Caddy: no request of any client is lost")
    front.add_argument("--instances", type=int, default=2, metavar="N", help="TorchServes behind it (default: 2)")
    front.add_argument("--keys", metavar="FILE", help="keys that clients may use, mode 600 (default: one is made)")
    front.add_argument(
        "--canary", type=canary, metavar="NAME=VERSION:PERCENT", help="an instance more, with a share of the requests"
    )
    front.add_argument("--otel", action="store_true", help="send traces (default: when OTEL_EXPORTER_OTLP_... is set)")


def add_front(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `maas front`."""
    front = add_command(
        commands,
        "front",
        "ask the front that maas serve --front runs here",
        "examples:\n  maas front status\n  maas front deploy wine --version 2.0\n"
        "  maas front rollback wine\n  maas front canary wine=2.0:10%    (0% ends it)\n  maas front restart 0\n"
        "  maas front keys                   (reads the file of keys again)",
    )
    actions = front.add_subparsers(dest="action", required=True, metavar="ACTION")
    status = actions.add_parser("status", help="its instances and their shares of the requests")
    deploy = actions.add_parser("deploy", help="start instances with another version beside, and switch to them")
    deploy.add_argument("model", metavar="NAME", help="the model's name")
    deploy.add_argument("--version", required=True, help="the version, in the store")
    back = actions.add_parser("rollback", help="go back to the version that was served before, in the same way")
    back.add_argument("model", metavar="NAME", help="the model's name")
    share = actions.add_parser("canary", help="give an instance with another version a share of the requests")
    share.add_argument("canary", type=canary, metavar="NAME=VERSION:PERCENT", help="in steps of 5 %%, up to 50 %%")
    restart = actions.add_parser("restart", help="stop an instance and start it again, while the others answer")
    restart.add_argument("place", type=int, metavar="N", help="of the instance, counted from 0 as status lists them")
    keys = actions.add_parser("keys", help="read the file of keys again")
    for action in (status, deploy, back, share, restart, keys):
        add_json(action)


def canary(text: str) -> tuple[str, str, int]:
    """ "wine=2.0:10%" as name, version and percent."""
    name, _, rest = text.partition("=")
    version, _, percent = rest.rpartition(":")
    if not (name and version and percent.removesuffix("%").isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VERSION:PERCENT, such as wine=2.0:10%")
    return name, version, int(percent.removesuffix("%"))
