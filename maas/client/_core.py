"""What the client that blocks and the one that awaits have in common: everything but input and output."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from maas.client._answers import Prediction, Predictions, RowErrors, answers_of
from maas.client._chunks import JSON, Chunk, Job, array_chunks, job_of
from maas.client._events import EVENTS, not_a_stream
from maas.client._exchange import Exchange, TokenFunction
from maas.client._local import running
from maas.client._steps import Pause, Reply, Steps
from maas.errors import ClientError, RequestRefused, ServerUnavailable, show

if TYPE_CHECKING:
    import numpy as np

DESCRIPTION = "application/vnd.maas.description+json"
"""The media type to accept when a description of the model is wanted in place of a prediction."""

IDENTITY = "application/vnd.maas.identity+json"
"""The media type to accept when only name, version and digest of the model are wanted."""

V2_METADATA = "application/vnd.maas.v2-metadata+json"
"""The media type to accept when the model's metadata are wanted as the Open Inference Protocol V2 writes them."""

ROUTE = "X-Maas-Route"
"""The header in which a front names the path of OpenAI's API that a request came by: TorchServe takes such paths only
behind a version, and the front leaves that to each server."""

_READY_SECONDS = 5.0
_POLL_SECONDS = 0.25
_ROW_STATUSES = (413, 415, 422)
Outcome = tuple[list[Prediction | None], RowErrors, RequestRefused | None]


