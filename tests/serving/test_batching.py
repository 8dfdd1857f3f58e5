"""A batch waits to become as large as the one before: who comes alone does not wait."""

from __future__ import annotations

import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import maas
from maas.serving._batching import CLASS, EDITS, JAR, batching_class
from maas.serving._java_command import torchserve_home

DELAY = 1.5  # seconds


def original() -> bytes:
    with zipfile.ZipFile(torchserve_home() / JAR) as jar:
        return jar.read(CLASS)


def test_each_edit_replaces_what_it_says_and_nothing_else_changes() -> None:
    before, after = original(), batching_class(torchserve_home())
    assert after is not None
    for at, old, new in reversed(EDITS):
        assert before[at:].startswith(bytes.fromhex(old))
        before = before[:at] + bytes.fromhex(new) + before[at + len(bytes.fromhex(old)) :]
    assert before == after


@pytest.mark.parametrize("changed", [None, b"another build"])
def test_another_build_is_left_as_it_is(changed: bytes | None, tmp_path: Path) -> None:
    assert batching_class(tmp_path) is None
    (tmp_path / JAR).parent.mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / JAR, "w") as jar:
        if changed is None:
            jar.writestr("another.class", b"")
        else:
            jar.writestr(CLASS, original() + changed)
    assert batching_class(tmp_path) is None


def test_a_lone_client_does_not_wait_and_company_is_waited_for(store: Path, wine_model: maas.Model) -> None:
    row = wine_model.preprocess.examples(1)[0]
    with maas.serve(store, ["wine"], batch_size=8, max_batch_delay_ms=int(1000 * DELAY)) as server:
        client = server.client("wine")

        def asked(_: int = 0) -> float:
            began = time.monotonic()
            client.predict(row)
            return time.monotonic() - began

        asked()
        assert sum(asked() for _ in range(5)) < DELAY
        for _ in range(10):
            with ThreadPoolExecutor(24) as pool:
                list(pool.map(asked, range(24)))
            waited, after = asked(), asked()
            assert after < DELAY  # the one before was alone
            if waited >= DELAY:  # the last of the burst went together, so the next waited for company
                break
        else:
            pytest.fail("no burst was answered together")
