"""The load generator's process: `python -m maas.serving._load_process` reads what to do as JSON, and prints what came.

Arrivals are Poisson at the rate asked for, whatever the server does (an open loop), and latency counts from the moment
at which a request was due: a server that stalls pays for the requests that it kept waiting.
Source: Gil Tene, wrk2 and "How NOT to measure latency" (coordinated omission).
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import math
import random
import sys
from array import array
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from maas.client import LocalServer
from maas.serving._load_pool import TICK_SECONDS, Job, Pool

_LEAD_SECONDS = 0.05
_GRACE_SECONDS = 0.1
_OPENED_FIRST = 16


class Counted:
    """Outcomes of the requests that were due in the window."""

    def __init__(self, start: float, end: float, limit: float) -> None:
        self.start, self.end, self._limit = start, end, limit
        self.latencies: dict[str, array[float]] = {}
        self.lags = array("d")
        self.within = 0

    def add(self, job: Job, outcome: str, now: float) -> None:
        if not self.start <= job.due < self.end:
            return
        latency = now - min(job.sent or now, job.due + TICK_SECONDS)
        self.latencies.setdefault(outcome, array("d")).append(latency)
        self.within += outcome == "200" and latency <= self._limit

    def to_json(self) -> dict[str, Any]:
        answered = self.latencies.get("200", array("d"))
        failed = sum(map(len, self.latencies.values())) - len(answered)
        return {
            "requests": len(answered) + failed,
            "within": self.within,
            "all": _quantiles(answered, failed),
            "outcomes": {name: _quantiles(self.latencies[name], 0) for name in sorted(self.latencies)},
            "lag_p99": _quantiles(self.lags, 0)["p99"] or 0.0,
        }


def _quantiles(values: Sequence[float], failed: int) -> dict[str, float | None]:
    """By the nearest rank; a failed request took for ever, which is None."""
    ranked = sorted(values)
    count = len(ranked) + failed

    def at(share: float) -> float | None:
        place = math.ceil(share * count) - 1
        return ranked[place] if 0 <= place < len(ranked) else None

    return {"count": count, "p50": at(0.5), "p99": at(0.99), "p999": at(0.999)}


async def run(told: dict[str, Any]) -> dict[str, Any]:
    """Send the load; gives the counts."""
    address = urlsplit(told["url"])
    heads, bodies = [], []
    for headers, encoded in told["requests"]:
        body = base64.b64decode(encoded)
        lines = [f"POST {told['path']} HTTP/1.1", f"Host: {address.netloc}", f"Content-Length: {len(body)}"]
        heads.append("".join(f"{line}\r\n" for line in lines + [f"{k}: {v}" for k, v in headers]).encode("latin-1"))
        bodies.append(body)
    loop = asyncio.get_running_loop()
    start = loop.time() + _LEAD_SECONDS
    counted = Counted(start + told["warm_seconds"], start + told["warm_seconds"] + told["seconds"], told["limit"])
    server = LocalServer(told["folder"], 0, told["url"], ())
    rate, number = told["rate"], len(bodies)

    def done(job: Job, outcome: str, now: float) -> None:
        counted.add(job, outcome, now)
        if rate is None and now < counted.end:
            pool.send(Job(now, random.randrange(number)))

    pool = Pool(
        address.hostname or "", address.port or 80, heads, bodies, server.inference_token, told["connections"], done
    )
    pool.open(min(told["connections"], _OPENED_FIRST))
    await asyncio.sleep(_LEAD_SECONDS)
    if rate is None:
        for _ in range(told["connections"]):
            pool.send(Job(loop.time(), random.randrange(number)))
        while loop.time() < counted.end:
            await asyncio.sleep(_GRACE_SECONDS)
            pool.give_up(told["timeout"])
    else:
        await _arrivals(pool, counted, start, told)
    await pool.finish(told["timeout"])
    return {**counted.to_json(), "connections": pool.most_opened}


async def _arrivals(pool: Pool, counted: Counted, start: float, told: dict[str, Any]) -> None:
    """Send each request when it is due, or as soon after as this process can."""
    rate, number, clock = told["rate"], len(told["requests"]), pool.clock
    due = start + random.expovariate(rate)
    checked = start
    while due < counted.end:
        now = clock()
        while due <= now and due < counted.end:
            if due >= counted.start:
                counted.lags.append(now - due)
            pool.send(Job(due, random.randrange(number)))
            due += random.expovariate(rate)
        if now - checked > _GRACE_SECONDS:
            checked = now
            pool.give_up(told["timeout"])
        await asyncio.sleep(max(0.0, min(due, counted.end) - clock()))


def main() -> None:
    told = json.loads(sys.stdin.read())
    random.seed(told["seed"])
    gc.disable()  # a collection would be a stall of our own
    print(json.dumps(asyncio.run(run(told))))


if __name__ == "__main__":
    main()
