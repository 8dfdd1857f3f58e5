"""Publishers killed over and over lose no version of a registry, and overwrite none.

    python benchmarks/faults/registry.py                                    8 publishers, 200 versions each
    python benchmarks/faults/registry.py --publishers 3 --versions 10 --kills 8

Each publisher pushes artifacts of its own (a small model, whose card says which one it is), half of them under one
name that all push to, half under a name of its own, and notes what `push` gave. Half of the kills come from outside, at
a moment drawn at random; of the others the publisher is its own killer, before or after a call of fsync, link or unlink
within a push, drawn at random too. The next process goes on after the last note, and so pushes again what may or may
not have come through. In the end each noted version must be there and verify, and hold what was pushed; each artifact
must have one version, no more; the index of each name must equal a scan of its records; and the removal of what the
killed have left must leave one artifact for each version. Exits with 1 where that is not so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

import maas
from maas import artifact
from maas.data import from_arrays

CALLS = ("fsync", "link", "unlink")
MOST_SECONDS = 0.2  # that a push takes, roughly
CALLS_A_PUSH = {"fsync": 11, "link": 1, "unlink": 2}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--publishers", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--versions", type=int, default=200, help="of each (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=160, help="at most, in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)  # publishers are forked: threads would not come along
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), given)


def run(folder: Path, given: argparse.Namespace) -> int:
    begun = time.monotonic()
    registry = maas.Registry.create(folder / "registry")
    small_model().save(folder / "template")
    chance = random.Random(given.seed)
    most_ahead = max(1, 2 * given.publishers * given.versions // max(1, given.kills) - 1)
    left, killed = given.kills, 0
    running: dict[int, BaseProcess] = {}
    ends: dict[int, float] = {}
    todo = set(range(given.publishers))
    while todo:
        for publisher in todo - running.keys():
            death = None
            ends.pop(publisher, None)
            if left and left % 2:
                ends[publisher] = time.monotonic() + chance.uniform(0, MOST_SECONDS * most_ahead)
            elif left:
                call = chance.choice(CALLS)
                at = chance.randrange(CALLS_A_PUSH[call]) + CALLS_A_PUSH[call] * chance.randrange(most_ahead)
                death = Death(call, at, after=chance.random() < 0.5)
            left -= left > 0
            arguments = (folder, publisher, given.versions, death)
            running[publisher] = multiprocessing.get_context("fork").Process(target=publish, args=arguments)
            running[publisher].start()
        time.sleep(0.01)
        for publisher, process in list(running.items()):
            if process.exitcode is None:
                if time.monotonic() > ends.get(publisher, math.inf):
                    process.kill()
                continue
            del running[publisher]
            killed += process.exitcode == -signal.SIGKILL
            if process.exitcode == 0:
                todo.discard(publisher)
            elif process.exitcode != -signal.SIGKILL:
                print(f"publisher {publisher} ended with {process.exitcode}")
                return 1
    found = judge(folder, registry, given.publishers, given.versions)
    rows = {
        "publishers": given.publishers,
        "versions each": given.versions,
        "killed": killed,
        "pushes that returned": found["noted"],
        "versions in the registry": found["versions"],
        "left over by the killed, removed": found["removed"],
        "seconds": round(time.monotonic() - begun),
        "lost": found["lost"],
        "overwritten": found["overwritten"],
        "pushed twice": found["twice"],
        "do not verify": found["damaged"],
        "indexes that differ from a scan": found["index"],
    }
    print("\n".join(f"{name}: {count:,}" for name, count in rows.items()))
    wrong = sum(found[name] for name in ("lost", "overwritten", "twice", "damaged", "index"))
    return int(wrong > 0 or found["versions"] != given.publishers * given.versions)


def small_model() -> maas.Model:
    rows = from_arrays(torch.arange(20.0).reshape(10, 2).numpy(), torch.arange(10).numpy() % 2)
    return maas.fit(maas.recipe(maas.nn.MLP, hidden=(2,)), rows, epochs=1, device="cpu", progress=False)


class Death:
    """When a process kills itself.

    Args:
        call: the function of `os`.
        at: of its calls within pushes, counted from 0.
        after: whether it is done by then.
    """

    def __init__(self, call: str, at: int, *, after: bool) -> None:
        self._call, self._at, self._after = call, at, after

    @contextlib.contextmanager
    def near(self) -> Iterator[None]:
        """Within this block calls count."""
        real: Callable[..., Any] = getattr(os, self._call)

        def counted(*arguments: Any, **named: Any) -> Any:
            self._at -= 1
            if self._at < 0 and not self._after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*arguments, **named)
            if self._at < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(os, self._call, counted)
        yield
        setattr(os, self._call, real)


def publish(folder: Path, publisher: int, versions: int, death: Death | None) -> None:
    """Push what is not noted yet, and note each version."""
    notes = folder / f"notes-{publisher}.jsonl"
    template = artifact.read(folder / "template")
    description = {key: value for key, value in template.description.items() if key not in ("format", "weights")}
    registry = maas.Registry(folder / "registry")
    for number in range(len(read_notes(notes)), versions):
        card = {**template.card, "pushed": f"{publisher}-{number}"}
        mine = folder / f"artifact-{publisher}"
        artifact.write(mine, description=description, card=card, example=template.example, tensors=template.tensors)
        with death.near() if death else contextlib.nullcontext():
            found = registry.push(mine, "shared" if number % 2 else f"own-{publisher}")
        with open(notes, "a") as file:
            file.write(json.dumps({"pushed": card["pushed"], **found.to_json()}) + "\n")


def read_notes(file: Path) -> list[dict[str, Any]]:
    """What was noted; a line that a kill cut off is none."""
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def judge(folder: Path, registry: maas.Registry, publishers: int, versions: int) -> dict[str, int]:
    """What is wrong in the registry, before and after what is left over is removed."""
    noted = [note for publisher in range(publishers) for note in read_notes(folder / f"notes-{publisher}.jsonl")]
    names = sorted({note["name"] for note in noted})
    index = 0
    for name in names:
        file = registry.path / "models" / name / "index.json"
        index += not file.exists() or json.loads(file.read_text()) != registry.scan(name)
    removed = len(registry.collect(older_than_seconds=0))
    there = {(one.name, one.version): one for one in registry.list()}
    cards: Counter[str] = Counter()
    lost = overwritten = damaged = 0
    for one in there.values():
        try:
            registry.verify(one.name, one.version)
            cards[registry.read(one.name, one.version).card["pushed"]] += 1
        except maas.MaasError as error:
            print(error)
            damaged += 1
    for note in noted:
        found = there.get((note["name"], note["version"]))
        lost += found is None
        overwritten += found is not None and (found.digest, found.created) != (note["digest"], note["created"])
    left = len(list((registry.path / "artifacts").iterdir()))
    return {
        "noted": len({note["pushed"] for note in noted}),
        "versions": len(there),
        "removed": removed,
        "lost": lost + publishers * versions - len(cards),
        "overwritten": overwritten,
        "twice": sum(count - 1 for count in cards.values()) + left - len(there),
        "damaged": damaged,
        "index": index,
    }


if __name__ == "__main__":
    sys.exit(main())
