"""Requests whose answers are read event by event, blocking and awaiting: the two differ in nothing but that."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Generator, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from maas.client import _transport
from maas.client._events import EVENTS, Event, EventReader
from maas.client._steps import Failure, Reply, Send

if TYPE_CHECKING:
    import httpx

Heard = Reply | Failure | Event
"""First a reply or a failure; after the reply of a stream its events, and at last a failure where it breaks off."""


def listen(http: httpx.Client, send: Send) -> Generator[Heard, None, None]:
    """What comes of a request. Closing the generator closes the connection."""
    import httpx

    begun = _Beginning(send)
    try:
        with http.stream(send.method, send.path, **begun.arguments) as response:
            if begun.is_stream(response):
                for content in response.iter_bytes():
                    yield from begun.heard(response, content)
                begun.ended()
                return
            whole = _transport.reply_of(response, response.read())
        yield whole
    except httpx.HTTPError as error:
        yield _transport.failure_of(error)


async def listen_async(http: httpx.AsyncClient, send: Send) -> AsyncGenerator[Heard, None]:
    """As `listen`."""
    import httpx

    begun = _Beginning(send)
    try:
        async with http.stream(send.method, send.path, **begun.arguments) as response:
            if begun.is_stream(response):
                async for content in response.aiter_bytes():
                    for one in begun.heard(response, content):
                        yield one
                begun.ended()
                return
            whole = _transport.reply_of(response, await response.aread())
        yield whole
    except httpx.HTTPError as error:
        yield _transport.failure_of(error)


def opened(first: Heard, rest: Any) -> Reply | Failure:
    """What came of a request, with the rest of it where it is a stream."""
    assert not isinstance(first, Event)
    if isinstance(first, Reply) and _is_stream(first.status, first.headers.get("content-type", "")):
        return replace(first, events=rest)
    return first


def _is_stream(status: int, media: str) -> bool:
    return status == 200 and media.partition(";")[0].strip().lower() == EVENTS


class _Beginning:
    """A request up to its first event, for which it has less time than between two."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._deadline = time.monotonic() + send.seconds
        self._reader = EventReader()
        self._over = False
        timeouts = _transport.timeouts(send)
        self.arguments: dict[str, Any] = {"content": send.content, "headers": send.headers, "timeout": timeouts}

    def is_stream(self, response: httpx.Response) -> bool:
        response.request.extensions["timeout"]["read"] = self._send.gap  # of the body; the head is here
        return _is_stream(response.status_code, response.headers.get("content-type", ""))

    def heard(self, response: httpx.Response, content: bytes) -> Iterator[Heard]:
        import httpx

        events = self._reader.feed(content)
        if not self._over and events:
            self._over = True
            yield _transport.reply_of(response, b"")
        elif not self._over and time.monotonic() > self._deadline:
            raise httpx.ReadTimeout(f"no part within {self._send.seconds:.1f} s")
        yield from events

    def ended(self) -> None:
        import httpx

        if not self._over:
            raise httpx.RemoteProtocolError("the stream is empty")
