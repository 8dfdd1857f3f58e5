"""Requests of every kind, valid and spoiled: each gets one answer, the neighbours theirs, and the worker lives.

    python benchmarks/faults/fuzz.py --in-process 100000              through the handler, batch by batch
    python benchmarks/faults/fuzz.py --http 5000 --model table        through a TorchServe that it starts

In process, each answer of a batch is held against the one to the same request alone: an error's body to the byte, an
answer's labels exactly and its numbers within 1e-5. An answer must be in the form that it says it is, finite, and a
problem document complete; nothing may come out of `handle` but answers, and no request may cause a 500. Over HTTP the
worker must have the same process id at the end. Prints how many got which status and kind; exits with 1 on a fault.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import itertools
import json
import logging
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
from fuzz_requests import FORM, Request, Requests

import maas
from maas.serving import Handler
from maas.serving.protocols import KINDS, PROBLEM_JSON
from maas.serving.protocols._npy import read_npy

MODELS = ("table", "mixed", "photo", "steps")


def make(name: str, folder: Path) -> Path:
    """A small model: numbers alone; a photo, a text, a number, a boolean and a label; a photo; a sequence."""
    random = np.random.default_rng(0)
    if name == "steps":
        series = [random.normal(size=(3 + index % 4, 2)) for index in range(60)]
        train = maas.data.read_sequences(series, target=["no", "yes", "perhaps"] * 20)
        recipe = maas.recipe(maas.nn.RNN, hidden_size=4)
    else:
        from PIL import Image

        lines = [{"table": "a,b,c,y", "mixed": "photo,note,size,new,colour,y", "photo": "photo,y"}[name]]
        for index in range(60):
            Image.fromarray(random.integers(0, 255, (8, 8), np.uint8)).save(folder / f"{index}.png")
            y = ["no", "yes", "perhaps"][index % 3]
            numbers = [repr(float(one)) for one in random.normal(size=3)]
            cells = {"table": numbers, "photo": [f"{index}.png"]}.get(name) or [
                f"{index}.png",
                "a good day" if index % 2 else "a bad day",
                "" if index % 7 == 0 else numbers[0],
                str(index % 4 < 2),
                "red" if index % 3 else "blue",
            ]
            lines.append(",".join([*cells, y]))
        (folder / "rows.csv").write_text("\n".join(lines) + "\n")
        types = {"photo": "image", "note": "text"}
        train = maas.data.read_table(
            folder / "rows.csv", target="y", types={key: types[key] for key in types if key in lines[0].split(",")}
        )
        recipe = {"table": maas.recipe(maas.nn.MLP, hidden=(4,)), "mixed": maas.recipe(maas.nn.Fusion, width=4)}.get(
            name, maas.recipe(maas.nn.CNN, filters=(4,))
        )
    model = maas.fit(recipe, train, epochs=1, device="cpu", progress=False)
    return model.save(folder / name)


class Context:
    """As TorchServe's, as far as the handler uses it."""

    def __init__(self, model_dir: Path) -> None:
        self.system_properties = {"model_dir": str(model_dir), "gpu_id": None, "batch_size": 8}
        self.manifest = {"model": {"modelName": "fuzzed", "modelVersion": "1.0"}}
        self.model_yaml_config: dict[str, Any] = {}
        self.requests: list[Request] = []
        self.status: dict[int, tuple[int, str]] = {}
        self.headers: dict[int, dict[str, str]] = {}

    def get_all_request_header(self, idx: int) -> dict[str, Any]:
        return {**{name: {"content-type": ""} for name in self.requests[idx].parts}, **self.requests[idx].headers}

    def set_response_status(self, code: int, phrase: str, idx: int) -> None:
        self.status[idx] = (code, phrase)

    def set_response_content_type(self, idx: int, value: str) -> None:
        self.set_response_header(idx, "content-type", value)

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        self.headers.setdefault(idx, {})[key] = value


def ask(handler: Handler, context: Context, requests: list[Request]) -> list[tuple[int, dict[str, str], bytes]]:
    context.requests, context.status, context.headers = requests, {}, {}
    parts = [{name: bytearray(part) for name, part in one.parts.items()} for one in requests]
    answers = handler.handle(parts, context)
    if len(answers) != len(requests) or not all(type(one) is bytes for one in answers):
        raise ValueError(f"{len(requests)} requests got {len(answers)} answers")
    for _, phrase in context.status.values():
        phrase.encode("ascii")
    return [
        (context.status.get(place, (200, ""))[0], context.headers.get(place, {}), body)
        for place, body in enumerate(answers)
    ]


