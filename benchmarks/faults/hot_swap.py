"""Versions of a model swapped under load: no request fails, none hangs.

    python benchmarks/faults/hot_swap.py              20 swaps; 2 minutes on two cores
    python benchmarks/faults/hot_swap.py --times 3    25 seconds

Four threads ask over plain HTTP, without pause and without trying again, while `Server.deploy` puts version 2.0 in the
place of 1.0 and back, over and over. Failed: any answer but 200; hung: none within 5 s. Exits with 1 if there is one.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from load import bare, load, lost, options, shown, stored_wine

import maas

VERSIONS = ("1.0", "2.0")


def main() -> int:
    chosen = options(__doc__ or "", times=20)
    with tempfile.TemporaryDirectory() as folder:
        row = stored_wine(Path(folder), VERSIONS)
        store = Path(folder) / "store"
        with maas.serve(store, ["wine@1.0"]) as server:
            seconds = []
            with load([bare(server.url, server.token(), row) for _ in range(chosen.clients)]) as counts:
                for swap in range(1, chosen.times + 1):
                    begun = time.monotonic()
                    server.deploy("wine", VERSIONS[swap % 2], store=store)
                    seconds.append(time.monotonic() - begun)
                time.sleep(0.5)
    failed = lost(counts)
    print(f"{chosen.times} swaps, {sum(counts.values()):,} requests: {shown(counts)}")
    print(f"failed {failed - counts['hung']}, hung {counts['hung']}; a swap took {statistics.median(seconds):.1f} s")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
