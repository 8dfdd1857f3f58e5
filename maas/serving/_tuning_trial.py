"""One configuration, served for real, and the highest rate at which it keeps what is promised."""

from __future__ import annotations

import itertools
import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from maas.archive import Deployment, copy_archive, deployment_keys
from maas.serving._idle import wait_idle
from maas.serving._load import Body, Measured, measure
from maas.serving._serve import serve
from maas.serving._server import Server
from maas.serving._store import Stored
from maas.serving._tuning_search import highest_rate

SHARE_WITHIN = 0.99
_LEAST_REQUESTS = 100
_LONGEST_SECONDS = 10.0
_LAG_SHARE = 0.25
_IDLE_SECONDS = 5.0
_WARM_SECONDS, _WARM_CLIENTS, _FIRST_SHARE = 2.0, 16, 0.5
_WAITING = 1_000
"""Requests that may wait while it is measured: it is the SLO that says how many are too many."""


@dataclass(frozen=True)
class Setting:
    """What is chosen.

    Args:
        workers: processes.
        threads: of each.
        batch_size: most requests in one pass.
        max_batch_delay_ms: how long a batch waits to become as large as the one before.
    """

    workers: int
    threads: int
    batch_size: int
    max_batch_delay_ms: int

    def __str__(self) -> str:
        return (
            f"workers {self.workers}, threads {self.threads}, batch {self.batch_size:>2}, "
            f"delay {self.max_batch_delay_ms} ms"
        )


@dataclass
class Trial:
    """What was measured of a configuration.

    Args:
        setting: the configuration.
        slo_seconds: what 99 % of the requests are to be answered within.
        lone: a single client that asks again as soon as it is answered.
        points: a load at each rate tried.
        undecided: the lowest rate of a load that was thrown away, since the load generator could not keep up.
        stage: how thoroughly; later stages measure longer.
    """

    setting: Setting
    slo_seconds: float
    lone: Measured | None = None
    points: list[Measured] = field(default_factory=list)
    undecided: float | None = None
    stage: int = 0

    @property
    def best(self) -> Measured | None:
        """The point of the highest rate that held."""
        return max((one for one in self.points if holds(one)), key=lambda one: one.rate or 0, default=None)

    @property
    def lone_p50(self) -> float:
        """Seconds that a lone client waits; infinite where none was asked."""
        return self.lone.latency.p50 if self.lone else math.inf

    @property
    def goodput(self) -> float:
        """Answers a second within the SLO, at that point."""
        return self.best.goodput if self.best else 0.0

    def deployment(self) -> Deployment:
        """To be served so. The queue holds what is answered in half of the SLO: what is let in is answered in time."""
        waiting = max(int(self.goodput * self.slo_seconds / 2), 2 * self.setting.batch_size * self.setting.workers)
        return Deployment(**deployment_keys(**asdict(self.setting)), jobQueueSize=waiting)

    def __str__(self) -> str:
        limit = f"{self.slo_seconds * 1e3:g} ms"
        found = f"{self.goodput:8,.0f}/s within {limit}" if self.best else f"no rate tried holds {limit}"
        lagged = self.undecided is not None and self.undecided > (self.best.rate or 0 if self.best else 0)
        note = f" (perhaps more: the load generator lagged at {self.undecided:,.0f}/s)" if lagged else ""
        return f"{self.setting}: alone {self.lone_p50 * 1e3:6.1f} ms, {found}{note}"


def holds(point: Measured) -> bool:
    """Whether 99 % of what was due was answered within the SLO; a refusal or a reset is no answer."""
    return point.share_within >= SHARE_WITHIN


def run_trial(
    trial: Trial,
    found: Stored,
    bodies: Sequence[Body],
    *,
    seconds: float,
    tries: int,
    start: float | None,
    imports: Sequence[str],
) -> None:
    """Serve a model so, and search the highest rate.

    Args:
        trial: takes what is measured, as it comes.
        found: the model's archive.
        bodies: to send.
        seconds: of each load; longer where fewer than a hundred requests come in that time.
        tries: rates at most.
        start: the first one; by default a share of what clients get that ask without pause.
        imports: modules that workers import.
    """
    slo_seconds = trial.slo_seconds
    name, version = found.says.name, found.says.version
    how = Deployment(**deployment_keys(**asdict(trial.setting)), jobQueueSize=_WAITING)
    with tempfile.TemporaryDirectory(prefix="maas-") as folder:
        copy_archive(found.path, Path(folder) / f"{name}.mar", how)
        server = serve(folder, [name], imports=imports)
    try:
        # Java compiles what it runs often: before that it is slow, whatever the configuration.
        warm = _load(server, name, bodies, slo_seconds, rate=None, seconds=_WARM_SECONDS, connections=_WARM_CLIENTS)
        trial.lone = _load(server, name, bodies, slo_seconds, rate=None, seconds=1.0, connections=1)
        if trial.lone.latency.p50 > slo_seconds:
            return  # a client among others is not answered sooner
        numbers = itertools.count()

        def try_at(rate: float) -> bool:
            # What fails is tried once more: what else the machine did just then is not the configuration's doing.
            return try_once(rate) or try_once(rate)

        def try_once(rate: float) -> bool:
            window = min(max(seconds, _LEAST_REQUESTS / rate), max(seconds, _LONGEST_SECONDS))
            point = _load(server, name, bodies, slo_seconds, rate=rate, seconds=window, seed=next(numbers))
            if not holds(point):
                wait_idle(server.local, name, version, seconds=_IDLE_SECONDS)  # the next one finds an empty queue
            if not holds(point) and point.lag_p99 > _LAG_SHARE * slo_seconds:
                trial.undecided = min(trial.undecided or math.inf, rate)
                return False
            trial.points.append(point)
            return holds(point)

        highest_rate(try_at, start or _FIRST_SHARE * warm.count("200") / _WARM_SECONDS, tries=tries)
    finally:
        server.stop(drain_seconds=0)


def _load(server: Server, name: str, bodies: Sequence[Body], slo_seconds: float, **how: Any) -> Measured:
    return measure(server, name, bodies, limit=slo_seconds, timeout=hung_after(slo_seconds), **how)


def hung_after(slo_seconds: float) -> float:
    """Seconds after which no answer is waited for."""
    return max(2.0, 4 * slo_seconds)


def point_json(point: Measured | None) -> dict[str, Any] | None:
    """A point in JSON, which has no infinity."""
    if point is None:
        return None
    return json.loads(json.dumps(asdict(point)).replace("Infinity", "null"))  # type: ignore[no-any-return]