def parsed(status: int, headers: dict[str, str], body: bytes) -> tuple[str, Any]:
    """Kind and content of an answer. Raises ValueError for one that is not what it says it is."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} in an answer")

    media = headers["content-type"].partition(";")[0]
    if status != 200:
        problem = json.loads(body)
        kind = problem["type"].removeprefix("urn:maas:problem:")
        if media != PROBLEM_JSON or KINDS[kind][0] != status or problem["status"] != status:
            raise ValueError(f"a problem document that disagrees with its status {status}: {body[:200]!r}")
        if not {"title", "detail", "field", "row"} <= problem.keys():
            raise ValueError(f"a problem document without all of its members: {body[:200]!r}")
        if status == 500:
            raise ValueError(f"a request caused an internal error: {body[:200]!r}")
        # The answers to a bad row's neighbours within its request are numbers of a pass: equal within 1e-5.
        return kind, problem if "predictions" in problem else body
    if media == "application/x-npy":
        array = read_npy(body)
        if not np.isfinite(array).all():
            raise ValueError("an answer that is not finite")
        return "npy", array.tolist()
    if media == "application/octet-stream":
        lower = {name.lower(): value for name, value in headers.items()}
        length = int(lower["inference-header-content-length"])
        document = json.loads(body[:length], parse_constant=refuse)
        sizes = [one["parameters"]["binary_data_size"] for one in document["outputs"]]
        if sum(sizes) != len(body) - length:
            raise ValueError("bytes of tensors that do not add up")
        return "v2 binary", len(body)
    return "json", json.loads(body, parse_constant=refuse)


def agree(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(agree(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(agree, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-5)
    return type(one) is type(other) and bool(one == other)


def in_process(count: int, seed: int, folder: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    for name in MODELS:
        (folder / name).mkdir()
        context = Context(make(name, folder / name))
        handler = Handler(context)
        torch.set_num_threads(1)
        requests = Requests(handler.model.schema, handler.model.preprocess.examples(4), seed)
        left = count // len(MODELS)
        while left > 0:
            batch = [requests.any() for _ in range(requests.random.randrange(8))]
            batch.insert(requests.random.randrange(len(batch) + 1), requests.good())
            left -= len(batch)
            for request, (status, headers, body) in zip(batch, ask(handler, context, batch), strict=True):
                ((alone_status, alone_headers, alone),) = ask(handler, context, [request])
                try:
                    kind, content = parsed(status, headers, body)
                    _, wanted = parsed(alone_status, alone_headers, alone)
                    if status != alone_status or not agree(content, wanted):
                        raise ValueError(f"answered {status} {body[:200]!r}, alone {alone_status} {alone[:200]!r}")
                    if request.good and status != 200:
                        raise ValueError(f"a valid request is refused: {body[:300]!r}")
                except Exception as error:
                    raise SystemExit(f"FAULT {name}: {error}\n{request}") from error
                counts[f"{status} {kind}"] += 1
    return counts


def over_http(count: int, seed: int, name: str, folder: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    artifact = make(name, folder)
    maas.package(artifact, store=folder / "store", name=name, batch_size=8, max_batch_delay_ms=5)
    model = maas.load(artifact)
    requests = Requests(model.schema, model.preprocess.examples(4), seed)
    with maas.serve(folder / "store", [name]) as server:

        def worker() -> list[int]:
            return [one["pid"] for one in server.manage(f"/models/{name}")[0]["workers"]]

        before = worker()
        http = httpx.Client(
            base_url=server.url, headers={"Authorization": f"Bearer {server.token()}"}, timeout=60, trust_env=False
        )

        def post(request: Request) -> str:
            headers, sent = dict(request.headers), request.parts
            if headers.get("Content-Type") == FORM:
                headers.pop("Content-Type")
                files = {key: (None, part) for key, part in sent.items()}
                answer = http.post(f"/predictions/{name}", files=files, headers=headers)
            else:
                v2 = b'"inputs"' in sent.get("body", b"")
                path = f"/v2/models/{name}/infer" if v2 else f"/predictions/{name}"
                answer = http.post(path, content=b"".join(sent.values()), headers=headers)
            kind, _ = parsed(answer.status_code, dict(answer.headers), answer.content)
            if request.good and answer.status_code != 200:
                raise ValueError(f"a valid request is refused: {answer.content[:300]!r}")
            return f"{answer.status_code} {kind}"

        # TorchServe reads forms itself, and fails on broken ones before the handler sees them.
        drawn = (requests.any() if place % 4 else requests.good() for place in itertools.count())
        drawn = itertools.islice((one for one in drawn if one.good or one.headers.get("Content-Type") != FORM), count)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for request, done in [(one, pool.submit(post, one)) for one in drawn]:
                try:
                    counts[done.result()] += 1
                except Exception as error:
                    raise SystemExit(f"FAULT: {type(error).__name__} {error}\n{request}") from error
        if worker() != before:
            raise SystemExit(f"FAULT: the worker {before} is now {worker()}")
        print(f"the worker is still process {before[0]}")
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in-process", type=int, metavar="N", help="requests through the handler, all models in turn")
    parser.add_argument("--http", type=int, metavar="N", help="requests through TorchServe")
    parser.add_argument("--model", default="table", choices=MODELS, help="for --http (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the generator (default: %(default)s)")
    options = parser.parse_args()
    logging.getLogger("maas.serving").setLevel(logging.ERROR)
    runs: dict[str, Callable[[Path], Counter[str]]] = {}
    if options.in_process:
        runs["in process"] = lambda folder: in_process(options.in_process, options.seed, folder)
    if options.http:
        runs[f"over HTTP to {options.model}"] = lambda folder: over_http(
            options.http, options.seed, options.model, folder
        )
    if not runs:
        parser.error("say --in-process N or --http N")
    for title, run in runs.items():
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            counts = run(Path(folder))
            print(f"{title}: {sum(counts.values()):,} requests, {time.monotonic() - began:.0f} s, no fault")
            for kind, number in sorted(counts.items()):
                print(f"  {number:>7,}  {kind}")


if __name__ == "__main__":
    main()
