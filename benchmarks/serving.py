"""How fast `maas serve` answers: beside TorchServe's stock handler, LitServe, FastAPI and no server at all, in one run.

    python benchmarks/serving.py                          all of it: half an hour on two cores
    python benchmarks/serving.py --loads row --no-peers   three minutes, and nothing is installed

Every server answers with the same network and the same weights, in one worker, on the same machine as the load, which
is `wrk` (a Debian package of that name) with one thread: connections that each send a request when the last was
answered. All servers of a load run at once, idle but for the one that is asked; a window is some seconds of load on
one of them, and windows go round all of them, so that a busy moment hits all alike; before the next, a server has done
what was still asked of it. The first round is warm-up. Medians over the windows of the others.

"ceiling" is no server: `model.predict` in a process that has the same raw bodies at hand in full batches, reads them
and writes answers as the handler does. Stock is TorchServe's own `image_classifier` for images, else its base handler
with the steps of the model filled in (`servers/stock_rows.py`): with its own logging and with logging as quiet as ours,
without batching for a lone client, and "defaults": without any settings, so without batching and with a worker for each
core. Batch size and delay are the same for all that batch.

"memory" is what all Python processes of a server hold resident, libraries included. "bad" counts answers that are not
200 and requests that were lost, over all windows. Images: the share of 1,000 pictures whose class is that of the model
in process, in float32, is measured through the server.

Peers live in an environment of their own, made on first use, as in `training.py`.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from environment import ROOT, make_peers, versions, where
from processes import python_bytes, settle

PEERS = ("litserve", "fastapi", "uvicorn", "captum", "python-multipart")
WITH_PEERS = ("stock", "stock, defaults", "stock, quiet", "stock, no batches", "litserve", "fastapi")
FOR_IMAGES = ("maas bf16", "maas int8", "maas fused", "maas fused bf16")
ORDER = ("maas", *FOR_IMAGES, *WITH_PEERS, "ceiling")
LOADS = ("images", "row", "rows-json", "rows-npy", "text")
NUM_AGREEING = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loads", nargs="+", choices=LOADS, default=LOADS)
    parser.add_argument("--contenders", nargs="+", choices=ORDER, default=ORDER)
    parser.add_argument("--windows", type=int, default=5, help="measured of each, after one of warm-up")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a window")
    parser.add_argument("--peers", type=Path, default=ROOT / ".benchmarks" / "serving-peers", help="their environment")
    parser.add_argument("--no-peers", action="store_true", help="leave LitServe, FastAPI and stock images out")
    parser.add_argument("--models", type=Path, default=ROOT / ".benchmarks" / "serving", help="where models are kept")
    parser.add_argument("--output", type=Path, help="write the table to this Markdown file too")
    parser.add_argument("--commit", help="what is measured, where this is no repository")
    parser.add_argument("--ceiling", nargs=2, metavar=("LOAD", "SECONDS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ceiling:
        ceiling_loop(options.ceiling[0], float(options.ceiling[1]), options.models)
        return
    if shutil.which("wrk") is None:
        parser.error("the load comes from `wrk`, which is not on the path; on Debian: apt-get install wrk")
    chosen = [name for name in ORDER if name in options.contenders]
    if options.no_peers:
        chosen = [name for name in chosen if name not in ("litserve", "fastapi")]
    python = make_peers(options.peers, PEERS) if {*chosen} & {*WITH_PEERS} and not options.no_peers else sys.executable
    lines: list[str] = []
    notes: list[str] = []
    for name in options.loads:
        for clients, table in measure(name, chosen, Path(python), options, notes):
            lines += table_lines(name, clients, table)
        head = [where(options.commit), versions(Path(python), () if options.no_peers else PEERS[:3])]
        head += [f"{options.windows} windows of {options.seconds:g} s each.", "", *TITLE]
        text = "\n".join([*head, *lines, "", *(f"- {note}" for note in notes)])
        if options.output:
            options.output.write_text(f"# Serving speed\n\n{text.rstrip()}\n")
    print(text.rstrip())


TITLE = [
    "| load | clients | server | requests/s | rows/s | times stock | p50, ms | p99, ms | memory, MB | bad |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
]
Measured = dict[str, list[dict[str, Any]]]


def measure(
    name: str, chosen: list[str], python: Path, options: argparse.Namespace, notes: list[str]
) -> Iterator[tuple[int, Measured]]:
    """For each number of clients the windows of every contender."""
    from serving_servers import CONTENDERS
    from serving_workloads import JSON, LOADS, make

    load = LOADS[name]
    model = make(load.model, options.models)
    rng = np.random.default_rng(1)
    bodies = load.bodies(rng)
    with tempfile.TemporaryDirectory() as folder:
        for_maas, for_peers = (
            write_bodies(Path(folder, who), [pair[at] for pair in bodies], load.media, who)
            for at, who in enumerate(("maas", "peers"))
        )
        running = {}
        try:
            for contender in chosen:
                if contender == "ceiling" or (load.media not in (JSON, "image/jpeg") and contender in WITH_PEERS):
                    continue
                if contender == "stock, no batches" and 1 not in load.clients:
                    continue
                if contender in FOR_IMAGES and load.model != "image":
                    continue
                if options.no_peers and load.model == "image" and contender in WITH_PEERS:
                    continue
                print(f"{name}: starting {contender}", file=sys.stderr)
                server = CONTENDERS[contender](model, load, python)
                try:
                    running[contender] = (server, server.start())
                except BaseException:
                    server.stop()
                    raise
            if load.model == "image":
                notes += [
                    f"{one}: {agreement(target, model):.1%} of {NUM_AGREEING} pictures have the class that the "
                    f"model gives in process in float32."
                    for one, (_, target) in running.items()
                    if one.startswith("maas")
                ]
            for clients in load.clients:
                found: Measured = {}
                for window in range(options.windows + 1):
                    for contender, (_, target) in running.items():
                        if contender == "stock, no batches" and clients != 1:
                            continue
                        listing, media = for_peers if contender in WITH_PEERS else for_maas
                        if contender == "litserve" and load.media == "image/jpeg":
                            listing, media = form_bodies(Path(folder, "form"), bodies)
                        result = wrk(target, listing, media, clients, options.seconds)
                        settle(target.pid)
                        result |= {"rows": result["requests"] * load.rows, "bytes": python_bytes(target.pid)}
                        if window:
                            found.setdefault(contender, []).append(result)
                    if "ceiling" in chosen:
                        result = ceiling(name, options)
                        if window:
                            found.setdefault("ceiling", []).append(result)
                    print(f"{name}, {clients} clients: window {window} of {options.windows}", file=sys.stderr)
                yield clients, found
        finally:
            for server, _ in running.values():
                server.stop()


def wrk(target: Any, listing: Path, media: str, clients: int, seconds: float) -> dict[str, Any]:
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout", "30s", "--latency"]
    command += ["-s", str(Path(__file__).parent / "wrk.lua"), target.url, "--", str(listing), media, target.token]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"wrk failed: {done.stdout}{done.stderr}")
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return found


def write_bodies(folder: Path, bodies: list[bytes], media: str, who: str) -> tuple[Path, str]:
    """A file for each body, and the list of them that wrk reads."""
    folder.mkdir(exist_ok=True)
    for number, body in enumerate(bodies):
        (folder / f"{number}.body").write_bytes(body)
    listing = folder / "list.txt"
    listing.write_text("".join(f"{folder / f'{number}.body'}\n" for number in range(len(bodies))))
    return listing, media


def form_bodies(folder: Path, bodies: list[tuple[bytes, bytes]]) -> tuple[Path, str]:
    """The same images as multipart forms, which LitServe wants."""
    head = (
        b'--edge\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    )
    forms = [head + body + b"\r\n--edge--\r\n" for _, body in bodies]
    return write_bodies(folder, forms, "multipart/form-data; boundary=edge", "form")


def agreement(target: Any, model: Any) -> float:
    """The share of pictures to which the server gives the class that the model gives in process."""
    import httpx
    from serving_workloads import IMAGE_CLASSES, picture

    import maas

    rng = np.random.default_rng(2)
    contents = [picture(int(rng.integers(IMAGE_CLASSES)), rng) for _ in range(NUM_AGREEING)]
    alone = maas.load(model.artifact)
    field = alone.schema.names[0]
    wanted = alone.predict([{field: content} for content in contents])["label"].tolist()
    headers = {"Content-Type": "image/jpeg", "Authorization": f"Bearer {target.token}"}
    with httpx.Client(timeout=60, headers=headers, trust_env=False) as http:
        found = [http.post(target.url, content=content).json()["label"] for content in contents]
    return sum(map(str.__eq__, wanted, found)) / len(wanted)


def ceiling(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """A window of the loop without a server, in a fresh process."""
    command = [sys.executable, __file__, "--models", str(options.models), "--ceiling", name, str(options.seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def ceiling_loop(name: str, seconds: float, models: Path) -> None:
    """Raw bodies in ready batches, read, answered and written as the handler does it; prints what was measured."""
    import orjson
    import psutil
    from serving_workloads import JSON, LOADS, NPY, make

    import maas
    from maas.serving.protocols._npy import read_npy

    load = LOADS[name]
    model = maas.load(make(load.model, models).artifact)
    bodies = [pair[0] for pair in load.bodies(np.random.default_rng(1))]
    field = model.schema.names[0]

    def read(body: bytes) -> Any:
        if load.media == JSON:
            value = orjson.loads(body)
            return value["instances"] if load.rows > 1 else [value]
        return read_npy(body) if load.media == NPY else [{field: body}]

    def turn(start: int) -> None:
        rows = [read(bodies[(start + at) % len(bodies)]) for at in range(load.batch_size)]
        for several in rows if load.rows > 1 else [[row for one in rows for row in one]]:
            answers = model.predict(several).to_dicts()
            if load.rows > 1:
                orjson.dumps({"predictions": answers})
            else:
                [orjson.dumps(answer) for answer in answers]

    for start in range(3):
        turn(start)
    begun, turns, times = time.perf_counter(), 0, []
    while (now := time.perf_counter()) - begun < seconds:
        turn(turns * load.batch_size)
        times.append((time.perf_counter() - now) * 1e3)
        turns += 1
    passed = time.perf_counter() - begun
    requests = turns * load.batch_size
    found = {
        "requests": requests,
        "rows": requests * load.rows,
        "seconds": passed,
        "p50_ms": statistics.median(times),
        "p99_ms": float(np.quantile(times, 0.99)),
        "bytes": psutil.Process().memory_info().rss,
        "bad_status": 0,
        "lost": 0,
    }
    print(json.dumps(found))


def table_lines(name: str, clients: int, found: Measured) -> list[str]:
    def median(of: str, key: str) -> float:
        return statistics.median(one[key] / (one["seconds"] if key in ("requests", "rows") else 1) for one in found[of])

    lines = []
    for contender, windows in found.items():
        stock = f"{median(contender, 'requests') / median('stock', 'requests'):.2f}" if "stock" in found else ""
        bad = sum(one["bad_status"] + one["lost"] for one in windows)
        lines.append(
            f"| {name} | {clients} | {contender} | {median(contender, 'requests'):,.0f} | "
            f"{median(contender, 'rows'):,.0f} | {stock} | {median(contender, 'p50_ms'):.2f} | "
            f"{median(contender, 'p99_ms'):.2f} | {median(contender, 'bytes') / 1e6:,.0f} | {bad} |"
        )
    return lines


if __name__ == "__main__":
    main()
