"""The options of the commands that fit many models, or try steps of one."""

from __future__ import annotations

import argparse

from maas.cli._fit_parser import add_fitting, add_learning
from maas.cli._options import add_command

_CROSS_VALIDATE = """\
examples:
  maas cross-validate wine.csv --target cultivar --baselines
  maas cross-validate churn.csv --target churned --group customer_id --drop customer_id --folds 10
  maas cross-validate loads.csv --target load --time measured_at --drop measured_at
"""

_TUNE = """\
examples:
  maas tune wine.csv --target cultivar --space learning_rate=log:1e-4:1e-1 --space 'hidden=[[32], [64, 64]]' \\
    --output artifacts/wine
  maas tune wine.csv --target cultivar --space dropout=0:0.5 --trials 50 --storage wine.log --output artifacts/wine

a space:
  NAME=LOW:HIGH      a range; of integers where both ends are
  NAME=log:LOW:HIGH  a range whose logarithm is drawn evenly
  NAME=[...]         choices, as JSON
"""


def add_cross_validate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = add_command(
        commands, "cross-validate", "measure a network on every row of a table, by folds", _CROSS_VALIDATE
    )
    add_learning(command)
    command.add_argument("--folds", type=int, default=5, metavar="N", help="(default: %(default)s)")
    command.add_argument("--repeats", type=int, default=1, metavar="N", help="cut anew so often (default: %(default)s)")
    command.add_argument("--baselines", action="store_true", help="score simple methods beside the network")


def add_learning_rate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = add_command(
        commands,
        "learning-rate",
        "raise the learning rate over a few steps, and see where the loss falls fastest",
        "example:\n  maas learning-rate wine.csv --target cultivar",
    )
    add_learning(command)
    command.add_argument(
        "--low", type=float, default=1e-6, metavar="X", help="of the first step (default: %(default)g)"
    )
    command.add_argument("--high", type=float, default=1.0, metavar="X", help="of the last (default: %(default)g)")
    command.add_argument("--steps", type=int, default=200, metavar="N", help="at most (default: %(default)s)")


def add_tune(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = add_command(
        commands, "tune", "search settings and arguments of a network, fit the best, evaluate it and save it", _TUNE
    )
    add_fitting(command)
    command.add_argument(
        "--space",
        action="append",
        required=True,
        metavar="NAME=SPACE",
        help="what to try for an argument of the network, or a setting such as learning_rate; may be repeated",
    )
    command.add_argument("--trials", type=int, default=20, metavar="N", help="at most (default: %(default)s)")
    command.add_argument("--seconds", type=float, metavar="X", help="begin no further trial after so many")
    command.add_argument("--score", metavar="NAME", help="to judge by (default: the one that methods are compared by)")
    command.add_argument("--folds", type=int, metavar="N", help="judge by folds (default: by a fifth of the rows)")
    command.add_argument("--storage", metavar="FILE", help="where trials are kept: an interrupted search goes on")
