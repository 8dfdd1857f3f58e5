"""Connections of the load generator, and what became of each request. In a process of its own, free of torch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

TICK_SECONDS = 0.001
"""The event loop's timers are as coarse as this; what a request is late by less is not the server's doing."""

_NO_TOKEN = b"InvalidKeyException"


@dataclass(slots=True)
class Job:
    """A request.

    Args:
        due: when it was to be sent, by the loop's clock.
        place: which body.
        sent: when it was; 0 before.
        token: that it was sent with.
        again: it was refused for its token, and sent once more.
    """

    due: float
    place: int
    sent: float = 0.0
    token: str = ""
    again: bool = False


class Pool:
    """Sends each request at once, over an idle connection or a new one, and tells its outcome.

    Args:
        host, port: of the server.
        heads: of each body, all of the request's head but for the token.
        bodies: to go with them.
        token: gives the token, as it stands now; asked again when a request is refused for its token.
        most: connections at once; further requests wait, and their wait counts.
        told: is given each request, its outcome (a status, "reset" or "hung") and when it came.
    """

    def __init__(
        self,
        host: str,
        port: int,
        heads: Sequence[bytes],
        bodies: Sequence[bytes],
        token: Callable[[], str],
        most: int,
        told: Callable[[Job, str, float], None],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.clock = self.loop.time
        self.told = told
        self.waiting: deque[Job] = deque()
        self.busy: set[Connection] = set()
        self.idle: list[Connection] = []
        self.opened = self.most_opened = 0
        self._address = (host, port)
        self._most = most
        self._heads, self._bodies, self._ask_token = heads, bodies, token
        self._opening: set[asyncio.Task[None]] = set()
        self._read_token()

    def send(self, job: Job) -> None:
        if self.idle:
            self.idle.pop().send(job)
            return
        self.waiting.append(job)
        if self.opened + len(self._opening) < self._most:
            self._open()

    def open(self, count: int) -> None:
        """Have so many connections at hand before they are needed."""
        for _ in range(count):
            self._open()

    async def finish(self, timeout: float) -> None:
        """Wait until every request has its outcome; those without an answer for `timeout` seconds are hung."""
        while self.waiting or self.busy:
            self.give_up(timeout)
            await asyncio.sleep(0.01)
        for connection in self.idle:
            connection.close()

    def give_up(self, timeout: float) -> None:
        late = self.clock() - timeout
        for connection in [one for one in self.busy if one.job and one.job.sent < late]:
            connection.end("hung")
        while self.waiting and self.waiting[0].due < late:
            self.told(self.waiting.popleft(), "hung", self.clock())

    def request(self, job: Job) -> bytes:
        job.token = self._token
        return self._requests[job.place]

    def renewed(self, token: str) -> bool:
        """Whether there is another token than the one used."""
        if token == self._token:
            self._read_token()
        return token != self._token

    def ready(self, connection: Connection) -> None:
        """A connection has nothing to do."""
        if self.waiting:
            connection.send(self.waiting.popleft())
        else:
            self.idle.append(connection)

    def lost(self) -> None:
        """A connection has ended; those who wait want another."""
        if self.waiting and self.opened + len(self._opening) < self._most:
            self._open()

    def _open(self) -> None:
        task = self.loop.create_task(self._connect())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self) -> None:
        try:
            await self.loop.create_connection(lambda: Connection(self), *self._address)
        except OSError:
            if self.waiting:
                self.told(self.waiting.popleft(), "reset", self.clock())

    def _read_token(self) -> None:
        self._token = self._ask_token()
        line = f"Authorization: Bearer {self._token}\r\n\r\n".encode()
        self._requests = [head + line + body for head, body in zip(self._heads, self._bodies, strict=True)]


class Connection(asyncio.Protocol):
    """HTTP/1.1, one request after the other."""

    def __init__(self, pool: Pool) -> None:
        self.job: Job | None = None
        self._pool = pool
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        pool = self._pool
        pool.opened += 1
        pool.most_opened = max(pool.most_opened, pool.opened)
        pool.ready(self)

    def send(self, job: Job) -> None:
        self.job = job
        self._pool.busy.add(self)
        job.sent = self._pool.clock()
        self._transport.write(self._pool.request(job))

    def data_received(self, data: bytes) -> None:
        self._data = data = self._data + data if self._data else data
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0 or self.job is None:
            return
        head = data[:head_end].lower()
        place = head.find(b"content-length:")
        length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
        if len(data) < head_end + 4 + length:
            return
        self._data = b""
        status = head[9:12].decode("ascii")
        # TorchServe closes after each refusal, and does not say so.
        closing = status >= "400" or b"connection: close" in head
        if status in ("400", "401") and _NO_TOKEN in data and not self.job.again and self._pool.renewed(self.job.token):
            self.job.again = True
            self._pool.busy.discard(self)
            job, self.job = self.job, None
            self.close()
            self._pool.send(job)
            return
        self.end(status, close=closing)

    def end(self, outcome: str, *, close: bool = True) -> None:
        """The request has its outcome."""
        pool, job = self._pool, self.job
        assert job is not None
        self.job = None
        pool.busy.discard(self)
        if close:
            self.close()
        pool.told(job, outcome, pool.clock())
        if not close:
            pool.ready(self)

    def connection_lost(self, error: Exception | None) -> None:
        pool = self._pool
        pool.opened -= 1
        if self in pool.idle:
            pool.idle.remove(self)
        if self.job is not None:
            job, self.job = self.job, None
            pool.busy.discard(self)
            pool.told(job, "reset", pool.clock())
        pool.lost()

    def close(self) -> None:
        self._transport.abort()
