"""What the front costs: the same small model asked directly, and through Caddy, in turn, by plain wrk.

    python benchmarks/front_cost.py    about two minutes on two cores

One instance behind the front is asked over its own address, with its own token; then the same row is asked of the
front, with all slots on that instance: the same TorchServe, the same batches. Medians of five windows of 4 s.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "faults"))

from load import stored_wine
from wrk import Load, wrk

from maas.serving.front import serve_front
from maas.serving.front._slots import Slots, spread

WINDOWS = 5
SECONDS = 4
CLIENTS = (1, 16, 32)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        row = stored_wine(folder, ("1.0",))
        with serve_front(folder / "store", ["wine"]) as front:
            one, other = front.instances
            Slots(front.folder).point(spread([one.port], {}))
            other.server.stop()
            paths = {
                "direct": (one.server.url, one.server.token()),
                "front": (front.url, front.keys_file.read_text().strip()),
            }

            def ask(path: str, clients: int) -> Load:
                url, key = paths[path]
                with wrk(folder, f"{url}/predictions/wine", key, row, clients=clients, seconds=SECONDS) as load:
                    pass
                return load

            print("| clients | path | requests/s | p50 ms | p99 ms | errors |\n| --- | --- | --- | --- | --- | --- |")
            for clients in CLIENTS:
                runs: dict[str, list[Load]] = {path: [] for path in paths}
                for path in paths:
                    ask(path, clients)
                for _ in range(WINDOWS):
                    for path in paths:
                        runs[path].append(ask(path, clients))
                for path, loads in runs.items():
                    rate, p50, p99 = (
                        statistics.median(getattr(load, what) for load in loads)
                        for what in ("rate", "p50_ms", "p99_ms")
                    )
                    errors = sum(load.errors for load in loads)
                    print(f"| {clients} | {path} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {errors} |")


if __name__ == "__main__":
    main()
