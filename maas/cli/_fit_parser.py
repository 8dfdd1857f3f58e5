"""The options of `maas fit`, and those that all commands that train share."""

from __future__ import annotations

import argparse

from maas.cli._options import add_command, add_groups, add_imports, add_reading, add_separator

_FIT = """\
examples:
  maas fit wine.csv --target cultivar --output artifacts/wine
  maas fit churn.csv --target churned --drop customer_id --type zip=categorical --output artifacts/churn
  maas fit loads.csv --target load --time measured_at --drop measured_at --patience 20 --output artifacts/loads
  maas fit sensors.csv --task anomaly --network autoencoder --output artifacts/sensors
  maas fit news.csv --task multilabel --target sport,politics --threshold f1 --output artifacts/news
  maas fit poems.txt --task generation --context 128 --set width=128 --output artifacts/poems
  maas fit wine.csv --target cultivar --set 'hidden=[128, 64]' --set dropout=0.2 --output artifacts/wine
  maas fit wine.csv --target cultivar --schedule cosine --warmup 0.05 --keep last --validation 0 --output artifacts/wine

kept in artifacts/wine.run, or --run-folder DIR: history.csv and checkpoints. After an interruption, even a hard one:
  maas fit wine.csv --target cultivar --output artifacts/wine --resume
does that give the very same weights on this machine?
  maas fit wine.csv --target cultivar --output artifacts/wine --prove-resume
"""


def add_fit(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = add_command(commands, "fit", "train a network on a table, evaluate it and save it", _FIT)
    add_fitting(command)
    _steps(command)
    _keeping(command)


def _steps(command: argparse.ArgumentParser) -> None:
    """How one training takes its steps."""
    command.add_argument("--validation", type=float, metavar="SHARE", help="of the training rows (default: 0.1)")
    command.add_argument("--keep", default="best", help="the weights of the best epoch, or the last (default: best)")
    command.add_argument(
        "--schedule", default="constant", help="constant, cosine, one_cycle, step or plateau (default: %(default)s)"
    )
    command.add_argument("--warmup", type=float, metavar="SHARE", help="of all steps, over which the rate rises first")
    command.add_argument("--momentum", type=float, metavar="X", help="of sgd (default: 0.9)")
    command.add_argument("--accumulate", type=int, default=1, metavar="N", help="batches a step (default: %(default)s)")
    command.add_argument("--clip-norm", type=float, metavar="X", help="greatest norm of the gradient")
    command.add_argument("--ema", type=float, metavar="X", help="decay of a moving average of the weights, as 0.999")
    command.add_argument(
        "--precision", default="float32", help="float32, tf32, bfloat16 or float16 (default: %(default)s)"
    )
    command.add_argument(
        "--non-finite", default="raise", help="a step that is not finite: raise, or skip it (default: %(default)s)"
    )
    command.add_argument(
        "--speed", default="eager", help="eager, compile, graph, compile+graph or auto (default: %(default)s)"
    )
    command.add_argument("--workers", type=int, metavar="N", help="processes that make rows ready as they are needed")
    command.add_argument("--distribute", default="ddp", help="under torchrun: ddp or fsdp (default: %(default)s)")


def _keeping(command: argparse.ArgumentParser) -> None:
    """Where a run is kept."""
    command.add_argument(
        "--run-folder", metavar="DIR", help="where history and checkpoints are kept (default: OUTPUT.run)"
    )
    command.add_argument("--resume", action="store_true", help="go on from the run's newest checkpoint")
    command.add_argument(
        "--every", type=float, default=60.0, metavar="SECONDS", help="between checkpoints (default: %(default)s)"
    )
    command.add_argument("--tensorboard", metavar="DIR", help="write what TensorBoard shows")
    command.add_argument(
        "--prove-resume",
        action="store_true",
        help="save no model; kill this training a few times, go on with it, and compare with one left alone",
    )
    command.add_argument(
        "--preflight", action="store_true", help="train nothing; look for what would waste a training (exit code 1)"
    )
    command.add_argument("--proof", metavar="STEPS:DIR", help=argparse.SUPPRESS)  # what --prove-resume starts


def add_fitting(command: argparse.ArgumentParser) -> None:
    """The options of the commands that end with a saved model, evaluated on rows held out."""
    add_learning(command)
    command.add_argument("--output", required=True, metavar="DIR", help="where to save the model")
    command.add_argument(
        "--test", type=float, default=0.2, metavar="SHARE", help="held-out rows (default: %(default)s)"
    )
    command.add_argument("--intended-use", metavar="TEXT", help="what the model is for, kept on its card")
    command.add_argument("--limits", metavar="TEXT", help="where it must not be relied on, kept on its card")
    add_groups(command)


def add_learning(command: argparse.ArgumentParser) -> None:
    """The rows, the recipe and the settings: what all commands that train share."""
    add_imports(command)
    command.add_argument("data", metavar="DATA", help="a .csv, .tsv or .parquet file, or texts")
    command.add_argument(
        "--target",
        metavar="COLUMN",
        help="what to predict (default: target, label, class or y); a,b,c with --task multilabel: a column a label; "
        "with --task generation the column of texts",
    )
    command.add_argument(
        "--task",
        choices=["classification", "regression", "multilabel", "anomaly", "generation"],
        help="default: by the target's values; generation: a language model, of a .txt file, a folder or a table",
    )
    command.add_argument("--tokenizer", metavar="KIND", help="of a generation: bpe or char (default: bpe)")
    command.add_argument("--vocabulary", type=int, metavar="N", help="of a generation: most tokens (default: 8000)")
    command.add_argument("--context", type=int, metavar="N", help="of a generation: tokens of a row (default: 512)")
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
    add_separator(command)
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
    command.add_argument("--network", metavar="KIND", help="registered network (default: mlp, or causal_transformer)")
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
    add_reading(command)
