"""The command that makes a saved model smaller or faster: compress."""

from __future__ import annotations

import argparse
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maas.cli._labelled import labelled
from maas.cli._learn import check_output
from maas.cli._options import LABELLED, add_command, add_imports, add_labelled, add_reading, pair, value_of
from maas.cli._print import print_json, tell
from maas.errors import CompressionError, DataError

if TYPE_CHECKING:
    from maas.data import Rows
    from maas.model import Model

_SEARCHED = ("test", "picture", "optimize")
_FUSED = {"fuse": "float32", "fuse_bfloat16": "bfloat16"}
_METHODS = ("int8", "int8_weights", "bfloat16", *_FUSED, "prune", "distil")
_EXAMPLES = """\
examples:
  maas compress artifacts/wine --data valid.csv --output artifacts/wine-small
  maas compress artifacts/wine --data valid.csv --train train.csv --test test.csv --optimize size \\
    --output artifacts/wine-small
  maas compress artifacts/wine --data valid.csv --method int8_weights --output artifacts/wine-int8
  maas compress artifacts/wine --data valid.csv --train train.csv --method prune --share 0.75 \\
    --output artifacts/wine-narrow

without --method a few are tried, each is measured beside the model as it is, and the best is saved, with a picture of
them all. Stop what else runs on the machine first. It ends with 1, and writes nothing, where none costs as little as
--max-drop allows and is better"""


def add_compress(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = add_command(
        commands, "compress", "make a saved model smaller or faster, within a stated loss of its score", _EXAMPLES
    )
    add_imports(command)
    command.add_argument("artifact", metavar="DIR", help="a saved model")
    command.add_argument("--data", required=True, metavar="DATA", help=f"judges what is lost; {LABELLED}")
    add_labelled(command)
    command.add_argument("--train", metavar="DATA", help="rows to go on training with: needed to prune and to distil")
    command.add_argument("--test", metavar="DATA", help="rows that have no say, to score what was chosen")
    command.add_argument(
        "--max-drop",
        type=float,
        default=0.005,
        metavar="X",
        help="how much worse the primary score may be: a score by this much, an error by this share "
        "(default: %(default)s)",
    )
    command.add_argument("--optimize", choices=["latency", "size"], help="what the search is for (default: latency)")
    command.add_argument("--method", choices=_METHODS, help="do this, and search nothing")
    command.add_argument("--share", type=float, metavar="X", help="of hidden units or channels to prune (default: 0.5)")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="to distil: an argument of the network to teach (default: half the width)",
    )
    command.add_argument("--epochs", type=int, metavar="N", help="of training, each time")
    command.add_argument("--batch-size", type=int, metavar="N", help="of training")
    command.add_argument("--learning-rate", type=float, metavar="X", help="of training")
    command.add_argument("--output", required=True, metavar="DIR", help="where to save the model")
    command.add_argument("--picture", metavar="FILE", help="of the search (default: OUTPUT-pareto.svg)")
    command.set_defaults(groups=[])
    add_reading(command)


def compress(options: Namespace) -> bool:
    import maas

    _check(options)
    check_output(options)
    model = maas.load(options.artifact)
    rows = {
        name: None if path is None else labelled(options, model, path)
        for name, path in (("data", options.data), ("train", options.train), ("test", options.test))
    }
    if options.method is None:
        return _searched(options, model, rows)
    return _compressed(options, model, rows)


def _searched(options: Namespace, model: Model, rows: dict[str, Rows | None]) -> bool:
    """Save the best of a search."""
    from maas.compress import search
    from maas.reporting import pareto

    found = search(
        model,
        **rows,  # type: ignore[arg-type]
        optimize=options.optimize or "latency",
        max_drop=options.max_drop,
        imports=options.imports,
        progress=lambda text: tell(options, text),
        **_training(options),
    )
    tell(options, f"\n{found}")
    if found.made is None:
        print_json(options, {"artifact": None, "picture": None, "search": found.to_json()})
        raise CompressionError(found.why_none())
    picture = options.picture or f"{Path(options.output)}-pareto.svg"
    _save(options, found.made, rows["test"])
    pareto(found, picture)
    tell(options, f"saved in {options.output}, the picture in {picture}; next: maas package {options.output}")
    print_json(options, {"artifact": options.output, "picture": str(picture), "search": found.to_json()})
    return False


def _compressed(options: Namespace, model: Model, rows: dict[str, Rows | None]) -> bool:
    """Save what one method makes of the model."""
    from maas.compress import distil, fuse, prune, quantize, smaller
    from maas.nn import Recipe

    data, train = rows["data"], rows["train"]
    how: dict[str, Any] = {"max_drop": options.max_drop}
    if options.method == "prune":
        share = {} if options.share is None else {"share": options.share}
        made = prune(model, data, train=train, **share, **how, **_training(options))
    elif options.method == "distil":
        arguments = {name: value_of(text) for name, text in (pair(text, "--set") for text in options.set)}
        given = Recipe(model.recipe.kind, {**model.recipe.arguments, **arguments})
        recipe = given if arguments else smaller(model.recipe)
        made = distil(model, data, recipe=recipe, train=train, **how, **_training(options))
    elif options.method in _FUSED:
        made = fuse(model, data, precision=_FUSED[options.method], **how)
    else:
        made = quantize(model, data, method=options.method, calibration=train, **how)
    _save(options, made)
    outcome = made.card["compression"][-1]
    tell(
        options,
        f"{options.method}: {outcome['primary']} {outcome['before']:.4f} -> {outcome['after']:.4f} on "
        f"{outcome['num_rows']:,} rows\nsaved in {options.output}; next: maas package {options.output}",
    )
    print_json(options, {"artifact": options.output, "outcome": outcome})
    return False


def _check(options: Namespace) -> None:
    """Raise DataError for options that do not go together."""
    if options.method is not None:
        for name in _SEARCHED:
            if getattr(options, name) is not None:
                raise DataError(f"--{name} belongs to the search; leave out --method, or --{name}")
    for name, method in (("share", "prune"), ("set", "distil")):
        if getattr(options, name) not in (None, []) and options.method != method:
            raise DataError(f"--{name} belongs to --method {method}")
    for name in _training(options):
        if options.train is None:
            raise DataError(f"--{name.replace('_', '-')} is for training: give rows to go on with as --train")
    if options.method == "distil" and options.train is None:
        raise DataError("--method distil needs --train, the rows to teach with")
    if Path(options.output).resolve() == Path(options.artifact).resolve():
        raise DataError("--output is the model itself, which would be lost; choose another folder")
    if options.picture is not None and Path(options.picture).is_dir():
        raise DataError(f"--picture must be a file such as pareto.svg, got the folder {options.picture}")


def _training(options: Namespace) -> dict[str, Any]:
    """The settings of training that were given."""
    given = {name: getattr(options, name) for name in ("epochs", "batch_size", "learning_rate")}
    return {name: value for name, value in given.items() if value is not None}


def _save(options: Namespace, model: Model, test: Rows | None = None) -> None:
    model.card["evaluation"] = None  # what stands there are the scores of the model before
    model.save(options.output, evaluation=None if test is None else model.evaluate(test))
