"""Clients that stream at once, and what they measure. It knows no torch."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maas.client import AsyncClient
from maas.errors import ClientError

_WORDS = ("time", "year", "people", "way", "day", "thing", "life", "world", "school", "state", "family", "group")
_TRIES = 4


@dataclass
class GenerateLoad:
    """What clients saw that asked a model as fast as they were answered.

    Args:
        clients: how many.
        seconds: that it took.
        requests: answered whole.
        tokens: that came, those of answers which the end cut off included.
        first: seconds to the first part of each answer.
        gaps: seconds between parts of an answer, which are tokens but where one alone makes no text.
        errors: how often each was met.
    """

    clients: int
    seconds: float = 0.0
    requests: int = 0
    tokens: int = 0
    first: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Rates, and times in milliseconds; null where nothing came."""
        rate = self.tokens / self.seconds if self.seconds else 0.0
        return {
            "clients": self.clients,
            "seconds": self.seconds,
            "requests": self.requests,
            "tokens": self.tokens,
            "tokens_per_second": rate,
            "tokens_per_second_a_client": rate / self.clients,
            "first_p50_ms": _quantile(self.first, 0.5),
            "first_p99_ms": _quantile(self.first, 0.99),
            "gap_p50_ms": _quantile(self.gaps, 0.5),
            "gap_p99_ms": _quantile(self.gaps, 0.99),
            "errors": dict(self.errors),
        }


def _quantile(seconds: Sequence[float], portion: float) -> float | None:
    return float(np.quantile(seconds, portion)) * 1e3 if seconds else None


async def stream_load(
    client: AsyncClient, row: Callable[[int], dict[str, Any]], *, clients: int, seconds: float
) -> GenerateLoad:
    """Let clients stream one answer after the other; what is under way at the end is cut off.

    Args:
        client: whose connections they use; without retries, or errors are not seen.
        row: what the n-th request asks.
        clients: how many.
        seconds: how long.
    """
    load = GenerateLoad(clients)
    numbers = iter(range(1 << 62))
    begun = time.perf_counter()

    async def ask_on() -> None:
        while True:
            try:
                await _answer(client, row(next(numbers)), load)
            except ClientError as error:
                load.errors[str(error)] += 1
                await asyncio.sleep(0.01)  # a server that refuses at once is not to be flooded

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(ask_on())
    load.seconds = time.perf_counter() - begun
    return load


async def _answer(client: AsyncClient, row: dict[str, Any], load: GenerateLoad) -> None:
    asked = last = time.perf_counter()
    parts = 0
    async with contextlib.aclosing(client.stream(row)) as stream:
        async for part in stream:
            now = time.perf_counter()
            if parts:
                load.gaps.append(now - last)
            else:
                load.first.append(now - asked)
            last, parts = now, parts + 1
            load.tokens += 1
            if part["finish_reason"] is not None:
                load.requests += 1
                load.tokens += part["completion_tokens"] - parts


async def prompts_of(client: AsyncClient, tokens: int, count: int) -> list[str]:
    """Prompts of about so many tokens; the model says how many a text has.

    Raises:
        ClientError: the model does not answer.
    """
    words = tokens
    for _ in range(_TRIES):
        answer = await client.predict({"prompt": _text(words, 0), "max_tokens": 1})
        found = int(answer["prompt_tokens"])
        if abs(found - tokens) <= max(1, tokens // 50) or words == 1:
            break
        words = max(1, round(words * tokens / found))
    return [_text(words, seed) for seed in range(count)]


def _text(words: int, seed: int) -> str:
    return " ".join(random.Random(seed).choices(_WORDS, k=words))
