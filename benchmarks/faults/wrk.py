"""Plain wrk, which never tries again, against a served model: shared by the commands about the front."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = """\
wrk.method = "POST"
wrk.body = %s
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = %s
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("WRK %%d %%d %%d %%d %%d %%d %%.3f %%.3f\\n", summary.requests, e.status, e.connect, e.read,
    e.write, e.timeout, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


@dataclass
class Load:
    """What wrk counted; whole when its block has ended."""

    seconds: float = 0.0
    requests: int = 0
    errors: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    def __str__(self) -> str:
        return f"{self.rate:,.0f} requests/s, p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms, {self.errors} errors"


@contextlib.contextmanager
def wrk(
    folder: Path, url: str, key: str, row: dict[str, Any], *, clients: int, seconds: int | None = None
) -> Iterator[Load]:
    """Run wrk beside the block: for some seconds, or as long as the block lasts.

    An error is a status other than 2xx or 3xx, a refused or reset connection, or no answer within 30 s.
    """
    if shutil.which("wrk") is None:
        raise SystemExit("this needs the command wrk, as of apt-get install wrk")
    script = folder / "wrk.lua"
    script.write_text(SCRIPT % (json.dumps(json.dumps(row)), json.dumps(f"Bearer {key}")))
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds or 36_000}s", "--timeout", "30s", "-s", str(script), url]
    load = Load()
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield load
    finally:
        if seconds is None:
            process.send_signal(signal.SIGINT)  # it ends, and tells what it counted
        output, _ = process.communicate()
        load.seconds = time.monotonic() - begun
    words = next(line for line in output.splitlines() if line.startswith("WRK ")).split()
    load.requests, load.errors = int(words[1]), sum(map(int, words[2:7]))
    load.p50_ms, load.p99_ms = float(words[7]), float(words[8])
