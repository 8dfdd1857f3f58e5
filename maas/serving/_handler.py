"""What runs inside a TorchServe worker. It never imports TorchServe, so tests run it without a server."""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from maas.serving._description import describe
from maas.serving._drift import drift_of
from maas.serving._explain import write_explanations
from maas.serving._forward import Forward
from maas.serving._metrics import start_emitting
from maas.serving._read_ahead import read_ahead
from maas.serving._settings import DRAIN
from maas.serving._tally import Tally
from maas.serving._worker import Context, Questions, draining, keep_memory, load, unexpected
from maas.serving.protocols import (
    MOST_RESPONSE_BYTES,
    PHRASES,
    About,
    Asked,
    Explained,
    Outcome,
    Problem,
    Reader,
    Written,
)

Read = Asked | Explained | About | Problem
Result = Outcome | Problem | list[Any] | None


class Handler:
    """Answers batches of requests by one `Model`. It is the same `prepare` and `stream` that `Model.predict` calls.

    A bad row is refused with a problem document, and its neighbours are answered. `handle` never raises, and gives
    bytes only: anything else could end TorchServe's worker. While the file that the environment variable MAAS_DRAIN
    names is there, every request is answered 503.

    Args:
        context: TorchServe's, or one like it: where the model's files are, its name and version.

    Raises:
        ArtifactError: the model cannot be loaded; TorchServe shows the traceback in its model log.
    """

    def __init__(self, context: Context) -> None:
        keep_memory()
        self.model, self.identity = load(context)
        self._questions = Questions(self.model, self.identity)
        self._drain = os.environ.get(DRAIN)
        self._reader = Reader(self.model.schema)
        self._tally = Tally()
        drift = drift_of(self.model)
        self._warm_up(int(context.system_properties.get("batch_size") or 1))
        emits = start_emitting(context, self._tally, self.identity, drift)
        self._forward = Forward(self.model, drift if emits else None)
        read_ahead()
        gc.collect()
        gc.freeze()  # torch alone is 190,000 objects: a full collection among requests would take 0.2 s

    def handle(self, requests: Sequence[Mapping[str, Any]], context: Context) -> list[bytes]:
        """Answer a batch of requests, each on its own.

        Args:
            requests: for each request its parts by name, as TorchServe hands them over.
            context: takes the status and the content type of each answer.

        Returns:
            One body a request.
        """
        if self._drain is not None and os.path.exists(self._drain):
            return self._turn_away(len(requests), context)
        begun = perf_counter()
        read = [self._read(parts, context.get_all_request_header(index)) for index, parts in enumerate(requests)]
        decoded = perf_counter()
        outcomes = self._answer(read)
        answered = perf_counter()
        bodies = [
            self._send(self._write(one, outcome), index, context)
            for index, (one, outcome) in enumerate(zip(read, outcomes, strict=True))
        ]
        prepare = self._forward.prepare_seconds
        seconds = (decoded - begun, prepare, answered - decoded - prepare, perf_counter() - answered)
        self._tally.batch(len(bodies), self._forward.num_rows, seconds)
        return bodies

    def describe(self) -> dict[str, Any]:
        """The model as clients need to know it."""
        return describe(self.model, self.identity)

    def _read(self, parts: Mapping[str, Any], headers: Mapping[str, Any]) -> Read:
        try:
            return self._reader.read(parts, headers)
        except Problem as problem:
            return problem.as_value()
        except Exception:
            return unexpected("read")

    def _answer(self, read: Sequence[Read]) -> Sequence[Result]:
        try:
            return self._forward(read)
        except Exception:
            return [unexpected("answered")] * len(read)

    def _write(self, read: Read, outcome: Result) -> Written | Problem:
        if isinstance(read, Problem):
            return read
        try:
            if isinstance(read, About):
                return self._questions(read)
            if isinstance(read, Explained):
                return write_explanations(read.asked, outcome, self.identity)
            if not isinstance(outcome, Outcome):
                return read.writer.refuse(outcome if isinstance(outcome, Problem) else unexpected("answered"))
            if outcome.refused:
                return read.writer.refuse(outcome.problem(single=read.single))
            written = read.writer.write(outcome, self.identity)
            if len(written.body) <= MOST_RESPONSE_BYTES:
                return written
            return read.writer.refuse(Problem("answer-too-large", "the answer would be too large; send fewer rows"))
        except Problem as problem:
            problem = problem.as_value()
            return read.writer.refuse(problem) if isinstance(read, Asked) else problem
        except Exception:
            return unexpected("written")

    def _turn_away(self, count: int, context: Context) -> list[bytes]:
        refused = draining()
        for index in range(count):
            context.set_response_header(index, "Retry-After", "1")
        self._tally.requests += count
        return [self._send(refused, index, context) for index in range(count)]

    def _send(self, answer: Written | Problem, index: int, context: Context) -> bytes:
        if isinstance(answer, Problem):
            self._tally.errors[answer.kind] += 1
            context.set_response_status(answer.status, PHRASES[answer.status], index)
            context.set_response_content_type(index, answer.media)
            return answer.body()
        context.set_response_content_type(index, answer.media)
        for name, value in answer.headers.items():
            context.set_response_header(index, name, value)
        return answer.body

    def _warm_up(self, batch_size: int) -> None:
        """Answer golden rows, alone and as many as a batch may have: the first request is not the slow one."""
        rows = (self.model.example or {}).get("rows") or self.model.preprocess.examples(1)
        for size in sorted({1, batch_size}):
            self.model.predict([rows[place % len(rows)] for place in range(size)])
