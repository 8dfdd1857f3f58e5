"""The commands that measure a saved model: evaluate, vouch, report."""

from __future__ import annotations

import argparse
from argparse import Namespace
from typing import TYPE_CHECKING

from maas.cli._labelled import labelled
from maas.cli._options import LABELLED, add_command, add_groups, add_imports, add_labelled, add_reading
from maas.cli._print import print_json, tell
from maas.errors import DataError

if TYPE_CHECKING:
    from maas.data import Rows
    from maas.metrics import Evaluation
    from maas.model import Model


def add_measuring(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the three commands."""
    evaluate = add_command(
        commands,
        "evaluate",
        "score a saved model on rows it has not seen",
        "examples:\n  maas evaluate artifacts/wine new.csv\n  maas evaluate artifacts/wine test.csv --train train.csv",
    )
    add_imports(evaluate)
    evaluate.add_argument("artifact", metavar="DIR", help="a saved model")
    evaluate.add_argument("data", metavar="DATA", help=LABELLED)
    add_labelled(evaluate)
    evaluate.add_argument("--train", metavar="DATA", help="training rows, to teach the baselines")
    add_groups(evaluate)
    add_reading(evaluate)

    vouch = add_command(
        commands,
        "vouch",
        "find out whether a saved model holds its accuracy in bfloat16, and write that into its card",
        "example:\n  maas vouch artifacts/photos test/        (on the kind of machine that is to serve)",
    )
    add_imports(vouch)
    vouch.add_argument("artifact", metavar="DIR", help="a saved model")
    vouch.add_argument("data", metavar="DATA", help=LABELLED)
    add_labelled(vouch)
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
    add_reading(vouch)

    report = add_command(
        commands,
        "report",
        "write a saved model's scores as one HTML page, with charts and the rows answered worst",
        "examples:\n  maas report artifacts/wine --data test.csv --train train.csv\n"
        "  maas report artifacts/wine        (the scores stored with the model: fewer charts)",
    )
    add_imports(report)
    report.add_argument("artifact", metavar="DIR", help="a saved model")
    report.add_argument("--data", metavar="DATA", help=LABELLED + "; default: the scores stored with the model")
    add_labelled(report)
    report.add_argument("--train", metavar="DATA", help="training rows, to teach the baselines")
    report.add_argument("--output", default="report.html", metavar="FILE", help="the page (default: %(default)s)")
    add_groups(report)
    add_reading(report)


def evaluate(options: Namespace) -> bool:
    import maas

    model = maas.load(options.artifact)
    evaluation, _ = _evaluated(options, model)
    tell(options, str(evaluation))
    print_json(options, evaluation.to_json())
    return False


def vouch(options: Namespace) -> bool:
    """Score a lower precision beside float32 and write it into the saved model's card; whether it does not hold."""
    import maas

    model = maas.load(options.artifact, device=options.device)
    found = model.vouch(labelled(options, model, options.data), max_drop=options.max_drop)
    model.save(options.artifact, examples=None if model.example is None else model.example["rows"])
    full, low = (found["scores"][precision][found["primary"]] for precision in ("float32", "bfloat16"))
    same = "" if found["agreement"] is None else f", the same label for {found['agreement']:.2%} of the rows"
    tell(
        options,
        f"{found['primary']} {full:.4f} in float32, {low:.4f} in bfloat16 on {found['num_rows']:,} rows{same}; "
        f"{found['times_as_fast']:.2f} times as fast on this {found['device']}\n"
        + ("bfloat16 holds its accuracy" if found["held"] else f"bfloat16 loses more than {found['max_drop']:g}")
        + f"; written into the card of {options.artifact}",
    )
    print_json(options, found)
    return not found["held"]


def report(options: Namespace) -> bool:
    import maas

    model = maas.load(options.artifact)
    if options.data is None:
        for name in ("train", "groups"):
            if getattr(options, name):
                raise DataError(f"--{name} needs --data, the rows to score")
        if not model.card.get("evaluation"):
            raise DataError(f"{options.artifact} was saved without scores; give test rows with --data")
        evaluation, test = maas.Evaluation.from_json(model.card["evaluation"]), None
    else:
        evaluation, test = _evaluated(options, model)
    path = maas.report(evaluation, options.output, model=model, test=test)
    tell(options, f"{path} ({path.stat().st_size:,} bytes); open it in a browser")
    print_json(options, {"report": str(path), "evaluation": evaluation.to_json()})
    return False


def _evaluated(options: Namespace, model: Model) -> tuple[Evaluation, Rows]:
    test = labelled(options, model, options.data)
    train = None if options.train is None else labelled(options, model, options.train)
    return model.evaluate(test, baselines_from=train, groups=options.groups), test
