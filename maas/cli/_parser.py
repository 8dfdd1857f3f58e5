"""The commands and their options, in words and examples."""

from __future__ import annotations

import argparse

from maas._version import __version__

_EXITS = """\
exit codes:
  0    done
  1    a row was refused, --preflight found what would waste a training, doctor found an error, bfloat16 does not
       hold its accuracy, or a model cannot be compressed within its budget
  2    the command, the data or a file in it cannot be used
  3    an artifact or archive is damaged, unsigned or answers otherwise here; a run does not go on to the bit
  4    a server cannot be started, or does not answer
  130  interrupted
  141  whoever read the output stopped reading
  143  told to end (SIGTERM); as after 130, a training goes on with --resume
"""

_LABELLED = "rows with their target: .csv, .tsv or .parquet, for images or sounds a folder, for sequences a .ts file"


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command `maas`."""
    parser = argparse.ArgumentParser(
        prog="maas",
        description="Train a network on a table, measure it honestly, package it and serve it with TorchServe.",
        epilog="from a table to a served model:\n"
        "  maas sample wine --output wine.csv\n"
        "  maas fit wine.csv --target cultivar --output artifacts/wine\n"
        "  maas package artifacts/wine --store model_store\n"
        "  maas serve wine --store model_store        (and in another terminal)\n"
        "  maas call wine wine.csv\n\n" + _EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"maas {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    from maas.cli._call_parser import (
        add_bench_generate,
        add_call,
        add_chat,
        add_ready,
    )  # here: they share options that are defined below
    from maas.cli._compress import add_compress
    from maas.cli._doctor import add_doctor
    from maas.cli._export import add_export
    from maas.cli._fit_parser import add_fit
    from maas.cli._import_hf import add_import_hf
    from maas.cli._registry_parser import add_registry
    from maas.cli._serve_parser import add_serving
    from maas.cli._sign_parser import add_keygen, add_sign
    from maas.cli._tune_parser import add_cross_validate, add_learning_rate, add_tune
    from maas.cli._tune_serving import add_tune_serving

    add_fit(commands)
    add_cross_validate(commands)
    add_tune(commands)
    add_learning_rate(commands)

    evaluate = _command(
        commands,
        "evaluate",
        "score a saved model on rows it has not seen",
        "examples:\n  maas evaluate artifacts/wine new.csv\n  maas evaluate artifacts/wine test.csv --train train.csv",
    )
    _imports(evaluate)
    evaluate.add_argument("artifact", metavar="DIR", help="a saved model")
    evaluate.add_argument("data", metavar="DATA", help=_LABELLED)
    _labelled(evaluate)
    evaluate.add_argument("--train", metavar="DATA", help="training rows, to teach the baselines")
    _groups(evaluate)
    _reading(evaluate)

    vouch = _command(
        commands,
        "vouch",
        "find out whether a saved model holds its accuracy in bfloat16, and write that into its card",
        "example:\n  maas vouch artifacts/photos test/        (on the kind of machine that is to serve)",
    )
    _imports(vouch)
    vouch.add_argument("artifact", metavar="DIR", help="a saved model")
    vouch.add_argument("data", metavar="DATA", help=_LABELLED)
    _labelled(vouch)
    vouch.add_argument(
        "--max-drop",
        type=float,
        default=0.005,
        metavar="X",
        help="how much worse the primary score may be: a portion by this much, an error by this share "
        "(default: %(default)s)",
    )
    vouch.add_argument("--device", default="cpu", metavar="D", help="such as cuda (default: %(default)s)")
    vouch.set_defaults(groups=[])
    _reading(vouch)

    add_compress(commands)

    report = _command(
        commands,
        "report",
        "write a saved model's scores as one HTML page, with charts and the rows answered worst",
        "examples:\n  maas report artifacts/wine --data test.csv --train train.csv\n"
        "  maas report artifacts/wine        (the scores stored with the model: fewer charts)",
    )
    _imports(report)
    report.add_argument("artifact", metavar="DIR", help="a saved model")
    report.add_argument("--data", metavar="DATA", help=_LABELLED + "; default: the scores stored with the model")
    _labelled(report)
    report.add_argument("--train", metavar="DATA", help="training rows, to teach the baselines")
    report.add_argument("--output", default="report.html", metavar="FILE", help="the page (default: %(default)s)")
    _groups(report)
    _reading(report)

    predict = _command(
        commands,
        "predict",
        "answer rows with a saved model, one JSON line each",
        "examples:\n  maas predict artifacts/wine new.csv\n"
        "  echo '{\"alcohol\": 13.2, ...}' | maas predict artifacts/wine -",
    )
    _imports(predict)
    predict.add_argument("artifact", metavar="DIR", help="a saved model")
    _rows(predict)
    _reading(predict)

    for name, text in (
        ("inspect", "show what a saved model or an archive is"),
        ("verify", "check a saved model or an archive to the last byte, and its golden answers"),
    ):
        command = _command(
            commands,
            name,
            text,
            f"examples:\n  maas {name} artifacts/wine\n  maas {name} model_store/wine.mar",
        )
        _imports(command)
        command.add_argument("path", metavar="DIR|MAR", help="a saved model, or a .mar")
        if name == "verify":
            _public_keys(command, "it must be signed by one of them")
        _json(command)

    package = _command(
        commands,
        "package",
        "write a saved model as a TorchServe archive",
        "examples:\n  maas package artifacts/wine --store model_store\n"
        "  maas package artifacts/wine --name wine-eu --version 2.0 --workers 2\n"
        "  maas package artifacts/wine --print-config > model-config.yaml   (for torch-model-archiver)",
    )
    _imports(package)
    package.add_argument("artifact", metavar="DIR", help="a saved model")
    package.add_argument("--store", default="model_store", metavar="DIR", help="model store (default: %(default)s)")
    package.add_argument("--name", help="the model's name (default: the folder's)")
    package.add_argument("--version", default="1.0", help="the model's version (default: %(default)s)")
    package.add_argument("--workers", type=int, metavar="N", help="worker processes (default: 1)")
    package.add_argument("--batch-size", type=int, metavar="N", help="most requests a pass (default: 16)")
    package.add_argument(
        "--max-batch-delay-ms", type=int, metavar="MS", help="how long a lone request waits for company (default: 1)"
    )
    package.add_argument(
        "--config", metavar="FILE", help="a model-config.yaml of maas tune-serving, in place of these defaults"
    )
    package.add_argument("--print-config", action="store_true", help="print model-config.yaml and write nothing")
    _json(package)

    add_export(commands)
    add_import_hf(commands)
    add_keygen(commands)
    add_sign(commands)
    add_registry(commands)
    add_serving(commands)

    add_tune_serving(commands)
    add_call(commands)
    add_chat(commands)
    add_bench_generate(commands)
    add_ready(commands)
    add_doctor(commands)

    openapi = _command(
        commands,
        "openapi",
        "print what a model takes and answers as an OpenAPI 3.1 document",
        "examples:\n  maas openapi artifacts/wine\n  maas openapi model_store/wine.mar --output wine.openapi.json\n"
        "  maas openapi wine        (of a server that runs here)",
    )
    _imports(openapi)
    openapi.add_argument("model", metavar="NAME|MAR|DIR", help="a served model's name, a .mar, or a saved model")
    openapi.add_argument("--output", metavar="FILE", help="the file to write (default: standard output)")

    sample = _command(
        commands,
        "sample",
        "write one of scikit-learn's bundled tables as a CSV, for a first try",
        "example:\n  maas sample wine --output wine.csv",
    )
    sample.add_argument("name", choices=["breast_cancer", "diabetes", "digits", "iris", "wine"])
    sample.add_argument("--output", required=True, metavar="FILE", help="the file to write")
    _json(sample)
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, examples: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _imports(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--import", dest="imports", action="append", default=[], metavar="MODULE", help="module that registers networks"
    )


def _labelled(command: argparse.ArgumentParser) -> None:
    command.add_argument("--target", metavar="COLUMN", help="the target's column (default: its name in training)")
    _separator(command)


def _separator(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--separator", default="|", metavar="TEXT", help="between the labels of a row (default: %(default)s)"
    )


def _groups(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--groups", action="append", default=[], metavar="COLUMN", help="score the groups of a column one by one"
    )


def _rows(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "data",
        metavar="DATA",
        help="a .csv, .tsv, .parquet, .json or .jsonl file; - reads JSON or JSON lines",
    )


def _reading(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--missing", action="append", default=[], metavar="TEXT", help="a further missing value, as '?'"
    )
    command.add_argument("--delimiter", metavar="C", help="of a CSV (default: comma)")
    command.add_argument("--encoding", default="utf8", help="of a CSV (default: %(default)s)")
    _json(command)


def _public_keys(command: argparse.ArgumentParser, text: str) -> None:
    command.add_argument(
        "--public-key", dest="public_keys", action="append", metavar="PEM", help=f"a file of public keys; {text}"
    )


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print one JSON document")
