"""The commands and their options, in words and examples."""

from __future__ import annotations

import argparse

from maas._version import __version__

_EXITS = """\
exit codes:
  0    done
  1    a row was refused
  2    the command, the data or a file in it cannot be used
  3    an artifact or archive is damaged, or answers otherwise here
  4    a server cannot be started, or does not answer
  130  interrupted
  141  whoever read the output stopped reading
"""

_FIT = """\
examples:
  maas fit wine.csv --target cultivar --output artifacts/wine
  maas fit churn.csv --target churned --drop customer_id --type zip=categorical --output artifacts/churn
  maas fit loads.csv --target load --time measured_at --drop measured_at --patience 20 --output artifacts/loads
  maas fit sensors.csv --task anomaly --network autoencoder --output artifacts/sensors
  maas fit news.csv --task multilabel --target sport,politics --threshold f1 --output artifacts/news
  maas fit wine.csv --target cultivar --set 'hidden=[128, 64]' --set dropout=0.2 --output artifacts/wine
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
    _fit(_command(commands, "fit", "train a network on a table, evaluate it and save it", _FIT))
    from maas.cli._tune_parser import add_cross_validate, add_tune  # here: they share the options of fit

    add_cross_validate(commands)
    add_tune(commands)

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
    package.add_argument("--workers", type=int, default=1, metavar="N", help="worker processes (default: %(default)s)")
    package.add_argument(
        "--batch-size", type=int, default=16, metavar="N", help="most requests a pass (default: %(default)s)"
    )
    package.add_argument(
        "--max-batch-delay-ms",
        type=int,
        default=1,
        metavar="MS",
        help="how long a lone request waits for company (default: %(default)s)",
    )
    package.add_argument("--print-config", action="store_true", help="print model-config.yaml and write nothing")
    _json(package)

    serve = _command(
        commands,
        "serve",
        "serve archives with TorchServe until Ctrl-C",
        "examples:\n  maas serve wine\n  maas serve wine churn --store model_store --port 9000\n"
        "  maas serve mine --import mypackage.networks",
    )
    serve.add_argument("models", nargs="*", metavar="NAME", help="models to serve (default: all of the store)")
    serve.add_argument("--store", default="model_store", metavar="DIR", help="model store (default: %(default)s)")
    serve.add_argument("--port", type=int, metavar="N", help="inference port (default: 8080, or a free one)")
    serve.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="module that registers networks",
    )
    serve.add_argument("--timeout", type=float, default=120.0, metavar="S", help="seconds to wait for the models")
    _json(serve)

    call = _command(
        commands,
        "call",
        "send rows to a served model, one JSON line for each answer",
        "examples:\n  maas call wine new.csv\n  echo '{\"alcohol\": 13.2, ...}' | maas call wine -\n"
        "  maas call wine new.csv --url http://host:8080 --token ...",
    )
    call.add_argument("model", metavar="NAME", help="the model's name")
    _rows(call)
    call.add_argument("--url", help="inference address (default: a server that `maas serve` runs here)")
    call.add_argument("--token", help="inference token (default: the local server's)")
    call.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds to wait for an answer")
    _reading(call)

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


def _fit(command: argparse.ArgumentParser) -> None:
    _learning(command)
    command.add_argument("--output", required=True, metavar="DIR", help="where to save the model")
    command.add_argument(
        "--test", type=float, default=0.2, metavar="SHARE", help="held-out rows (default: %(default)s)"
    )
    command.add_argument("--intended-use", metavar="TEXT", help="what the model is for, kept on its card")
    command.add_argument("--limits", metavar="TEXT", help="where it must not be relied on, kept on its card")
    _groups(command)


def _learning(command: argparse.ArgumentParser) -> None:
    """The rows, the recipe and the settings: what all commands that train share."""
    _imports(command)
    command.add_argument("data", metavar="DATA", help="a .csv, .tsv or .parquet file")
    command.add_argument(
        "--target",
        metavar="COLUMN",
        help="what to predict (default: target, label, class or y); a,b,c with --task multilabel: a column a label",
    )
    command.add_argument(
        "--task",
        choices=["classification", "regression", "multilabel", "anomaly"],
        help="default: by the target's values",
    )
    command.add_argument(
        "--threshold",
        metavar="X",
        help="probability above which the answer is yes, or what to choose it by: f1, youden or accuracy",
    )
    command.add_argument(
        "--normal", action="append", default=[], metavar="LABEL", help="of an anomaly: the label of normal rows"
    )
    command.add_argument(
        "--false-alarms", type=float, metavar="X", help="of an anomaly: share of normal rows (default: 0.01)"
    )
    _separator(command)
    command.add_argument("--drop", action="append", default=[], metavar="COLUMN", help="keep from the network")
    command.add_argument(
        "--type",
        action="append",
        default=[],
        metavar="COLUMN=KIND",
        help="numeric, categorical, boolean, text, image or audio (paths), or of a .parquet file sequence",
    )
    command.add_argument("--group", metavar="COLUMN", help="split so that equal values stay together")
    command.add_argument("--time", metavar="COLUMN", help="split by time: the latest rows are held out")
    command.add_argument("--network", default="mlp", metavar="KIND", help="registered network (default: %(default)s)")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="an argument of the network, such as dropout=0.2",
    )
    command.add_argument("--epochs", type=int, default=50, metavar="N", help="(default: %(default)s)")
    command.add_argument("--batch-size", type=int, default=32, metavar="N", help="(default: %(default)s)")
    command.add_argument("--optimizer", default="adamw", help="adamw, adam or sgd (default: %(default)s)")
    command.add_argument("--learning-rate", type=float, default=1e-3, metavar="X", help="(default: %(default)s)")
    command.add_argument("--weight-decay", type=float, default=0.01, metavar="X", help="(default: %(default)s)")
    command.add_argument("--patience", type=int, metavar="N", help="stop after N epochs without a gain")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="(default: %(default)s)")
    command.add_argument("--device", help="such as cuda or cpu (default: cuda where there is one)")
    _reading(command)


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


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print one JSON document")
