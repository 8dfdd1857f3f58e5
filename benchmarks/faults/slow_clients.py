"""200 slow clients beside a good one, behind the front: what the good one notices.

    python benchmarks/faults/slow_clients.py    about 40 seconds on two cores

Half of the slow ones send a byte of their head a second, half a byte of their body. The good one asks without pause.
It is measured before and beside them, five windows of each in turn. Exits with 1 if the median of its p99 more than
doubles, or if it meets an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from load import stored_wine
from wrk import Load, wrk

from maas.serving.front import serve_front

SLOW = 200
WINDOWS = 5
SECONDS = 3


async def crawl(host: str, port: int, key: str, in_body: bool) -> None:
    """One slow client: a byte a second; when it is cut off it comes back."""
    head = f"POST /predictions/wine HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 400\r\n"
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            writer.write(f"{head}\r\n".encode() if in_body else b"POST /predictions/wine HTTP/1.1\r\n")
            for _ in range(400):
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(1)
            writer.close()


@contextlib.contextmanager
def slow_clients(host: str, port: int, key: str) -> Iterator[None]:
    over = threading.Event()

    async def run() -> None:
        tasks = [asyncio.create_task(crawl(host, port, key, one % 2 == 0)) for one in range(SLOW)]
        await asyncio.to_thread(over.wait)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        row = stored_wine(folder, ("1.0",))
        with serve_front(folder / "store", ["wine"]) as front:
            key, at = front.keys_file.read_text().strip(), urlsplit(front.url)

            def good() -> Load:
                with wrk(folder, f"{front.url}/predictions/wine", key, row, clients=1, seconds=SECONDS) as load:
                    pass
                return load

            good()
            alone, beside = [], []
            for _ in range(WINDOWS):
                alone.append(good())
                with slow_clients(at.hostname or "", at.port or 0, key):
                    beside.append(good())
    before, after = (statistics.median(one.p99_ms for one in loads) for loads in (alone, beside))
    errors = sum(one.errors for one in alone + beside)
    for title, loads in (("alone", alone), (f"beside {SLOW} slow ones", beside)):
        shown = ", ".join(f"{one.p99_ms:.1f}" for one in loads)
        print(f"{title}: p99 {shown} ms; {sum(one.errors for one in loads)} errors")
    print(f"medians: {before:.1f} ms alone, {after:.1f} ms beside them: {after / before:.2f} times")
    return int(after > 2 * before or errors > 0)


if __name__ == "__main__":
    sys.exit(main())
