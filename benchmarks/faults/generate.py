"""Requests for text of every kind, many at a time, for rounds: each is answered, and the worker neither dies nor grows.

    python benchmarks/faults/generate.py                                  a tiny model, made here; about a minute
    python benchmarks/faults/generate.py --artifact artifacts/tales       any other; large ones take longer

A round is 300 requests from 12 clients: good ones whole and as streams, of one token, by OpenAI's API, many rows in
one, too long ones, bad ones of several kinds, and streams that the client cuts off, some before the first part. Each
must be answered with the status that it wants; none with 5xx. After each round it prints what was answered, the
worker's process id and its memory. At the end no request may be live; the process must be the first one, and its
memory after the last round at most 3% above that after the first. Exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import functools
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

import maas
from maas.client import IDENTITY
from maas.serving import Server

EVENTS = {"Accept": "text/event-stream"}
JSON = {"Content-Type": "application/json"}
CHAT, TEXT = "/1.0/v1/chat/completions", "/1.0/v1/completions"
CLIENTS, REQUESTS, MOST_GROWTH = 12, 300, 1.03
KINDS: dict[str, tuple[Any, str, dict[str, str], tuple[int, ...]]] = {
    "good": ({"prompt": "the cat", "max_tokens": 24}, "", {}, (200,)),
    "drawn": ({"prompt": "the cat", "max_tokens": 24, "temperature": 1, "logprobs": 3}, "", {}, (200,)),
    "stream": ({"prompt": "the dog", "max_tokens": 24}, "", EVENTS, (200,)),
    "one token": ({"prompt": "a", "max_tokens": 1}, "", {}, (200,)),
    "rows": ({"instances": [{"prompt": "the fish", "max_tokens": 6}] * 10}, "", {}, (200,)),
    "scored": ({"prompt": "the cat sees the dog", "max_tokens": 0, "echo": True}, "", {}, (200,)),
    "completion": ({"prompt": ["the", "a"], "max_tokens": 8, "stream": True}, TEXT, {}, (200,)),
    "chat": ({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}, CHAT, {}, (200, 422)),  # no template
    "cut off": ({"prompt": "the", "max_tokens": 60, "temperature": 3}, "", EVENTS, (200,)),
    "cut off at once": ({"prompt": "the", "max_tokens": 60, "temperature": 3}, "", {}, (0,)),
    "too long": ({"prompt": "the cat " * 30_000, "max_tokens": 1}, "", {}, (422,)),
    "too many tokens": ({"prompt": "the cat", "max_tokens": 1 << 19}, "", EVENTS, (422,)),
    "not JSON": (b"{", "", {}, (400,)),
    "no body": (b"", CHAT, {}, (400,)),
    "a bad option": ({"prompt": "a", "temperature": "hot"}, TEXT, {}, (422,)),
    "not supported": ({"prompt": "a", "n": 3}, TEXT, {}, (400,)),
    "no such route": ({"prompt": "a"}, "/1.0/v1/images", {}, (404,)),
}


def make(folder: Path) -> Path:
    """A tiny model of a few sentences."""
    nouns = ("cat", "dog", "bird", "fish")
    texts = [f"the {one} sees the {other} and the {other} likes a {one}." for one in nouns for other in nouns]
    model = maas.fit(
        maas.recipe(maas.nn.CausalTransformer, width=32, num_layers=2, num_heads=2),
        maas.data.read_corpus(texts),
        preprocess=maas.preprocess.Prompt.with_options(vocabulary=280, context=128),
        epochs=5,
        device="cpu",
        progress=False,
    )
    return model.save(folder / "tiny")


def ask(server: Server, name: str, kind: str) -> str:
    """Send a request of a kind; gives what is wrong with its answer, nothing as a rule."""
    body, path, headers, wanted = KINDS[kind]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {**JSON, **headers, "Authorization": f"Bearer {server.token()}"}
    timeout = 0.15 if kind == "cut off at once" else 300
    with httpx.Client(base_url=server.url, timeout=timeout, trust_env=False) as client:
        try:
            with client.stream("POST", f"/predictions/{name}{path}", content=content, headers=headers) as answer:
                if kind == "cut off" and answer.status_code == 200:
                    next(answer.iter_lines(), None)
                    return ""
                text = answer.read().decode()
        except httpx.TimeoutException:
            return "" if kind == "cut off at once" else "no answer in time"
        except httpx.HTTPError as error:
            return repr(error)
    if kind == "cut off at once":  # it was answered sooner
        return "" if answer.status_code == 200 else f"{answer.status_code} {text[:200]}"
    if answer.status_code not in wanted:
        return f"{answer.status_code} {text[:200]}"
    if "event: error" in text or (answer.status_code == 200 and '"error"' in text):
        return text[-300:]
    return ""


def state(server: Server, name: str) -> tuple[int, float]:
    """Process id and memory, in MB, of the only worker."""
    (model,) = server.status()["models"]
    (worker,) = model["workers"]
    return int(worker["pid"]), worker["memory_bytes"] / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifact", type=Path, help="of a model that generates text")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=REQUESTS, help="in a round")
    options = parser.parse_args()
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        maas.package(options.artifact or make(folder), store=folder / "store", name="texts")
        with maas.serve(folder / "store", timeout=300) as server:
            states = [state(server, "texts")]
            print(f"before: worker {states[0][0]}, {states[0][1]:,.0f} MB", flush=True)
            for turn in range(options.rounds):
                kinds = [list(KINDS)[place % len(KINDS)] for place in range(options.requests)]
                random.Random(turn).shuffle(kinds)
                begun = time.monotonic()
                with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
                    wrong = list(pool.map(functools.partial(ask, server, "texts"), kinds))
                faults += [f"round {turn + 1}, {kind}: {why}" for kind, why in zip(kinds, wrong, strict=True) if why]
                if not server.wait_idle(60):
                    faults.append(f"round {turn + 1}: requests are live still")
                states.append(state(server, "texts"))
                answered = sum(not one for one in wrong)
                seconds = time.monotonic() - begun
                told = f"round {turn + 1}: {answered} of {len(kinds)} answered as wanted in {seconds:.0f} s; worker"
                print(told, f"{states[-1][0]}, {states[-1][1]:,.0f} MB", flush=True)
            headers = {"Accept": IDENTITY, "Authorization": f"Bearer {server.token()}"}
            said = httpx.get(f"{server.url}/predictions/texts", headers=headers, trust_env=False).json()
            if said["live"]:
                faults.append(f"{said['live']} requests are live at the end")
    if len({pid for pid, _ in states}) != 1:
        faults.append("the worker is another process than at the beginning")
    if states[-1][1] > states[1][1] * MOST_GROWTH:
        faults.append(f"memory grew from {states[1][1]:,.0f} MB after the first round to {states[-1][1]:,.0f} MB")
    for fault in faults[:20]:
        print(fault)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
