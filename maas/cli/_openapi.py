"""The command openapi."""

from __future__ import annotations

import argparse
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from maas.cli._options import add_command, add_imports


def add_openapi(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    openapi = add_command(
        commands,
        "openapi",
        "print what a model takes and answers as an OpenAPI 3.1 document",
        "examples:\n  maas openapi artifacts/wine\n  maas openapi model_store/wine.mar --output wine.openapi.json\n"
        "  maas openapi wine        (of a server that runs here)",
    )
    add_imports(openapi)
    openapi.add_argument("model", metavar="NAME|MAR|DIR", help="a served model's name, a .mar, or a saved model")
    openapi.add_argument("--output", metavar="FILE", help="the file to write (default: standard output)")


def openapi(options: Namespace) -> bool:
    from maas import serving

    described, url = _described(options.model)
    text = json.dumps(serving.openapi(described, url=url), indent=2, ensure_ascii=False)
    if options.output:
        Path(options.output).write_text(text + "\n", "utf-8")
    else:
        print(text)
    return False


def _described(model: str) -> tuple[dict[str, Any], str]:
    """What a stored model, or a running server, says of a model; and where it is served."""
    import maas
    from maas.archive import read_archive, read_archived
    from maas.client._local import running
    from maas.serving import describe
    from maas.serving.protocols import Identity

    path = Path(model)
    url = "http://127.0.0.1:8080"
    if path.is_dir():
        found = maas.load(path)
        return describe(found, Identity(path.resolve().name, "1.0", str(found.digest))), url
    if path.is_file():
        named = read_archive(path)
        found = maas.Model.from_artifact(read_archived(path))
        return describe(found, Identity(named.name, named.version, str(found.digest))), url
    with maas.Client(model) as client:
        here = running(model)
        return client.describe(), url if here is None else here.url
