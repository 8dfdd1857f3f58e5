"""The pages that talk to a server: their commands are answered as they say."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import maas
from maas.serving import Server
from maas.serving.protocols import KINDS, MOST_BODY_BYTES, MOST_DEPTH, MOST_ROWS

from ..pages import run_page  # noqa: TID252  # tests are no package

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def tales(tiny_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A model that goes on from sentences and has a chat template, under the name that the page uses."""
    store = tmp_path_factory.mktemp("tales")
    maas.package(tiny_artifact, store=store, name="tales")
    with maas.serve(store, threads=1) as server:
        yield server


def say(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("URL", server.url)
    monkeypatch.setenv("TOKEN", server.token())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert os.environ["URL"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize("page", ["protocols.md", "client.md"])
def test_the_commands_of_a_page_are_answered(
    page: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(server, monkeypatch)
    run_page(DOCS / page, tmp_path)


def test_the_commands_to_a_model_that_generates_text_are_answered(
    tales: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(tales, monkeypatch)
    run_page(DOCS / "generate-serving.md", tmp_path)


def test_the_page_on_protocols_has_every_kind_of_problem_and_every_limit() -> None:
    page = (DOCS / "protocols.md").read_text()
    lines = [line for line in page.splitlines() if re.match(r"\| \d{3} \|", line)]
    listed = {kind: int(line[2:5]) for line in lines for kind in re.findall(r"`([a-z0-9-]+)`", line.split("|")[2])}
    assert listed == {kind: status for kind, (status, _) in KINDS.items()}
    for limit in (f"{MOST_BODY_BYTES:,}", f"{MOST_ROWS:,}", str(MOST_DEPTH)):
        assert limit in page
