"""What a worker counts of its requests: a few additions a batch, on the hot path."""

from __future__ import annotations

from bisect import bisect_left

from maas.serving.protocols import KINDS

PHASES = ("decode", "prepare", "forward", "encode")
SECONDS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Histogram:
    """How many values lie below each bound, and what they sum up to.

    Args:
        bounds: rising; a value that equals one lies below it.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum: float = 0

    def add(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times


class Tally:
    """Counts since the worker started, which only grow.

    The thread of the handler alone writes them, and another may read them at any time: each number is right by itself,
    and the next reading has what this one missed.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.rows = 0
        self.errors = dict.fromkeys(KINDS, 0)
        self.request_seconds = Histogram(SECONDS)
        self.batch_requests = Histogram(SIZES)
        self.phase_seconds = {phase: Histogram(SECONDS) for phase in PHASES}

    def batch(self, requests: int, rows: int, seconds: tuple[float, float, float, float]) -> None:
        """Count a batch that was answered.

        Args:
            requests: in it.
            rows: that it had the model answer.
            seconds: in each of `PHASES`.
        """
        self.requests += requests
        self.rows += rows
        self.batch_requests.add(requests)
        self.request_seconds.add(sum(seconds), requests)
        for histogram, phase in zip(self.phase_seconds.values(), seconds, strict=True):
            histogram.add(phase)
