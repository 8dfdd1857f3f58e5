"""The options of the commands about what is stored: inspect, verify, package, sample."""

from __future__ import annotations

import argparse

from maas.cli._options import add_command, add_imports, add_json, add_public_keys


def add_reading_back(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands inspect and verify."""
    for name, text in (
        ("inspect", "show what a saved model or an archive is"),
        ("verify", "check a saved model or an archive to the last byte, and its golden answers"),
    ):
        command = add_command(
            commands,
            name,
            text,
            f"examples:\n  maas {name} artifacts/wine\n  maas {name} model_store/wine.mar",
        )
        add_imports(command)
        command.add_argument("path", metavar="DIR|MAR", help="a saved model, or a .mar")
        if name == "verify":
            add_public_keys(command, "it must be signed by one of them")
        add_json(command)


def add_package(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    package = add_command(
        commands,
        "package",
        "write a saved model as a TorchServe archive",
        "examples:\n  maas package artifacts/wine --store model_store\n"
        "  maas package artifacts/wine --name wine-eu --version 2.0 --workers 2\n"
        "  maas package artifacts/wine --print-config > model-config.yaml   (for torch-model-archiver)",
    )
    add_imports(package)
    package.add_argument("artifact", metavar="DIR", help="a saved model")
    package.add_argument("--store", default="model_store", metavar="DIR", help="model store (default: %(default)s)")
    package.add_argument("--name", help="the model's name (default: the folder's)")
    package.add_argument("--version", default="1.0", help="the model's version (default: %(default)s)")
    package.add_argument("--workers", type=int, metavar="N", help="worker processes (default: 1)")
    package.add_argument("--batch-size", type=int, metavar="N", help="most requests a pass (default: 16)")
    package.add_argument(
        "--max-batch-delay-ms", type=int, metavar="MS", help="how long a request waits for others (default: 1)"
    )
    package.add_argument(
        "--config", metavar="FILE", help="a model-config.yaml of maas tune-serving, in place of these defaults"
    )
    package.add_argument("--print-config", action="store_true", help="print model-config.yaml and write nothing")
    add_json(package)


def add_sample(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    sample = add_command(
        commands,
        "sample",
        "write one of scikit-learn's bundled tables as a CSV, for a first try",
        "example:\n  maas sample wine --output wine.csv",
    )
    sample.add_argument("name", choices=["breast_cancer", "diabetes", "digits", "iris", "wine"])
    sample.add_argument("--output", required=True, metavar="FILE", help="the file to write")
    add_json(sample)
