"""Twice the load that a server can take: it goes on answering as many as it can, and refuses the others at once.

    python benchmarks/faults/overload.py                 60 s of overload; 2 minutes on two cores
    python benchmarks/faults/overload.py --seconds 5     30 seconds

Requests come at random moments whatever the server does (an open loop). First the peak is sought: the most answers a
second within the patience of a client, 1 s, over rising rates. Then twice that rate comes. A queue that is too long
fails here: its answers come when nobody waits any more. Exits with 1 if fewer than 90 % of the peak are answered in
time, or if the refusals (503) take 50 ms or longer, in the median or at the 99th percentile.

The model is a network of 13-N-N-3 (--hidden), so large that the answers cost more than the HTTP around them; the load
comes from the same machine. So one core, where there is more than one, is left to the two of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import orjson

import maas
from maas.archive import Deployment
from maas.data import read_table, write_sample
from maas.nn._cores import available_cores
from maas.serving import Server
from maas.serving._load import Body, Measured, measure

PATIENCE_SECONDS = 1.0
LEAST_SHARE = 0.9
MOST_REFUSAL_SECONDS = 0.05
MOST_RATES, STEP = 10, 1.25


def stored(folder: Path, hidden: int, queue: int | None) -> list[Body]:
    """Put the model into `folder / "store"`; gives bodies to send."""
    table = read_table(write_sample("wine", folder / "wine.csv"), target="cultivar")
    recipe = maas.recipe(maas.nn.MLP, hidden=(hidden, hidden))
    model = maas.fit(recipe, table, epochs=1, device="cpu", progress=False)
    (folder / "config.yaml").write_text(Deployment(jobQueueSize=queue).to_yaml())
    maas.package(model.save(folder / "wine"), store=folder / "store", config=folder / "config.yaml")
    return [Body(orjson.dumps(row), {"Content-Type": "application/json"}) for row in model.preprocess.examples(32)]


def told(point: Measured) -> str:
    """One line."""
    outcomes = ", ".join(
        f"{one.count:,} {name} after {one.p50 * 1e3:.1f} ms (p99 {one.p99 * 1e3:.1f} ms)"
        for name, one in point.outcomes.items()
    )
    late = f"; the load itself was late by {point.lag_p99 * 1e3:.1f} ms (p99)"
    return f"{point.rate or 0:7,.0f}/s asked, {point.goodput:7,.0f}/s in time: {outcomes}{late}"


def overload(server: Server, bodies: list[Body], seconds: float) -> bool:
    """Find the peak, then ask for twice of it; gives whether that was borne."""

    def ask(rate: float | None, seconds: float, **how: int) -> Measured:
        return measure(server, "wine", bodies, rate=rate, seconds=seconds, limit=PATIENCE_SECONDS, **how)

    first = ask(None, 3.0, connections=32)
    print(f"32 clients without pause get {first.goodput:,.0f}/s", flush=True)
    peak, rate = first.goodput, LEAST_SHARE * first.goodput
    for _ in range(MOST_RATES):
        point = ask(rate, 4.0)
        peak = max(peak, point.goodput)
        print(f"  {told(point)}", flush=True)
        if point.goodput < LEAST_SHARE * rate:
            break
        rate *= STEP
    point = ask(2 * peak, seconds)
    print(told(point), flush=True)
    refused = point.outcomes.get("503")
    print(f"at twice the peak of {peak:,.0f}/s {point.goodput / peak:.1%} of it are answered in time")
    quick = refused is not None and max(refused.p50, refused.p99) < MOST_REFUSAL_SECONDS
    return quick and point.goodput >= LEAST_SHARE * peak


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of overload (default: %(default)g)")
    parser.add_argument("--hidden", type=int, default=4096, help="size of the network (default: %(default)s)")
    parser.add_argument("--queue", type=int, help="jobQueueSize (default: the archive's, 8 batches)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bodies = stored(Path(name), chosen.hidden, chosen.queue)
        with maas.serve(Path(name) / "store", threads=max(1, available_cores() - 1)) as server:
            borne = overload(server, bodies, chosen.seconds)
    return int(not borne)


if __name__ == "__main__":
    sys.exit(main())
