"""Whether a model holds its accuracy in a lower precision: both scored on the same rows, and raced."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from maas.errors import DataError, show
from maas.metrics import check_max_drop
from maas.model._judge import judging

if TYPE_CHECKING:
    from maas.model._model import Model
    from maas.task import Batch

_RACE_ROWS, _ROUNDS = 8, 7


def vouched(model: Model, test: Any, precision: str, max_drop: float) -> dict[str, Any]:
    """What `Model.vouch` finds; the model answers in float32 after it."""
    if precision != "bfloat16":
        raise DataError(f"`precision` to vouch for must be bfloat16, got {show(precision)}")
    check_max_drop(max_drop)
    rows, truth = judging(model, test)
    answers = {one: model.set_precision(one)._answers(rows) for one in ("float32", precision)}
    model.set_precision("float32")
    if not answers[precision].finite().all():
        raise DataError("in bfloat16 the network gives no finite number for some rows; serve it in float32")
    scores = {one: model.task.score(found, truth) for one, found in answers.items()}
    full, low = scores["float32"], scores["bfloat16"]
    drop = full.drop_to(low)
    labels = [one.columns.get("label") for one in answers.values()]
    agreement = None if labels[0] is None else float(np.mean(labels[0] == labels[1]))
    return {
        "held": bool(drop <= max_drop),
        "primary": full.primary,
        "drop": float(drop),
        "max_drop": max_drop,
        "num_rows": len(answers["float32"]),
        "agreement": agreement,
        "scores": {precision: dict(found.values) for precision, found in scores.items()},
        "device": model.device.type,
        "times_as_fast": _gain(model, next(model.prepared(rows)).batch[:_RACE_ROWS]),
        "fingerprint": rows.fingerprint(),
    }


def _gain(model: Model, batch: Batch) -> float:
    """How many times as fast bfloat16 answers a few rows; in turn, so that a busy moment hits both."""
    times: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    for _ in range(_ROUNDS):
        for precision, found in times.items():
            model.set_precision(precision)
            found.append(_seconds(model, batch))
    model.set_precision("float32")
    medians: Sequence[float] = [statistics.median(found[1:]) for found in times.values()]  # the first is warm-up
    return float(round(medians[0] / medians[1], 2))


def _seconds(model: Model, batch: Batch) -> float:
    started = time.perf_counter()
    for _ in model.stream(batch):
        pass
    return time.perf_counter() - started
