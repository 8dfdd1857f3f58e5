"""What runs inside a TorchServe worker whose model generates text: each call is one token of all live requests."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

from maas.errors import ServingError
from maas.schema import GENERATION_OPTIONS
from maas.serving._description import describe
from maas.serving._generating import Generating, Key, session_of, warm_up
from maas.serving._metrics import start_emitting
from maas.serving._read_ahead import read_ahead
from maas.serving._refusal import refusal
from maas.serving._settings import DRAIN
from maas.serving._tally import GenerationTally, Tally
from maas.serving._worker import Context, Questions, draining, load, unexpected
from maas.serving.protocols import (
    MOST_RESPONSE_BYTES,
    PHRASES,
    About,
    GenerationReader,
    Given,
    Outcome,
    Problem,
    Refusal,
    Teller,
    Wanted,
    Written,
    is_odd,
)
from maas.task import Batch, Generation, Part

_NOTICE_SECONDS = 0.5
"""How often a client that has nothing to read yet is sent an empty part: only so is one that has left noticed."""

_TOKEN_BYTES, _SCORE_BYTES = 8, 100  # about what JSON takes

_log = logging.getLogger("maas.serving")


class GenerateContext(Context, Protocol):
    """The part of TorchServe's context that this handler uses besides."""

    request_ids: dict[int, str]
    stopping_criteria: Mapping[int, Callable[[object], bool | None]]


# What TorchServe is told of a part. A first part that says it is the last goes out without a head; an answer that is
# sent whole, as errors are, is none of a stream.
def _more(_: object) -> bool | None:
    return False


def _last(_: object) -> bool | None:
    return True


def _whole(_: object) -> bool | None:
    return None


@dataclass(slots=True)
class _Request:
    """A request that TorchServe counts as live.

    Args:
        begun: when it came.
        at_once: its client takes one part and no more, as over gRPC.
        teller: of its answer.
        rows: that have not their last part yet.
        body: to be sent.
        media: of the answer.
        problem: in place of the answer.
        is_done: nothing is added to the body any more.
        has_head: status and headers are sent, and cannot be changed.
        is_over: all is sent; TorchServe wants one more part, an empty one.
        told: when the client was last sent something.
        tokens: for each row when its last token came.
    """

    begun: float
    at_once: bool = False
    teller: Teller | None = None
    rows: int = 0
    body: bytes = b""
    media: str = ""
    problem: Problem | None = None
    is_done: bool = False
    has_head: bool = False
    is_over: bool = False
    told: float = 0.0
    tokens: dict[int, float] = field(default_factory=dict)


