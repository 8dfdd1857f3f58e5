"""The faults under load of benchmarks/faults/, in seconds: nothing hangs, nothing dies, nothing is lost."""

import importlib
import time
from pathlib import Path
from types import ModuleType

import orjson
import pytest

import maas
from maas.serving import Server
from maas.serving._load import Body, measure
from maas.serving._renew import TokenRenewal

FAULTS = Path(__file__).parents[2] / "benchmarks" / "faults"


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FAULTS))
    return importlib.import_module("soak")


def test_what_is_too_much_is_refused_and_the_rest_is_answered(server: Server, wine_model: maas.Model) -> None:
    bodies = [Body(orjson.dumps(row)) for row in wine_model.preprocess.examples(8)]
    some = measure(server, "wine", bodies, rate=None, seconds=1, warm_seconds=0, connections=16)
    much = measure(server, "wine", bodies, rate=3 * some.goodput, seconds=1, warm_seconds=0, timeout=30)
    assert much.outcomes.keys() <= {"200", "503"}
    assert much.count("200") > 0


def test_mixed_requests_leave_the_worker_alive(
    server: Server, wine_artifact: Path, soak: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    bodies, kinds = soak.mixed(wine_artifact, drawn=300)
    assert {"bad-row", "not-json", "too-many-rows", "empty"} <= set(kinds)
    assert soak.soak(server, "wine", bodies, 1000), capsys.readouterr().out


def test_tokens_that_die_in_a_second_lose_nothing(server: Server, wine_model: maas.Model) -> None:
    row = wine_model.preprocess.examples(1)[0]
    tokens = {server.token()}
    with server.client("wine") as client:
        renewal = TokenRenewal(server.local, 1 / 60)
        deadline = time.monotonic() + 30
        while len(tokens) < 4 and time.monotonic() < deadline:
            assert client.predict(row)["label"] in (0, 1, 2)
            tokens.add(server.token())
        renewal.stop()
    assert len(tokens) == 4
