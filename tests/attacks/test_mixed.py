"""Hostile artifacts of mixed rows: nested recipes and states that are too deep, too large or of nothing known.

Each changes a copy of a good artifact, digests and all; loading it must raise a FormatError soon, without much memory.
"""

from __future__ import annotations

import json
import re
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import maas
from maas.errors import FormatError
from maas.preprocess import Mixed
from maas.schema import Field, Schema
from maas.task import Classification

from .tampering import rehash

Change = Callable[[dict[str, Any]], Any]
MOST_SECONDS = 5.0
MOST_KILOBYTES = 400 * 1024


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A number, a sequence and a text."""
    schema = Schema(
        (
            Field("a", "numeric", "number"),
            Field("note", "text", "string"),
            Field("wave", "sequence", "number", shape=(None, 2)),
        )
    )
    waves = np.empty(4, object)
    waves[:] = [np.full((2 + row, 2), float(row)) for row in range(4)]
    texts = np.array(["one two", "two one", "one", "two"], object)
    mixed = Mixed.learn(schema, {"a": np.arange(4.0), "note": texts, "wave": waves})
    recipe = maas.recipe(maas.nn.Fusion, width=2, hidden=(2,)).resolve(mixed.outputs, 3)
    model = maas.Model(
        recipe.build(), recipe=recipe, schema=schema, preprocess=mixed, task=Classification(("n", "y", "z"))
    )
    folder = model.save(tmp_path_factory.mktemp("mixed") / "good")
    assert maas.load(folder).predict(mixed.examples(2)).to_dicts() == model.predict(mixed.examples(2)).to_dicts()
    return folder


def parts(document: dict[str, Any]) -> Any:
    return document["recipe"]["arguments"]["parts"]


def rnn(**arguments: Any) -> dict[str, Any]:
    return {"kind": "rnn", "arguments": {"channels": 2, "out_features": 2, **arguments}}


def nested(levels: int, inside: Any) -> Any:
    for _ in range(levels):
        inside = {"kind": "fusion", "arguments": {"parts": {"a": inside}, "out_features": 2}}
    return inside


ATTACKS: dict[str, tuple[Change, str]] = {
    "fusion in fusion": (lambda it: parts(it).update(wave=nested(1, rnn())), "'wave' is a Fusion itself"),
    "fusion 12 deep": (lambda it: parts(it).update(wave=nested(12, rnn())), "may be nested 32 deep, and is deeper"),
    "fusion 200 deep": (lambda it: parts(it).update(wave=nested(200, rnn())), "may be nested 32 deep, and is deeper"),
    "a hundred million features": (
        lambda it: parts(it).update(wave=rnn(hidden_size=10**8)),
        "does not describe this network",
    ),
    "a number beyond 64 bits": (lambda it: parts(it).update(wave=rnn(hidden_size=10**30)), "cannot be built from"),
    "a thousand million layers": (
        lambda it: parts(it)["note"].update(kind="text_rnn", arguments={**TEXT, "num_layers": 10**9}),
        "`num_layers` may be at most 100",
    ),
    "a wide one": (lambda it: it["recipe"]["arguments"].update(width=10**9), "does not describe this network"),
    "17 parts": (lambda it: parts(it).update({f"p{one}": rnn() for one in range(14)}), "must be 1 to 16 recipes"),
    "16 parts of 100 layers": (
        lambda it: parts(it).update({f"p{one}": rnn(num_layers=100, bidirectional=True) for one in range(13)}),
        "does not describe this network",
    ),
    "beyond 64 KiB": (
        lambda it: parts(it).update({f"p{one}": rnn() for one in range(1000)}),
        "the arguments of a recipe take at most 65536 bytes",
    ),
    "an unknown kind": (lambda it: parts(it)["wave"].update(kind="os.system"), "no network is registered as 'os.syst"),
    "a kind of no text": (lambda it: parts(it)["wave"].update(kind=["rnn"]), "must be {kind: string"),
    "arguments of no object": (lambda it: parts(it)["wave"].update(arguments=[1]), "must be {kind: string"),
    "an unknown argument": (lambda it: parts(it)["wave"]["arguments"].update(x=1), "CNN1d has no argument 'x'"),
    "no recipe": (lambda it: parts(it).update(wave=1), "the part 'wave' must be a recipe"),
    "no parts": (lambda it: it["recipe"]["arguments"].update(parts=None), "`parts` must be recipes by part"),
    "a part less": (lambda it: parts(it).pop("wave"), "does not describe this network"),
    "a part renamed": (lambda it: parts(it).update(z=parts(it).pop("wave")), "has no part for the input 'wave__"),
    "another part's state": (
        lambda it: it["preprocess"]["state"]["parts"].update(wave=it["preprocess"]["state"]["parts"]["note"]),
        "a text's schema is one field of kind text",
    ),
    "a state of mixed in mixed": (
        lambda it: it["preprocess"]["state"]["parts"].update(wave=json.loads(json.dumps(it["preprocess"]))),
        "mixed rows have fields of several kinds",
    ),
    "no states": (lambda it: it["preprocess"].update(state={}), "the parts of these mixed rows are table, note, wave"),
    "a field of another kind": (lambda it: it["schema"][1].update(kind="numeric"), "the parts of these mixed rows are"),
}
TEXT = {"vocabulary": 4, "out_features": 2}


def peak(*, afresh: bool = False) -> int:
    """The most memory that this process had, in kB; on Linux since the last call with `afresh`."""
    clear = Path("/proc/self/clear_refs")
    if not clear.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if afresh:
        clear.write_text("5")
    found = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


@pytest.mark.parametrize("name", ATTACKS)
def test_refused_soon_and_without_much_memory(name: str, good: Path, tmp_path: Path) -> None:
    change, message = ATTACKS[name]
    folder = Path(shutil.copytree(good, tmp_path / "hostile"))
    document = json.loads((folder / "artifact.json").read_text())
    change(document)
    (folder / "artifact.json").write_text(json.dumps(document))
    rehash(folder)
    before, start = peak(afresh=True), time.perf_counter()
    with pytest.raises(FormatError, match=message) as caught:
        maas.load(folder)
    assert time.perf_counter() - start < MOST_SECONDS
    assert peak() - before < MOST_KILOBYTES
    assert len(str(caught.value)) < 2000
