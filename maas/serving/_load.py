"""A load on a served model, made by a process of its own, and what came of it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from maas.client import LocalServer
from maas.errors import ServingError
from maas.serving._server import Server

MOST_CONNECTIONS = 2_000
_START_SECONDS = 60.0


@dataclass(frozen=True)
class Body:
    """What a client sends.

    Args:
        data: the body.
        headers: such as its Content-Type.
    """

    data: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Quantiles:
    """How long some requests took, in seconds; infinite where that many failed, or there was none.

    Args:
        count: of the requests.
        p50, p99, p999: of their latency.
    """

    count: int
    p50: float
    p99: float
    p999: float


@dataclass(frozen=True)
class Measured:
    """What came of a load.

    Args:
        rate: requests a second that were asked for; None: as many as came back (a closed loop).
        seconds: of the window.
        requests: that were due in the window.
        within: how many were answered 200 within the limit.
        latency: of all requests, from when they were due; those that failed took for ever.
        outcomes: of each outcome by itself: a status, "reset", or "hung" where no answer came in time.
        lag_p99: 99 % were sent at most so long after they were due: the generator's own lateness.
        connections: most that were open at once.
    """

    rate: float | None
    seconds: float
    requests: int
    within: int
    latency: Quantiles
    outcomes: Mapping[str, Quantiles]
    lag_p99: float
    connections: int

    @property
    def goodput(self) -> float:
        """Requests a second that were answered within the limit."""
        return self.within / self.seconds

    @property
    def share_within(self) -> float:
        return self.within / self.requests if self.requests else 0.0

    def count(self, outcome: str) -> int:
        return self.outcomes[outcome].count if outcome in self.outcomes else 0


def measure(
    server: Server | LocalServer,
    model: str,
    bodies: Sequence[Body],
    *,
    rate: float | None,
    seconds: float,
    warm_seconds: float = 0.5,
    limit: float = 1.0,
    timeout: float = 10.0,
    connections: int = MOST_CONNECTIONS,
    seed: int = 0,
) -> Measured:
    """Put a load on a model of a server on this machine.

    Args:
        server: where.
        model: "NAME" or "NAME/VERSION".
        bodies: drawn from at random.
        rate: requests a second, at random moments (Poisson), whatever the server does; None: each connection asks again
            as soon as it has its answer.
        seconds: of the window that counts.
        warm_seconds: before it.
        limit: seconds within which an answer is a good one.
        timeout: seconds after which a request is hung.
        connections: at most, at once.
        seed: of the moments and bodies drawn.

    Raises:
        ServingError: the generator's process failed.
    """
    told = {
        "url": server.url,
        "path": f"/predictions/{model}",
        "folder": str(server.folder),
        "requests": [[list(one.headers.items()), base64.b64encode(one.data).decode()] for one in bodies],
        "rate": rate,
        "seconds": seconds,
        "warm_seconds": warm_seconds,
        "limit": limit,
        "timeout": timeout,
        "connections": connections,
        "seed": seed,
    }
    # A session of its own: Ctrl-C reaches us alone.
    process = subprocess.Popen(
        [sys.executable, "-m", "maas.serving._load_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, said = process.communicate(json.dumps(told), timeout=warm_seconds + seconds + timeout + _START_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ServingError("the load generator did not end") from error
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    if process.returncode:
        raise ServingError(f"the load generator failed: {said.strip()[-1000:]}")
    return _measured(json.loads(out), rate, seconds)


def _measured(found: dict[str, Any], rate: float | None, seconds: float) -> Measured:
    outcomes = {name: _quantiles(one) for name, one in found["outcomes"].items()}
    return Measured(
        rate, seconds, found["requests"], found["within"], _quantiles(found["all"]), outcomes,
        found["lag_p99"], found["connections"],
    )  # fmt: skip


def _quantiles(found: dict[str, float | None]) -> Quantiles:
    p50, p99, p999 = (float("inf") if found[name] is None else found[name] for name in ("p50", "p99", "p999"))
    return Quantiles(int(found["count"] or 0), p50 or 0.0, p99 or 0.0, p999 or 0.0)
