"""A load on one served model, and what came back: shared by the commands beside it.

Each thread asks for the same row over a connection of its own, without pause or at a rate. An outcome is a word:
"answered by 2.0", "503 with Retry-After", "reset", "hung" (no answer within 5 s), "500".
"""

from __future__ import annotations

import argparse
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

import maas
from maas.data import read_table, write_sample
from maas.errors import RequestRefused, ServerUnavailable

HUNG_SECONDS = 5.0


def options(text: str, times: int) -> argparse.Namespace:
    """What the commands beside this file take."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=times, help="default: %(default)s")
    parser.add_argument("--clients", type=int, default=4, help="threads of the load (default: %(default)s)")
    return parser.parse_args()


def stored_wine(folder: Path, versions: tuple[str, ...]) -> dict[str, Any]:
    """Put versions of a small model of the wine table into `folder / "store"`; gives a row of it."""
    table = read_table(write_sample("wine", folder / "wine.csv"), target="cultivar")
    recipe = maas.recipe(maas.nn.MLP, hidden=(16,))
    for epochs, version in enumerate(versions, 3):
        model = maas.fit(recipe, table, epochs=epochs, device="cpu", progress=False)
        maas.package(model.save(folder / "artifact"), store=folder / "store", name="wine", version=version)
    row: dict[str, Any] = model.preprocess.examples(1)[0]
    return row


def bare(url: str, token: str, row: dict[str, Any], *, hung_seconds: float = HUNG_SECONDS) -> Callable[[], str]:
    """Asks once, by plain HTTP. Give each thread its own."""
    headers = {"Authorization": f"Bearer {token}"}
    http = httpx.Client(base_url=url, headers=headers, timeout=hung_seconds, trust_env=False)

    def ask() -> str:
        try:
            answer = http.post("/predictions/wine", json=row)
        except httpx.TimeoutException:
            return "hung"
        except httpx.HTTPError:
            return "reset"
        if answer.status_code == 200:
            return f"answered by {answer.json()['model']['version']}"
        return f"{answer.status_code}{' with Retry-After' if 'Retry-After' in answer.headers else ''}"

    return ask


def trying(client: maas.Client, row: dict[str, Any]) -> Callable[[], str]:
    """Asks through maas.Client, which tries again. One serves all threads."""

    def ask() -> str:
        try:
            return f"answered by {client.predict(row).model['version']}"
        except RequestRefused as refused:
            return f"refused {refused.status}"
        except ServerUnavailable:
            return "lost"

    return ask


@contextlib.contextmanager
def load(asks: list[Callable[[], str]], *, rate: float | None = None) -> Iterator[Counter[str]]:
    """Run a thread for each of `asks` as long as the block lasts; the counts are whole when it has ended.

    Args:
        asks: what a thread does over and over; gives the outcome.
        rate: requests a second of all threads together; None: as many as can be.
    """
    counts: Counter[str] = Counter()
    over, lock = threading.Event(), threading.Lock()
    every = len(asks) / rate if rate else 0.0

    def run(place: int, ask: Callable[[], str]) -> None:
        due = time.monotonic() + every * place / len(asks)
        while not over.is_set():
            if rate and over.wait(max(0.0, due - time.monotonic())):
                return
            due = max(due + every, time.monotonic() - every)  # what could not be sent in time is not caught up with
            outcome = ask()
            with lock:
                counts[outcome] += 1

    threads = [threading.Thread(target=run, args=one) for one in enumerate(asks)]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        over.set()
        for thread in threads:
            thread.join()


def shown(counts: Counter[str]) -> str:
    """One line."""
    return ", ".join(f"{counts[name]:,} {name}" for name in sorted(counts))


def lost(counts: Counter[str]) -> int:
    """Neither answered nor told to come back later."""
    return sum(
        count for name, count in counts.items() if not name.startswith("answered") and name != "503 with Retry-After"
    )
