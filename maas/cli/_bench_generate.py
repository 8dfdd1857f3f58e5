"""The command bench-generate: how fast a served model generates text."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections import Counter
from typing import Any

from maas.cli._call import client_options
from maas.cli._print import print_json, tell
from maas.client import AsyncClient
from maas.errors import DataError
from maas.serving._generate_load import GenerateLoad, prompts_of, stream_load

_PROMPTS = 64
_HEAD = ("clients", "answers", "tokens/s", "a client", "first p50", "p99, ms", "gap p50", "p99, ms", "errors")
_KEYS = ("first_p50_ms", "first_p99_ms", "gap_p50_ms", "gap_p99_ms")


def bench_generate(options: Namespace) -> bool:
    if min(options.prompt_tokens, options.max_tokens) < 1 or options.seconds <= 0:
        raise DataError(
            f"--prompt-tokens, --max-tokens and --seconds must be above 0, got {options.prompt_tokens}, "
            f"{options.max_tokens} and {options.seconds:g}"
        )
    loads = asyncio.run(_measure(options))
    print_json(options, {"model": options.model, "loads": [load.to_json() for load in loads]})
    for message, count in sum((load.errors for load in loads), start=Counter[str]()).items():
        tell(options, f"{count} times: {message}")
    return any(load.errors for load in loads)


async def _measure(options: Namespace) -> list[GenerateLoad]:
    async with AsyncClient(options.model, retries=0, **client_options(options)) as client:
        prompts = await prompts_of(client, options.prompt_tokens, _PROMPTS)

        def row(number: int) -> dict[str, Any]:
            return {"prompt": prompts[number % len(prompts)], "max_tokens": options.max_tokens}

        tell(options, _line(_HEAD))
        loads = []
        for clients in options.clients:
            loads.append(await stream_load(client, row, clients=clients, seconds=options.seconds))
            tell(options, _row(loads[-1]))
        return loads


def _row(load: GenerateLoad) -> str:
    said = load.to_json()
    times = ["-" if said[key] is None else f"{said[key]:,.1f}" for key in _KEYS]
    rates = [f"{said['tokens_per_second']:,.1f}", f"{said['tokens_per_second_a_client']:,.1f}"]
    return _line([str(load.clients), str(load.requests), *rates, *times, str(load.errors.total())])


def _line(cells: Any) -> str:
    return " ".join(f"{cell:>10}" for cell in cells)