class Core:
    """One model on one server, asked in steps.

    Args:
        model, url, token, timeout, version, retries, parallel: as in `Client`.
    """

    def __init__(
        self,
        model: str,
        url: str | None,
        token: str | TokenFunction | None,
        timeout: float,
        version: str | None,
        retries: int,
        parallel: int,
    ) -> None:
        if timeout <= 0 or retries < 0 or parallel < 1:
            raise ClientError(
                f"`timeout` must be above 0, `retries` at least 0 and `parallel` at least 1, got {timeout}, {retries} "
                f"and {parallel}"
            )
        self.certificate: str | None = None
        if url is None:
            if (here := running(model)) is None:
                raise ClientError(f"no server runs here that serves {show(model)}; start one, or say url= and token=")
            url, token = here.url, token if token is not None else here.inference_token
            self.certificate = here.certificate
        if not url.startswith(("http://", "https://")):
            raise ClientError(f"`url` must begin with http:// or https://, got {show(url)}")
        self.model = model
        self.url = url
        self.parallel = parallel
        name = model + (f"/{version}" if version else "")
        self._path = f"/predictions/{name}"
        self._explanations = f"/explanations/{name}"
        self._exchange = Exchange(url, token, timeout=timeout, retries=retries)
        self.token = token

    def one(self, job: Job) -> Steps[Prediction | Predictions]:
        """The answer to the only row of a job."""
        (chunk,) = job.chunks
        return (yield from self._post(chunk))

    def explain(self, row: Any) -> Steps[Any]:
        """What each field of a row adds to its answer."""
        return (yield from self._post(_only(row), self._explanations))

    def stream(self, row: Any) -> Steps[Reply]:
        """The beginning of the answer to one row, part by part."""
        chunk = _only(row)
        headers = {"Content-Type": chunk.media, "Accept": EVENTS}
        body = chunk.write(chunk.items)
        reply = yield from self._exchange.ask("POST", self._path, headers, body, gap=self._exchange.timeout)
        if reply.events is None:
            raise not_a_stream(self.model, reply.headers.get("content-type"))
        return reply

    def some(self, chunk: Chunk) -> Steps[Outcome]:
        """Answers to a chunk of many rows, and why rows of it have none."""
        if chunk.unsent is not None:
            refused = RequestRefused(422, {"title": "A row cannot be answered"})
            return [None], [{"row": chunk.start, "field": None, "detail": chunk.unsent}], refused
        try:
            found = yield from self._post(chunk)
        except RequestRefused as refused:
            if refused.status == 413 and len(chunk) > 1:  # the answers of fewer rows may fit
                parts: Outcome = ([], [], None)
                for half in chunk.halves():
                    answers, errors, why = yield from self.some(half)
                    parts = parts[0] + answers, parts[1] + errors, parts[2] or why
                return parts
            problem = refused.problem
            if "errors" in problem:
                model = problem.get("model", {})
                answers = [answer and Prediction(answer, model) for answer in problem["predictions"]]
                return answers, [{**one, "row": one["row"] + chunk.start} for one in problem["errors"]], refused
            if len(chunk) == 1 and refused.status in _ROW_STATUSES:
                one = {"row": chunk.start, "field": problem.get("field"), "detail": problem.get("detail", "")}
                return [None], [one], refused
            raise
        if isinstance(found, Prediction):
            if len(chunk) > 1:
                raise ClientError(
                    "`rows` was answered as one row, not as many; give one row of an array an axis more: array[None]"
                )
            return [found], [], None
        return list(found), [], None

    def array(self, chunk: Chunk) -> Steps[np.ndarray[Any, Any]]:
        """The answers to a chunk of an array, as an array."""
        from maas.client._arrays import NPY, joined, read_npy

        body = chunk.write(chunk.items)
        try:
            reply = yield from self._exchange.ask("POST", self._path, {"Content-Type": NPY, "Accept": NPY}, body)
        except RequestRefused as refused:
            if refused.status == 413 and len(chunk) > 1:
                first, second = chunk.halves()
                return joined([(yield from self.array(first)), (yield from self.array(second))])
            raise _moved(refused, chunk.start) from refused
        try:
            return read_npy(reply.body)
        except ValueError as error:
            kind = reply.headers.get("content-type", "no media type")
            raise ClientError(f"{self.url} answers arrays with {show(kind)}, not with arrays; use predict") from error

    def describe(self) -> Steps[dict[str, Any]]:
        return self._get(DESCRIPTION)

    def ready(self, timeout: float = _READY_SECONDS) -> Steps[bool]:
        try:
            identity = yield from self._get(IDENTITY, timeout=timeout, retries=0)
        except ClientError:
            return False
        return bool(identity.get("name") == self.model)

    def wait_ready(self, timeout: float) -> Steps[None]:
        deadline = time.monotonic() + timeout
        seconds = _READY_SECONDS  # the first try has as many, even if `timeout` is less
        while True:
            try:
                yield from self._get(IDENTITY, timeout=seconds, retries=0)
                return
            except ClientError as error:
                if time.monotonic() + _POLL_SECONDS >= deadline:
                    raise ServerUnavailable(f"{self.model} was not ready within {timeout:g} s: {error}") from error
            yield Pause(_POLL_SECONDS)
            seconds = min(_READY_SECONDS, max(_POLL_SECONDS, deadline - time.monotonic()))

    def _get(self, accept: str, *, timeout: float | None = None, retries: int | None = None) -> Steps[dict[str, Any]]:
        reply = yield from self._exchange.ask("GET", self._path, {"Accept": accept}, timeout=timeout, retries=retries)
        return self._json(reply.body)

    def _post(self, chunk: Chunk, path: str | None = None) -> Steps[Prediction | Predictions]:
        headers = {"Content-Type": chunk.media, "Accept": JSON}
        reply = yield from self._exchange.ask("POST", path or self._path, headers, chunk.write(chunk.items))
        try:
            return answers_of(self._json(reply.body))
        except KeyError as error:
            raise ServerUnavailable(f"{self.url} answered without {error}; is {self.model} a model of maas?") from error

    def _json(self, body: bytes) -> dict[str, Any]:
        try:
            found = json.loads(body)
        except ValueError as error:
            raise ServerUnavailable(f"{self.url} answered 200 without JSON; is it TorchServe?") from error
        if not isinstance(found, Mapping):
            raise ServerUnavailable(f"{self.url} answered 200 with {show(found)}; is {self.model} a model of maas?")
        return dict(found)


def array_job(array: Any) -> Job:
    """An array that is to be answered by arrays."""
    from maas.client._arrays import checked

    rows = checked(array)
    return Job(array_chunks(rows), len(rows))


def _only(row: Any) -> Chunk:
    """The request of a single row."""
    job = job_of(row)
    if not job.single:
        raise ClientError(f"`row` must be one row, got {show(row)}; ask about each row by itself")
    (chunk,) = job.chunks
    return chunk


def _moved(refused: RequestRefused, start: int) -> RequestRefused:
    """The same refusal, with rows counted from the first chunk's."""
    problem = {name: value for name, value in refused.problem.items() if name != "predictions"}
    if isinstance(problem.get("row"), int):
        problem["row"] += start
    if "errors" in problem:
        problem["errors"] = [{**one, "row": one["row"] + start} for one in problem["errors"]]
    return RequestRefused(refused.status, problem)
