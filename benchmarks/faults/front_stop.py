"""One of two instances behind the front stopped and started again, under plain wrk: no request is lost.

    python benchmarks/faults/front_stop.py              20 stops; 4 minutes on two cores
    python benchmarks/faults/front_stop.py --times 2    about 40 seconds

Each time the other one is taken out, drained, stopped, started again and put back. wrk is one process with `--clients`
connections; it tries nothing again. Exits with 1 if it counted an error.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from load import options, stored_wine
from wrk import wrk

from maas.serving.front import serve_front


def main() -> int:
    chosen = options(__doc__ or "", times=20)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        row = stored_wine(folder, ("1.0",))
        with serve_front(folder / "store", ["wine"]) as front:
            url, key = f"{front.url}/predictions/wine", front.keys_file.read_text().strip()
            took = []
            with wrk(folder, url, key, row, clients=chosen.clients) as load:
                for number in range(chosen.times):
                    time.sleep(0.5)
                    begun = time.monotonic()
                    front.restart(number % 2)
                    took.append(time.monotonic() - begun)
                time.sleep(0.5)
    print(f"{len(took)} stops, {statistics.median(took):.1f} s from draining to being back; {load.requests:,} requests")
    print(f"plain wrk, {chosen.clients} connections: {load}")
    return int(load.errors > 0)


if __name__ == "__main__":
    sys.exit(main())
