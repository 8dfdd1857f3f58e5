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


class GenerationTally:
    """What is counted of generated text besides; as in `Tally`, but for the gauges, which go up and down.

    Args:
        slots: rows that may be live at once.
        cache_bytes: that their cache takes.

    Attributes:
        prompt_tokens, completion_tokens: of answered rows, and as they come.
        first_token_seconds: from the arrival of a request at the worker to the first token of each of its rows.
        token_seconds: between a row's token and the one before.
        left: requests whose client did not wait for the end.
        live, waiting: rows that have a slot, and that wait for one.
    """

    def __init__(self, slots: int, cache_bytes: int) -> None:
        self.slots, self.cache_bytes = slots, cache_bytes
        self.prompt_tokens = self.completion_tokens = self.left = 0
        self.first_token_seconds = Histogram(SECONDS)
        self.token_seconds = Histogram(SECONDS)
        self.live = self.waiting = 0

    def token(self, since_begin: float, since_last: float | None) -> None:
        """Count a token.

        Args:
            since_begin: seconds since its request came.
            since_last: seconds since the token before; None for a row's first.
        """
        self.completion_tokens += 1
        if since_last is None:
            self.first_token_seconds.add(since_begin)
        else:
            self.token_seconds.add(since_last)


class Tally:
    """Counts since the worker started, which only grow.

    The thread of the handler alone writes them, and another may read them at any time: each number is right by itself,
    and the next reading has what this one missed.

    Args:
        generation: what is counted besides of a model that generates text.
    """

    def __init__(self, generation: GenerationTally | None = None) -> None:
        self.generation = generation
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
