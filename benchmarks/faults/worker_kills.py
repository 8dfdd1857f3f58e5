"""A worker killed by SIGKILL under load: at most its batch fails, and none for a client that tries again.

    python benchmarks/faults/worker_kills.py              50 kills; 5 minutes on two cores
    python benchmarks/faults/worker_kills.py --times 2    25 seconds

Half of the threads ask by plain HTTP and see failures, half through `maas.Client`, which tries again. After each kill:
the failures seen (a batch holds at most 16 requests; what waits in the queue is answered late), and the seconds until a
request is answered again, which must be at most 3 and the time that a process takes to load the model beside the same
load. Exits with 1 if that does not hold.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from load import bare, load, lost, options, shown, stored_wine, trying

import maas

BATCH = 16
ALLOWED_SECONDS = 3.0


def main() -> int:
    chosen = options(__doc__ or "", times=50)
    failures, seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        row = stored_wine(Path(folder), ("1.0",))
        loading = [
            sys.executable,
            "-c",
            f"import maas.serving; maas.serving.Handler; maas.load({folder + '/artifact'!r})",
        ]
        with maas.serve(Path(folder) / "store", ["wine"], batch_size=BATCH) as server:
            url, token = server.url, server.token()
            with maas.Client("wine", url=url, token=token, retries=1000, timeout=60) as client:
                plain = load([bare(url, token, row, hung_seconds=60) for _ in range(chosen.clients // 2)])
                again = load([trying(client, row)] * (chosen.clients - chosen.clients // 2))
                with plain as seen, again as retried:
                    begun = time.monotonic()
                    subprocess.run(loading, check=True)
                    load_seconds = time.monotonic() - begun
                    for _ in range(chosen.times):
                        before = lost(seen)
                        begun = time.monotonic()
                        os.kill(server.manage("/models/wine")[0]["workers"][0]["pid"], signal.SIGKILL)
                        time.sleep(0.1)
                        answered = seen["answered by 1.0"]
                        while seen["answered by 1.0"] == answered and time.monotonic() - begun < 60:
                            time.sleep(0.02)
                        seconds.append(time.monotonic() - begun)
                        time.sleep(1)
                        failures.append(lost(seen) - before)
    allowed = ALLOWED_SECONDS + load_seconds
    print(f"{chosen.times} kills; plain HTTP: {shown(seen)}; maas.Client: {shown(retried)}")
    print(f"failed by plain HTTP a kill: {max(failures)} at most; by maas.Client: {lost(retried)} in all")
    print(
        f"answering again after {statistics.median(seconds):.1f} s, {max(seconds):.1f} at most; allowed {allowed:.1f}, "
        f"of which {load_seconds:.1f} to load the model"
    )
    return int(max(failures) > BATCH or lost(retried) > 0 or max(seconds) > allowed)


if __name__ == "__main__":
    sys.exit(main())
