"""The HTTP client that awaits."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from maas.client import _transport
from maas.client._answers import Collected, Prediction, Predictions
from maas.client._chunks import Chunk, job_of
from maas.client._client import Bare, Many
from maas.client._core import Core, array_job
from maas.client._events import Parts
from maas.client._exchange import TokenFunction
from maas.client._listen import listen_async, opened
from maas.client._steps import Failure, Pause, Reply, Send, Steps

if TYPE_CHECKING:
    import numpy as np

Result = TypeVar("Result")


class AsyncClient:
    """Asks one served model from asyncio; all else is as in `Client`.

    Args:
        model, url, timeout, version, retries, parallel, verify: as in `Client`.
        token: as in `Client`; the function may be asynchronous.

    Raises:
        ClientError: an argument cannot be used, or `url` is left out and no server runs here that serves the model.

    >>> client = AsyncClient("wine", url="http://127.0.0.1:8080", token="...")
    """

    def __init__(
        self,
        model: str,
        *,
        url: str | None = None,
        token: str | TokenFunction | None = None,
        timeout: float = 60.0,
        version: str | None = None,
        retries: int = 5,
        parallel: int = 4,
        verify: _transport.Verify = None,
    ) -> None:
        self._core = Core(model, url, token, timeout, version, retries, parallel)
        import httpx

        self._http = httpx.AsyncClient(**_transport.options(self._core.url, verify or self._core.certificate, parallel))

    @property
    def model(self) -> str:
        """The model's name."""
        return self._core.model

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    @overload
    async def predict(self, rows: Mapping[str, Any] | Bare, *, progress: bool = False) -> Prediction: ...
    @overload
    async def predict(self, rows: Many, *, progress: bool = False) -> Predictions: ...
    @overload
    async def predict(self, rows: Any, *, progress: bool = False) -> Any: ...
    async def predict(self, rows: Any, *, progress: bool = False) -> Any:
        """Answer one row, or many: see `Client.predict`."""
        job = job_of(rows)
        if job.single:
            return await self._run(self._core.one(job))
        collected = Collected()
        with _transport.progress_bar(progress, job.total) as advance:
            async for answers, errors, refused in self._each(self._core.some, job.chunks):
                collected.add(answers, errors, refused)
                advance(len(answers))
        return collected.result(job.backend)

    async def predict_array(self, array: np.ndarray[Any, Any], *, progress: bool = False) -> np.ndarray[Any, Any]:
        """Answer an array by an array: see `Client.predict_array`."""
        from maas.client._arrays import joined

        job = array_job(array)
        parts = []
        with _transport.progress_bar(progress, job.total) as advance:
            async for part in self._each(self._core.array, job.chunks):
                parts.append(part)
                advance(len(part))
        return joined(parts)

    async def stream(self, row: Mapping[str, Any]) -> AsyncGenerator[Prediction, None]:
        """Answer one row part by part: see `Client.stream`.

        A loop that is left early wants `contextlib.aclosing` around the iterator: asyncio closes a dropped one later.
        """
        reply = await self._run(self._core.stream(row))
        parts = Parts(self._core.url)
        async with contextlib.aclosing(reply.events) as heard:
            async for one in heard:
                if (part := parts.add(one)) is not None:
                    yield part
        parts.end()

    async def explain(self, row: Mapping[str, Any] | Bare) -> Prediction:
        """What each field of a row adds to its answer: see `Client.explain`."""
        found: Prediction = await self._run(self._core.explain(row))
        return found

    async def ready(self, timeout: float = 5.0) -> bool:
        """Whether the model answers now: see `Client.ready`."""
        return await self._run(self._core.ready(timeout))

    async def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until the model answers: see `Client.wait_ready`."""
        await self._run(self._core.wait_ready(timeout))

    async def describe(self) -> dict[str, Any]:
        """The model's description: see `Client.describe`."""
        return await self._run(self._core.describe())

    async def _each(self, ask: Callable[[Chunk], Steps[Result]], chunks: Iterator[Chunk]) -> AsyncIterator[Result]:
        """The results of chunks, in order; some are under way while one is awaited."""
        gate = asyncio.Semaphore(self._core.parallel)

        async def run(chunk: Chunk) -> Result:
            async with gate:
                return await self._run(ask(chunk))

        waiting: deque[asyncio.Task[Result]] = deque()
        try:
            for chunk in chunks:
                waiting.append(asyncio.create_task(run(chunk)))
                if len(waiting) >= 2 * self._core.parallel:
                    yield await waiting[0]
                    waiting.popleft()
            while waiting:
                yield await waiting[0]
                waiting.popleft()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _run(self, steps: Steps[Result]) -> Result:
        """Do what the core asks for, until it has a result."""
        try:
            step = next(steps)
            while True:
                if isinstance(step, Send):
                    step = steps.send(await self._send(step))
                elif isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = next(steps)
                else:
                    try:
                        token: Any = self._core.token()  # type: ignore[operator, misc]
                        token = await token if inspect.isawaitable(token) else token
                    except Exception as error:
                        step = steps.throw(error)
                    else:
                        step = steps.send(token)
        except StopIteration as end:
            result: Result = end.value
            return result

    async def _send(self, send: Send) -> Reply | Failure:
        import httpx

        if send.gap is not None:
            heard = listen_async(self._http, send)
            return opened(await anext(heard), heard)
        given: dict[str, Any] = {"content": send.content, "headers": send.headers, "timeout": _transport.timeouts(send)}
        try:
            async with asyncio.timeout(send.seconds):
                response = await self._http.request(send.method, send.path, **given)
                return _transport.reply_of(response, response.content)
        except TimeoutError:
            return Failure(f"no whole answer within {send.seconds:.1f} s", again=False)
        except httpx.HTTPError as error:
            return _transport.failure_of(error)
