"""From what a worker counts to TorchServe's metrics port: lines on the worker's standard output."""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from maas.serving._drift import ServedDrift
from maas.serving._tally import Histogram, Tally
from maas.serving.protocols import Identity

EMIT_SECONDS = 1.0
_SEEN_SECONDS = 10.0
_DRIFT_SECONDS = 30.0
_MOST_LABEL = 200
_NOT_IN_LABELS = re.compile(r"[^\w.+\-/@ ]")  # TorchServe takes lines apart at , : | and #

_log = logging.getLogger("maas.serving")


class Sample(NamedTuple):
    """A number of a metric that metrics.yaml declares."""

    name: str
    labels: str
    value: float


class Emitter:
    """Tells TorchServe what has changed, at most once a second, from a thread of its own.

    TorchServe's counters add up what they are given, so a counter's line has what was added since the line before: the
    counters outlive a worker that is started again.

    Args:
        tally: what the handler counts.
        identity: the model.
        worker: names the process among those of the model.
        drift: of the served rows; None where the card does not say what training rows were like.
        write: takes the lines.
    """

    def __init__(
        self, tally: Tally, identity: Identity, worker: str, drift: ServedDrift | None, write: Callable[[str], object]
    ) -> None:
        self._tally = tally
        self._drift = drift
        self._write = write
        self._labels = labels(model_name=identity.name, model_version=identity.version, worker=worker)
        self._digest = labels(digest=identity.digest)
        self._host = _NOT_IN_LABELS.sub("_", socket.gethostname())
        self._sent: dict[str, float] = {}
        self._seen = self._told = -float("inf")

    def run(self) -> None:
        """Emit for ever."""
        while True:
            try:
                self.emit(time.monotonic())
            except Exception:  # a worker answers without metrics rather than not at all
                _log.exception("metrics of this worker end here")
                return
            time.sleep(EMIT_SECONDS)

    def emit(self, now: float) -> None:
        """Write what has changed.

        Args:
            now: seconds, of a clock that never goes back.
        """
        lines = []
        stamp = int(time.time())
        for name, own, value in self._counters():
            key = f"{name}|{own}"
            before = self._sent.get(key)
            if value != before:
                self._sent[key] = value
                lines.append(self._line("COUNTER", name, own, value - (before or 0), stamp))
        lines += [self._line("GAUGE", *sample, stamp) for sample in self._gauges(now)]
        if lines:
            self._write("".join(lines))

    def _line(self, kind: str, name: str, own: str, value: float, stamp: int) -> str:
        number = value if isinstance(value, int) else f"{value:.9f}"  # it reads no 1e+20
        return f"[METRICS]{name}.count:{number}|#{self._labels}{own}|#type:{kind}|#hostname:{self._host},{stamp}\n"

    def _counters(self) -> Iterator[Sample]:
        tally = self._tally
        yield Sample("maas_worker_starts_total", "", 1)
        yield Sample("maas_requests_total", "", tally.requests)
        yield Sample("maas_rows_total", "", tally.rows)
        for kind, count in tally.errors.items():
            yield Sample("maas_errors_total", f",kind:{kind}", count)
        yield from _cumulative("maas_request_seconds", "", tally.request_seconds)
        yield from _cumulative("maas_batch_requests", "", tally.batch_requests)
        for phase, histogram in tally.phase_seconds.items():
            yield from _cumulative("maas_phase_seconds", f",phase:{phase}", histogram)
        if (texts := tally.generation) is not None:
            yield Sample("maas_prompt_tokens_total", "", texts.prompt_tokens)
            yield Sample("maas_completion_tokens_total", "", texts.completion_tokens)
            yield Sample("maas_left_requests_total", "", texts.left)
            yield from _cumulative("maas_first_token_seconds", "", texts.first_token_seconds)
            yield from _cumulative("maas_token_seconds", "", texts.token_seconds)

    def _gauges(self, now: float) -> Iterator[Sample]:
        if now - self._seen >= _SEEN_SECONDS:
            import psutil  # TorchServe needs it too

            self._seen = now
            yield Sample("maas_model_info", f",{self._digest}", 1)
            yield Sample("maas_worker_seen_timestamp_seconds", "", int(time.time()))
            yield Sample("maas_worker_memory_bytes", "", psutil.Process().memory_info().rss)
        if (texts := self._tally.generation) is not None:
            yield Sample("maas_live_rows", "", texts.live)
            yield Sample("maas_waiting_rows", "", texts.waiting)
            yield Sample("maas_free_slots", "", texts.slots - texts.live)
            yield Sample("maas_cache_bytes", "", texts.cache_bytes)
        if self._drift is None:
            return
        self._drift.count(now)
        if now - self._told >= _DRIFT_SECONDS and (told := self._drift.told()) is not None:
            self._told = now
            rows, stability, unknown = told
            yield Sample("maas_drift_rows", "", rows)
            for field, value in stability.items():
                yield Sample("maas_drift_psi", f",{labels(field=field)}", value)
            for field, value in unknown.items():
                yield Sample("maas_drift_unknown_ratio", f",{labels(field=field)}", value)


def start_emitting(context: object, tally: Tally, identity: Identity, drift: ServedDrift | None) -> bool:
    """Let metrics be emitted beside the handler as long as the worker lives, if TorchServe's `metrics_config` has them.

    Otherwise it would drop them, after a line in its log for each.

    Args:
        context: TorchServe's; in one without metrics there is nobody to emit them to.

    Returns:
        Whether they are emitted.
    """
    declared = getattr(context, "metrics", None)
    if declared is None or "counter:maas_requests_total" not in declared.cache_keys():
        return False
    emitter = Emitter(tally, identity, worker_name(), drift, write_out)
    threading.Thread(target=emitter.run, name="maas-metrics", daemon=True).start()
    return True


def write_out(lines: str) -> None:
    """Hand lines to TorchServe."""
    sys.stdout.flush()
    sys.stdout.buffer.write(lines.encode())  # whatever encoding the locale has
    sys.stdout.buffer.flush()


def worker_name(arguments: Sequence[str] = sys.argv) -> str:
    """What TorchServe's management calls this worker: a number that a worker keeps when it is started again."""
    for option in ("--sock-name", "--port"):
        if option in arguments[:-1]:
            return arguments[arguments.index(option) + 1].rpartition(".")[2]
    return str(os.getpid())


def labels(**values: str) -> str:
    """Labels as TorchServe reads them; what would end one is an underscore instead."""
    return ",".join(f"{name}:{_NOT_IN_LABELS.sub('_', value)[:_MOST_LABEL] or '_'}" for name, value in values.items())


def _cumulative(name: str, own: str, histogram: Histogram) -> Iterator[Sample]:
    """The series of a Prometheus histogram; they are counters of TorchServe, whose own have buckets for web pages."""
    total = 0
    for bound, count in zip((*histogram.bounds, "+Inf"), list(histogram.counts), strict=True):
        total += count
        yield Sample(f"{name}_bucket", f"{own},le:{bound}", total)
    yield Sample(f"{name}_count", own, total)
    yield Sample(f"{name}_sum", own, histogram.sum)
