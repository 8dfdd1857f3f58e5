"""The HTTP client that blocks."""

from __future__ import annotations

import concurrent.futures
import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from maas.client import _transport
from maas.client._answers import Collected, Prediction, Predictions
from maas.client._chunks import Chunk, job_of
from maas.client._core import Core, array_job
from maas.client._events import Parts
from maas.client._listen import listen, opened
from maas.client._steps import Failure, Pause, Reply, Send, Steps

if TYPE_CHECKING:
    import numpy as np

Result = TypeVar("Result")
Bare = str | bytes | bytearray | memoryview | Path
Many = Iterable[Mapping[str, Any]] | Iterable[bytes] | Iterable[Path]


class Client:
    """Asks one served model.

    It reuses connections, can be shared by threads, and sends a request again where that is safe and may help: after a
    reset, a refused connection or half an answer, after 503 (when Retry-After says, else after a growing random pause),
    after a front's 502 and after TorchServe's "Worker died."; never after a 4xx, but for a token that has been renewed.

    Args:
        model: the model's name.
        url: of TorchServe's inference address, or of a front before it; by default that of a front or else a server
            which `maas serve` runs here.
        token: the inference token, or a function that gives it, asked again when the token is refused; by default,
            with `url` left out, that of the front or server found here.
        timeout: seconds that a request may take, tries and pauses included. A connection has at most 5 of them.
        version: of the model; by default the server's default version.
        retries: how often a request is sent again; 0 for never.
        parallel: how many requests are under way at once when many rows are asked about.
        verify: file of the certificates (PEM) to trust for an https `url`, or an SSLContext; by default
            those that httpx brings, or, with `url` left out, that of the front or server found here.

    Raises:
        ClientError: an argument cannot be used, or `url` is left out and no server runs here that serves the model.

    >>> client = Client("wine", url="http://127.0.0.1:8080", token="...")
    """

    def __init__(
        self,
        model: str,
        *,
        url: str | None = None,
        token: str | Callable[[], str] | None = None,
        timeout: float = 60.0,
        version: str | None = None,
        retries: int = 5,
        parallel: int = 4,
        verify: _transport.Verify = None,
    ) -> None:
        self._core = Core(model, url, token, timeout, version, retries, parallel)
        import httpx

        self._http = httpx.Client(**_transport.options(self._core.url, verify or self._core.certificate, parallel))

    @property
    def model(self) -> str:
        """The model's name."""
        return self._core.model

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @overload
    def predict(self, rows: Mapping[str, Any] | Bare, *, progress: bool = False) -> Prediction: ...
    @overload
    def predict(self, rows: Many, *, progress: bool = False) -> Predictions: ...
    @overload
    def predict(self, rows: Any, *, progress: bool = False) -> Any: ...
    def predict(self, rows: Any, *, progress: bool = False) -> Any:
        """Answer one row, or many. Many are sent 500 at a time (of an array 5,000), and at most 4 MB.

        Args:
            rows: one row as a mapping of field name to value; for a model with one field of bytes (an image, a sound)
                the bytes or the file as a `pathlib.Path`; for one with one field of text a str. Many rows as a list or
                an iterator of these, as a data frame, or, where all fields are numbers, as a numpy array whose first
                axis counts rows. NaN in a frame is a missing value.
            progress: show a bar.

        Returns:
            For one row a `Prediction`, for many `Predictions`, as long as `rows` and in its order.

        Raises:
            RequestRefused: a row cannot be answered; `.problem` says which, why and what is wanted, and has the other
                rows' answers as `predictions`.
            ServerUnavailable: the server cannot be reached, or did not answer in time.
            ClientError: `rows` is none of these.
        """
        job = job_of(rows)
        if job.single:
            return self._run(self._core.one(job))
        collected = Collected()
        with _transport.progress_bar(progress, job.total) as advance:
            for answers, errors, refused in self._each(self._core.some, job.chunks):
                collected.add(answers, errors, refused)
                advance(len(answers))
        return collected.result(job.backend)

    def predict_array(self, array: np.ndarray[Any, Any], *, progress: bool = False) -> np.ndarray[Any, Any]:
        """Answer an array by an array: the fastest way for many rows of numbers.

        Args:
            array: its first axis counts rows.
            progress: show a bar.

        Returns:
            As the model's description of its .npy answers says: probabilities (rows, classes), or values (rows, ...).

        Raises:
            RequestRefused, ServerUnavailable: as in `predict`; nothing is answered then.
            ClientError: `array` holds no numbers or no rows, or the server answers without arrays.
        """
        from maas.client._arrays import joined

        job = array_job(array)
        parts = []
        with _transport.progress_bar(progress, job.total) as advance:
            for part in self._each(self._core.array, job.chunks):
                parts.append(part)
                advance(len(part))
        return joined(parts)

    def stream(self, row: Mapping[str, Any]) -> Generator[Prediction, None, None]:
        """Answer one row part by part, as a model that generates text makes the answer.

        To close it early, or to leave the loop and drop it, closes the connection, and the server stops. A request is
        sent again only before its first part has come. `timeout` is for the first part, tries and pauses included, and
        then for each pause between two.

        Args:
            row: as one row of `predict`.

        Returns:
            An iterator of what each part adds: `text`, and `finish_reason`, None but in the last part, which has the
            counts of tokens. Nothing is sent before its first part is asked for.

        Raises:
            RequestRefused: the row cannot be answered.
            ServerUnavailable: as in `predict`; or, after parts that hold good, the server broke the answer off.
            ClientError: `row` is not one row, or the model does not answer in parts.
        """
        reply = self._run(self._core.stream(row))
        parts = Parts(self._core.url)
        with contextlib.closing(reply.events) as heard:
            for one in heard:
                if (part := parts.add(one)) is not None:
                    yield part
        parts.end()

    def explain(self, row: Mapping[str, Any] | Bare) -> Prediction:
        """What each field of a row adds to its answer, as `Model.explain` says it.

        Args:
            row: as one row of `predict`.

        Returns:
            `output`, `baseline`, `gap`, `attributions` by field, and `label` where there is one.

        Raises:
            RequestRefused: the row cannot be answered.
            ServerUnavailable: as in `predict`, or the model's answers cannot be explained.
            ClientError: `row` is not one row.
        """
        found: Prediction = self._run(self._core.explain(row))
        return found

    def ready(self, timeout: float = 5.0) -> bool:
        """Whether the model answers now: not whether its server is up, which TorchServe's /ping says.

        Args:
            timeout: seconds to wait for the answer; a model that cannot load gives none.
        """
        return self._run(self._core.ready(timeout))

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until the model answers.

        Args:
            timeout: seconds to ask again; it asks once at least, and waits at most 5 seconds for an answer.

        Raises:
            ServerUnavailable: it does not; the message says what came instead.
        """
        self._run(self._core.wait_ready(timeout))

    def describe(self) -> dict[str, Any]:
        """The model's schema (JSON Schema), labels, card, version and a sample row with its answer.

        Raises:
            ServerUnavailable: the server cannot be reached, or the model does not answer.
        """
        return self._run(self._core.describe())

    def _each(self, ask: Callable[[Chunk], Steps[Result]], chunks: Iterator[Chunk]) -> Iterator[Result]:
        """The results of chunks, in order; some are under way while one is awaited."""
        first = list(islice(chunks, 2))
        if len(first) < 2:
            yield from (self._run(ask(chunk)) for chunk in first)
            return
        waiting: deque[concurrent.futures.Future[Result]] = deque()
        pool = concurrent.futures.ThreadPoolExecutor(self._core.parallel, "maas-client")
        try:
            for chunk in chain(first, chunks):
                waiting.append(pool.submit(self._run, ask(chunk)))
                if len(waiting) >= 2 * self._core.parallel:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _run(self, steps: Steps[Result]) -> Result:
        """Do what the core asks for, until it has a result."""
        try:
            step = next(steps)
            while True:
                if isinstance(step, Send):
                    step = steps.send(self._send(step))
                elif isinstance(step, Pause):
                    time.sleep(step.seconds)
                    step = next(steps)
                else:
                    try:
                        token = self._core.token()  # type: ignore[operator, misc]
                    except Exception as error:
                        step = steps.throw(error)
                    else:
                        step = steps.send(token)
        except StopIteration as end:
            result: Result = end.value
            return result

    def _send(self, send: Send) -> Reply | Failure:
        import httpx

        if send.gap is not None:
            heard = listen(self._http, send)
            return opened(next(heard), heard)
        deadline = time.monotonic() + send.seconds
        given: dict[str, Any] = {"content": send.content, "headers": send.headers, "timeout": _transport.timeouts(send)}
        try:
            with self._http.stream(send.method, send.path, **given) as response:
                body = bytearray()
                for part in response.iter_bytes():
                    body += part
                    if time.monotonic() > deadline:
                        raise httpx.ReadTimeout(f"no whole answer within {send.seconds:.1f} s")
                return _transport.reply_of(response, bytes(body))
        except httpx.HTTPError as error:
            return _transport.failure_of(error)
