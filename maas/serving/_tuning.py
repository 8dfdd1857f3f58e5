"""Which workers, threads, batch size and delay serve the most requests in time, on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maas.archive import read_archived
from maas.client._chunks import job_of
from maas.errors import ServingError, show
from maas.nn import available_cores
from maas.serving._load import Body
from maas.serving._store import choose
from maas.serving._tuning_found import ServingTuning
from maas.serving._tuning_trial import Setting, Trial, hung_after, run_trial

_START_SECONDS = 24.0
_MOST_WORKERS = 4
_MOST_BODIES = 1_000
_FINALISTS = 2


@dataclass(frozen=True)
class Stage:
    """A round: all that is left is measured so long, and the best go on.

    Args:
        share: of the seconds asked for.
        tries: rates, at most.
        going_on: share of the configurations that the next round measures.
    """

    share: float
    tries: int
    going_on: float


STAGES = (Stage(0.2, 4, 0.25), Stage(0.5, 4, 0.4), Stage(1.0, 6, 0.0))


def tune_serving(
    store: str | Path,
    model: str,
    *,
    slo_seconds: float,
    rows: Sequence[Any] | None = None,
    workers: Sequence[int] | None = None,
    threads: Sequence[int] | None = None,
    batch_sizes: Sequence[int] = (1, 8, 16, 32),
    max_batch_delays_ms: Sequence[int] = (1, 4),
    seconds: float = 5.0,
    imports: Sequence[str] = (),
    progress: Callable[[str], None] = lambda text: None,
) -> ServingTuning:
    """Serve a model in each configuration, and find the one that answers the most requests a second in time.

    The load is open: requests come at random moments (Poisson) at a rate, whatever the server does. For each
    configuration the highest rate is searched at which 99 % are answered within the SLO. All are measured for a short
    time first, the best for longer (successive halving). Ctrl-C gives what there is by then.

    Args:
        store: folder of `.mar` files.
        model: NAME or NAME@VERSION.
        slo_seconds: that 99 % of the requests are to be answered within.
        rows: to send, mappings or, for a model of one field of bytes, paths; by default the archive's golden rows.
        workers: numbers of processes; by default 1, 2 and 4, as far as there are cores.
        threads: CPU threads a worker; by default 1, and the cores divided by the workers.
        batch_sizes: most requests in one pass.
        max_batch_delays_ms: that a batch waits to become as large as the one before; of no matter for a size of 1.
        seconds: of each load in the last round.
        imports: modules that workers import first.
        progress: is told what happens, a line at a time.

    Raises:
        ServingError: there is no such model, an argument cannot be used, or a configuration cannot be served.
    """
    if not 0 < slo_seconds < math.inf or not 0 < seconds < math.inf:
        raise ServingError(f"`slo_seconds` and `seconds` must be above 0, got {slo_seconds:g} and {seconds:g}")
    store = Path(store)
    (found,) = choose(store, [model])
    bodies = bodies_of(rows if rows is not None else (read_archived(found.path).example or {}).get("rows") or [])
    left = settings(workers, threads, batch_sizes, max_batch_delays_ms)
    bound = longest_seconds(len(left), slo_seconds, seconds)
    progress(
        f"{len(left)} configurations on {available_cores()} cores, {math.ceil(bound / 60)} minutes at most; "
        f"Ctrl-C gives what there is by then"
    )
    deadline = time.monotonic() + bound
    tuning = ServingTuning(found.says.name, slo_seconds)
    try:
        for number, stage in enumerate(STAGES):
            if len(left) <= _FINALISTS and number + 1 < len(STAGES):
                continue
            for setting in left:
                if time.monotonic() > deadline:
                    tuning.interrupted = True
                    return tuning
                before = next((one for one in tuning.trials if one.setting == setting), None)
                # One that is broken off counts only where there is no earlier one.
                trial = Trial(setting, slo_seconds, stage=number)
                if before is None:
                    tuning.trials.append(trial)
                run_trial(
                    trial,
                    found,
                    bodies,
                    seconds=seconds * stage.share,
                    tries=stage.tries,
                    start=before.goodput if before else None,
                    imports=imports,
                )
                tuning.trials = [one for one in tuning.trials if one.setting != setting] + [trial]
                progress(str(trial))
            tuning.stage = number
            left = _best(tuning.trials, left, max(_FINALISTS, round(len(left) * stage.going_on)))
            if number + 1 < len(STAGES):
                progress(f"the best {len(left)}, for {seconds * STAGES[number + 1].share:g} s a rate:")
    except KeyboardInterrupt:
        tuning.interrupted = True
    return tuning


def settings(
    workers: Sequence[int] | None, threads: Sequence[int] | None, batch_sizes: Sequence[int], delays: Sequence[int]
) -> list[Setting]:
    """All combinations that differ.

    Raises:
        ServingError: a list is empty, or holds what is no positive integer.
    """
    cores = available_cores()
    given = {"workers": workers, "threads": threads, "batch_sizes": batch_sizes, "max_batch_delays_ms": delays}
    for name, values in given.items():
        if values is not None and (not values or not all(type(one) is int and one > 0 for one in values)):
            raise ServingError(f"`{name}` must be positive integers, at least one, got {show(str(list(values)))}")
    chosen = workers or [count for count in (1, 2, 4) if count <= min(cores, _MOST_WORKERS)]
    found = {
        Setting(count, each, size, delay if size > 1 else min(delays))
        for count in chosen
        for each in threads or {1, max(1, cores // count)}
        for size in batch_sizes
        for delay in delays
    }
    return sorted(found, key=lambda one: (one.workers, one.threads, one.batch_size, one.max_batch_delay_ms))


def longest_seconds(count: int, slo_seconds: float, seconds: float) -> float:
    """What it takes at most, where a server starts in 20 seconds and 100 requests come in the time of a load."""
    total = 0.0
    for stage in STAGES if count > _FINALISTS else STAGES[-1:]:
        load = 1.5 + seconds * stage.share + hung_after(slo_seconds)
        total += count * (
            _START_SECONDS + 1.5 * stage.tries * load
        )  # about half of the rates fail, and are tried twice
        count = max(min(count, _FINALISTS), round(count * stage.going_on))
    return total


def bodies_of(rows: Sequence[Any]) -> list[Body]:
    """A request for each row.

    Raises:
        ServingError: there are no rows.
    """
    if not rows:
        raise ServingError("there are no rows to send; give some with `rows` (--data)")
    chunks = (chunk for row in rows[:_MOST_BODIES] for chunk in job_of(row).chunks)
    return [Body(chunk.write(chunk.items), {"Content-Type": chunk.media}) for chunk in chunks]


def _best(trials: Sequence[Trial], among: Sequence[Setting], count: int) -> list[Setting]:
    ranked = sorted((one for one in trials if one.setting in among), key=lambda one: (-one.goodput, one.lone_p50))
    return [one.setting for one in ranked[:count]]
