"""Mixed requests at full speed, 5 % of them bad: the worker lives, and does not grow.

    python benchmarks/faults/soak.py                     100,000 requests; 3 minutes on two idle cores
    python benchmarks/faults/soak.py --requests 5000     15 seconds

The model takes a photo, a text, a number, a boolean and a label. Good requests come in every form that the worker
reads; bad ones are of every kind that it refuses and that passes TorchServe's own limits, as many of each, and one in
2,000 is as long as TorchServe lets through. 16 clients
ask again as soon as they are answered. Prints the worker's resident memory over time, and the counts by status. Exits
with 1 on any status but 200 and 4xx, if the worker's process changed, or if it grew by more than 10 MB from the middle
to the end.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections import Counter
from pathlib import Path

import psutil
from fuzz import Context, ask, make
from fuzz_requests import FORM, Request, Requests

import maas
from maas.serving import Handler, Server
from maas.serving._load import Body, measure

MODEL = "mixed"
BAD_SHARE = 0.05
BODIES = 2_000
CLIENTS = 16
DRAWN = 4_000
MOST_GROWTH = 10e6
LARGE_BYTES = 6_500_000
WINDOW_SECONDS = 2.0


def body_of(request: Request) -> Body:
    """As it goes over HTTP."""
    if request.headers.get("Content-Type") != FORM:
        return Body(b"".join(request.parts.values()), request.headers)
    parts = [
        f'--fuzz\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + part + b"\r\n"
        for name, part in request.parts.items()
    ]
    return Body(b"".join(parts) + b"--fuzz--\r\n", request.headers)


def bad_requests(handler: Handler, context: Context, requests: Requests, drawn: int) -> dict[str, list[Request]]:
    """Refused ones among those drawn, by the kind of their refusal, as the handler in this process says it."""
    found: dict[str, list[Request]] = {}
    many = json.dumps({"instances": [{}] * 10_001}).encode()
    tried = [Request({"body": many}, {}, good=False), Request({"body": b""}, {}, good=False)]
    tried += [requests.any() for _ in range(drawn)]
    for request in tried:
        # TorchServe reads forms itself, and fails on broken ones before the handler sees them.
        if request.good or FORM in request.headers.values() or "\n" in str(request.headers):
            continue
        ((status, _, body),) = ask(handler, context, [request])
        if status != 200:
            found.setdefault(json.loads(body)["type"].rpartition(":")[2], []).append(request)
    return found


def mixed(artifact: Path, *, drawn: int = DRAWN) -> tuple[list[Body], list[str]]:
    """Bodies, 5 % of them bad, and the kinds of these."""
    context = Context(artifact)
    handler = Handler(context)
    requests = Requests(handler.model.schema, handler.model.preprocess.examples(8), seed=0)
    kinds = bad_requests(handler, context, requests, drawn)
    num_bad = round(BODIES * BAD_SHARE)
    bad = [kinds[kind][place % len(kinds[kind])] for place in range(num_bad) for kind in sorted(kinds)][:num_bad]
    bad[-1] = Request(
        {"body": b"[" + b'{"n": 1},' * (LARGE_BYTES // 9)}, {"Content-Type": "application/json"}, good=False
    )
    return [body_of(one) for one in [*bad, *(requests.good() for _ in range(BODIES - num_bad))]], sorted(kinds)


def soak(server: Server, model: str, bodies: list[Body], wanted: int) -> bool:
    """Send so many; gives whether all was in order."""

    def worker() -> int:
        return int(server.manage(f"/models/{model}")[0]["workers"][0]["pid"])

    before = after = worker()
    counts: Counter[str] = Counter()
    memory: list[tuple[int, int]] = []
    seconds = 0.0
    while counts.total() < wanted and after == before:
        point = measure(
            server, model, bodies, rate=None, seconds=WINDOW_SECONDS, warm_seconds=0, connections=CLIENTS,
            seed=len(memory),
        )  # fmt: skip
        counts.update({outcome: point.count(outcome) for outcome in point.outcomes})
        seconds += point.seconds
        after = worker()
        memory.append((counts.total(), psutil.Process(after).memory_info().rss))
        if len(memory) % 10 == 1:
            print(f"  {memory[-1][0]:>9,} requests  {memory[-1][1] / 1e6:7.1f} MB", flush=True)
    middle = next(rss for total, rss in memory if total >= counts.total() / 2)
    growth = memory[-1][1] - middle
    refused = sum(count for name, count in counts.items() if name.startswith("4"))
    print(f"{counts.total():,} requests, {counts.total() / seconds:,.0f}/s: {dict(sorted(counts.items()))}")
    print(f"refused {refused / counts.total():.2%}; worker {before}, at the end {after}")
    print(
        f"memory {middle / 1e6:.1f} MB in the middle, {memory[-1][1] / 1e6:.1f} MB at the end: {growth / 1e6:+.1f} MB"
    )
    odd = {name for name in counts if name != "200" and not name.startswith("4")}
    return not odd and after == before and growth <= MOST_GROWTH


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000, help="default: %(default)s")
    chosen = parser.parse_args()
    logging.getLogger("maas.serving").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        artifact = make(MODEL, folder)
        maas.package(artifact, store=folder / "store", name=MODEL)
        bodies, kinds = mixed(artifact)
        print(f"{BAD_SHARE:.0%} bad, of {len(kinds)} kinds: {', '.join(kinds)}", flush=True)
        with maas.serve(folder / "store", [MODEL], threads=1) as server:
            return int(not soak(server, MODEL, bodies, chosen.requests))


if __name__ == "__main__":
    sys.exit(main())
