"""`maas serve` told to stop by SIGTERM under load, and started again: maas.Client loses nothing.

    python benchmarks/faults/stop_under_load.py              20 stops; 4 minutes on two cores
    python benchmarks/faults/stop_under_load.py --times 2    30 seconds

Four threads share a `maas.Client` that may try again for 60 s, and ask at 70 % of what they got through without a
pause. Each stop must end with exit code 0 before its 30 s for draining are over; then the server is started again on
the same port, as systemd or Kubernetes would. Lost: a request that the client gives up (resets, time-outs, 5xx).
Exits with 1 if a request is lost or a stop is not in order.
"""

from __future__ import annotations

import contextlib
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from load import load, lost, options, shown, stored_wine, trying

import maas
from maas.client import folder_of_servers
from maas.serving._ports import free_ports

SHARE = 0.7


class Tokens:
    """The token of the server that listens at an address now, from its key file; while none does, the last one known.

    Each server makes its own: a client must be given a function where servers come and go.
    """

    def __init__(self, url: str) -> None:
        self.url, self.last = url, "none"

    def __call__(self) -> str:
        for settings in folder_of_servers().glob("*/config.properties"):
            with contextlib.suppress(OSError, ValueError, KeyError):  # it is being written, or removed
                if f"inference_address={self.url}\n" in settings.read_text():
                    self.last = json.loads((settings.parent / "key_file.json").read_text())["inference"]["key"]
        return self.last


def start(folder: Path, port: int) -> subprocess.Popen[str]:
    """Start `maas serve`, and wait until it says that it serves."""
    command = [sys.executable, "-m", "maas.cli", "serve", "wine", "--store", str(folder / "store"), "--json"]
    process = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if not process.stdout.readline():
        raise RuntimeError(f"maas serve ended with {process.wait()}")
    return process


def main() -> int:
    chosen = options(__doc__ or "", times=20)
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_ports(1)[0]
        row = stored_wine(folder, ("1.0",))
        url = f"http://127.0.0.1:{port}"
        server = start(folder, port)
        codes, seconds = [], []
        try:
            with maas.Client("wine", url=url, token=Tokens(url), retries=1000, timeout=60) as client:
                asks = [trying(client, row)] * chosen.clients
                with load(asks) as counts:
                    time.sleep(3)
                rate = SHARE * sum(counts.values()) / 3
                with load(asks, rate=rate) as counts:
                    for _ in range(chosen.times):
                        time.sleep(1)
                        begun = time.monotonic()
                        server.send_signal(signal.SIGTERM)
                        codes.append(server.wait(60))
                        seconds.append(time.monotonic() - begun)
                        server = start(folder, port)
                    time.sleep(1)
        finally:
            server.terminate()
            server.wait()
    in_order = codes == [0] * chosen.times
    print(f"{chosen.times} stops at {rate:,.0f} requests/s: {shown(counts)}, lost {lost(counts)}")
    print(f"exit codes all 0: {'yes' if in_order else codes}; a stop took {statistics.median(seconds):.2f} s")
    return int(lost(counts) > 0 or not in_order)


if __name__ == "__main__":
    sys.exit(main())
