"""TCP ports that nobody listens on."""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
from pathlib import Path

_FIRST = 20_000
_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST_OUTGOING = 32_768  # Linux's own default; the others' is above


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Different ports of 127.0.0.1 that are free now; another process may take one at any time.

    They lie below those that outgoing connections get: a busy machine has taken one of those before a server that is
    still starting listens on it.
    """
    below = range(_FIRST, _first_outgoing())
    tried = random.SystemRandom().sample(below, len(below))
    found = list(itertools.islice(filter(is_free, tried), count))
    if len(found) == count:
        return found
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _first_outgoing() -> int:
    try:
        return int(_OUTGOING.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _FIRST_OUTGOING