class GenerateHandler:
    """Answers requests side by side by one `Session` of the model: the same that `Model.stream` steps.

    TorchServe must run it with `continuousBatching: true`; it then calls `handle` again and again as long as there are
    requests. A bad request is refused with a problem document, one whose step fails ends with it, and its neighbours go
    on. `handle` gives bytes only. While the file that the environment variable MAAS_DRAIN names is there, new requests
    are answered 503, and those that are live come to their end.

    Args:
        context: TorchServe's, or one like it: where the model's files are, its name and version.

    Raises:
        ArtifactError: the model cannot be loaded; TorchServe shows the traceback in its model log.
        ServingError: the memory does not suffice.
    """

    def __init__(self, context: GenerateContext) -> None:
        config = context.model_yaml_config or {}
        if not config.get("continuousBatching"):
            raise ServingError("model-config.yaml must say `continuousBatching: true` for maas_generate.py")
        self.model, self.identity = load(context)
        if not isinstance(self.model.task, Generation):
            raise ServingError(
                f"maas_generate.py serves generations, this is a {self.model.task.kind}: maas_handler.py"
            )
        self._questions = Questions(self.model, self.identity)
        self._reader = GenerationReader(self.model.schema, self.identity)
        self._drain = os.environ.get(DRAIN)
        self._requests: dict[str, _Request] = {}
        session = session_of(self.model, int(context.system_properties.get("batch_size") or 1))
        self._generating = Generating(session)
        warm_up(self._generating, self.model, session.engine.slots)
        self._counts = GenerationTally(session.engine.slots, session.engine.cache_bytes)
        self._tally = Tally(self._counts)
        start_emitting(context, self._tally, self.identity, None)
        read_ahead()
        gc.collect()
        gc.freeze()  # torch alone is 190,000 objects: a full collection between tokens would take 0.2 s

    def handle(self, requests: Sequence[Mapping[str, Any]], context: GenerateContext) -> list[bytes]:
        """Take in what is new, let go of who has left, and go one step on.

        Args:
            requests: for each live request its parts by name, as TorchServe hands them over; nothing after the first
                time.
            context: names the live requests, and takes what is sent to each; those that get nothing are taken out.

        Returns:
            As many bodies as there are requests.
        """
        try:
            self._forget(context.request_ids.values())
            begun = perf_counter()
            for place, name in context.request_ids.items():
                if name not in self._requests:
                    self._requests[name] = self._take(name, requests[place], context.get_all_request_header(place))
            taken = perf_counter()
            self._step()
            stepped = perf_counter()
            self._tally.phase_seconds["decode"].add(taken - begun)
            self._tally.phase_seconds["forward"].add(stepped - taken)
        except Exception:
            problem = unexpected("answered")
            for name in context.request_ids.values():
                self._end(name, self._requests.setdefault(name, _Request(perf_counter())), problem)
            stepped = perf_counter()
        bodies = self._send(len(requests), context)
        self._tally.phase_seconds["encode"].add(perf_counter() - stepped)
        return bodies

    def describe(self) -> dict[str, Any]:
        """The model as clients need to know it."""
        return describe(self.model, self.identity)

    def _forget(self, present: Any) -> None:
        """Let go of requests that TorchServe names no more; their slots are free at once."""
        for name in self._requests.keys() - set(present):
            if not self._requests.pop(name).is_over:
                self._generating.drop(name)
                self._counts.left += 1

    def _take(self, name: str, parts: Mapping[str, Any], headers: Mapping[str, Any]) -> _Request:
        one = _Request(begun := perf_counter(), told=begun)
        # Over gRPC there are no headers, but for those of the parts; a description is no stream.
        one.at_once = headers.keys() <= parts.keys() or headers.get("describe") == "True"
        try:
            if self._drain is not None and os.path.exists(self._drain):
                raise draining(live=self._live)
            asked = self._reader.read(parts, headers, name)
            if isinstance(asked, Wanted):
                self._admit(name, one, asked)
                return one
            written = self._questions(asked, live=self._live) if isinstance(asked, About) else asked
            if isinstance(written, Written):
                one.body, one.media, one.is_done = written.body, written.media, True
            else:
                one.problem = written
        except Problem as problem:
            one.problem = problem.as_value()
        except Exception:
            one.problem = unexpected("read")
        self._count(one)
        return one

    def _admit(self, name: str, one: _Request, asked: Wanted) -> None:
        """Queue the rows of a request. Raises Problem where one of them cannot be answered: then none is."""
        one.teller, one.media = asked.teller, asked.teller.media
        begun = perf_counter()
        try:
            prepared = self.model.prepare(asked.rows)
            refused = {row: Refusal("bad-row", error.field, error.detail) for row, error in prepared.errors.items()}
        except Exception as error:
            _log.exception("rows could not be prepared")
            refused = {0: refusal(error)}
        self._tally.phase_seconds["prepare"].add(perf_counter() - begun)
        if refused:
            outcome = Outcome(Given(None), [-1] * len(asked.rows), refused)
            raise asked.teller.refuse(outcome.problem(single=asked.single))
        if not asked.teller.streams:
            self._check_size(prepared.batch, asked.teller)
        one.rows = len(asked.rows)
        self._generating.add(name, prepared.batch)

    def _check_size(self, batch: Batch, teller: Teller) -> None:
        """Refuse what would have to be kept too long in memory before any of it is sent."""
        options = batch.inputs["options"]  # (rows, len(GENERATION_OPTIONS))
        tokens = options[:, GENERATION_OPTIONS.index("max_tokens")]
        scores = (options[:, GENERATION_OPTIONS.index("logprobs")] + 1).nan_to_num()
        if float((tokens * (_TOKEN_BYTES + _SCORE_BYTES * scores)).sum()) > MOST_RESPONSE_BYTES:
            detail = "the answer would be too large; ask for fewer tokens or log probabilities, or for a stream"
            raise teller.refuse(Problem("answer-too-large", detail))

    def _step(self) -> None:
        if not self._generating.live and not self._generating.waiting:
            return
        parts, failed = self._generating.step()
        now = perf_counter()
        self._tally.batch_requests.add(len(parts))
        for key, part in parts.items():
            if is_odd(part):
                failed[key] = Refusal("bad-row", None, "the network gives no finite number for this row")
            elif (one := self._requests[key[0]]).problem is None and not one.is_done:
                self._tell(key, one, part, now)
        for (name, row), why in failed.items():
            problem = Problem(why.kind, why.detail, field=why.field, row=row)
            self._end(name, self._requests[name], problem)
        self._counts.live, self._counts.waiting = self._generating.live, self._generating.waiting

    def _tell(self, key: Key, one: _Request, part: Part, now: float) -> None:
        name, row = key
        if part.tokens:
            self._counts.token(now - one.begun, None if row not in one.tokens else now - one.tokens[row])
            one.tokens[row] = now
        assert one.teller is not None
        try:
            one.body += one.teller.tell(row, part)
            if part.finish_reason is None:
                return
            self._counts.prompt_tokens += part.prompt_tokens
            self._tally.rows += 1
            one.rows -= 1
            if not one.rows:
                one.body += one.teller.end()
                one.is_done = True
                self._count(one)
        except Problem as problem:
            self._end(name, one, problem.as_value())
        except Exception:
            self._end(name, one, unexpected("written"))

    def _end(self, name: str, one: _Request, problem: Problem) -> None:
        """End a request with a problem: in place of its answer, or behind what of it is sent."""
        if one.is_done or one.is_over or one.problem is not None:
            return
        self._generating.drop(name)
        if one.teller is not None:
            if one.has_head:
                one.body += one.teller.fail(problem)
                one.is_done = True
                self._tally.errors[problem.kind] += 1
            problem = one.teller.refuse(problem)
        one.problem = None if one.is_done else problem
        self._count(one)

    def _count(self, one: _Request) -> None:
        """Count a request that has its answer."""
        self._tally.requests += 1
        self._tally.request_seconds.add(perf_counter() - one.begun)
        if one.problem is not None:
            self._tally.errors[one.problem.kind] += 1

    def _send(self, count: int, context: GenerateContext) -> list[bytes]:
        """Give each request what there is for it; who gets nothing is taken out of `context.request_ids`."""
        bodies = [b""] * count
        told: dict[int, Callable[[object], bool | None]] = {}
        now = perf_counter()
        for place, name in list(context.request_ids.items()):
            one = self._requests[name]
            if one.is_over:
                told[place] = _last
                del self._requests[name]
            elif one.problem is not None:
                bodies[place], told[place] = one.problem.body(), _last if one.at_once else _whole
                context.set_response_status(one.problem.status, PHRASES[one.problem.status], place)
                context.set_response_content_type(place, one.problem.media)
                if one.problem.kind == "draining":
                    context.set_response_header(place, "Retry-After", "1")
                one.is_over = True
            elif one.at_once and one.is_done:
                bodies[place], told[place] = self._one_part(one), _last
                context.set_response_content_type(place, one.media)
                one.is_over = True
            elif not one.at_once and (one.body or one.is_done or now - one.told >= _NOTICE_SECONDS):
                bodies[place], one.body = one.body[:MOST_RESPONSE_BYTES], one.body[MOST_RESPONSE_BYTES:]
                told[place] = _more
                if not one.has_head:
                    context.set_response_content_type(place, one.media)
                one.has_head, one.told = True, now
                one.is_over = one.is_done and not one.body
            else:
                del context.request_ids[place]
        context.stopping_criteria = told
        return bodies

    def _one_part(self, one: _Request) -> bytes:
        if len(one.body) <= MOST_RESPONSE_BYTES:
            return one.body
        return Problem("answer-too-large", "the answer would be too large; ask for fewer tokens").body()

    @property
    def _live(self) -> int:
        """Requests that are not answered yet, for whoever waits for them."""
        return sum(not one.is_over for one in self._requests.values())
