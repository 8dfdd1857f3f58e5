"""maas export."""

from __future__ import annotations

import argparse
from argparse import Namespace

from maas.cli._options import add_command, add_imports, add_json
from maas.cli._print import print_json, tell


def add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    export = add_command(
        commands,
        "export",
        "write a saved model's network for use elsewhere, with what others need to know to use it",
        "examples:\n  maas export artifacts/wine --output exports/wine\n"
        "  maas export artifacts/wine --format pt2 --output exports/wine-pt2\n\n"
        "what was written is run again on the golden rows, and must answer as the model does. It is not a second way\n"
        "to serve: rows become tensors, and outputs answers, by what model.json describes",
    )
    add_imports(export)
    export.add_argument("artifact", metavar="DIR", help="a saved model")
    export.add_argument("--output", required=True, metavar="DIR", help="the folder to write")
    export.add_argument("--format", choices=["onnx", "pt2"], default="onnx", help="(default: %(default)s)")
    add_json(export)


def export(options: Namespace) -> bool:
    import json

    import maas

    folder = maas.export(maas.load(options.artifact), options.output, format=options.format)
    document = json.loads((folder / "model.json").read_text("utf-8"))
    files = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    lines = [f"{folder / name} ({size:,} bytes)" for name, size in files.items()]
    tell(options, "\n".join([*lines, f"outputs differ by {document['differs']:.1e} at most, over its golden rows"]))
    print_json(options, {"path": str(folder), "files": files, "differs": document["differs"]})
    return False
