"""The client against the real TorchServe: what its fault server can only claim."""

import asyncio
import concurrent.futures
import os
import signal
import threading
from typing import Any

import pandas as pd
import pytest

import maas
from maas.data import Rows
from maas.errors import RequestRefused
from maas.serving import Server, _management

Row = dict[str, Any]


@pytest.fixture
def row(wine_model: maas.Model) -> Row:
    found: Row = wine_model.preprocess.examples(1)[0]
    return found


def renew_token(server: Server) -> None:
    """As a launcher does before the token expires; the old one is worth nothing from then on."""
    _management.renew(server.local, "inference")


def test_a_connection_closed_by_a_refusal_does_not_fail_the_next_request(server: Server, row: Row) -> None:
    with maas.Client("wine", url=server.url, token=server.token, retries=0) as client:
        wanted = client.predict(row)
        for _ in range(50):
            with pytest.raises(RequestRefused):
                client.predict({**row, "alcohol": "strong"})
            assert client.predict(row)["label"] == wanted["label"]


def test_awaited_answers_are_the_same(server: Server, wine_split: tuple[Rows, Rows], row: Row) -> None:
    rows = wine_split[1].to_dicts() * 30

    async def run() -> tuple[Any, ...]:
        async with maas.AsyncClient("wine") as client:
            await client.wait_ready()
            return await client.predict(rows), await client.ready(), await client.describe()

    answers, ready, described = asyncio.run(run())
    with server.client("wine") as client:
        assert answers["label"].tolist() == client.predict(rows)["label"].tolist()
    assert ready
    assert described["labels"] == [0, 1, 2]


def test_a_frame_is_answered_as_a_frame(server: Server, wine_split: tuple[Rows, Rows], wine_model: maas.Model) -> None:
    test = wine_split[1]
    with server.client("wine") as client:
        frame = client.predict(pd.DataFrame(test.to_dicts())).to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert frame["label"].tolist() == wine_model.predict(test)["label"].tolist()
    assert {"probabilities.0", "probabilities.1", "probabilities.2"} <= set(frame.columns)


def test_a_version_is_asked_for(server: Server, row: Row) -> None:
    with maas.Client("wine", url=server.url, token=server.token, version="1.0") as client:
        assert client.predict(row).model["version"] == "1.0"
    with (
        maas.Client("wine", url=server.url, token=server.token, version="9.0") as client,
        pytest.raises(RequestRefused, match="404 ModelVersionNotFoundException"),
    ):
        client.predict(row)


def test_tokens_renewed_under_load_lose_nothing(server: Server, row: Row) -> None:
    done = threading.Event()
    with maas.Client("wine", retries=0) as client, concurrent.futures.ThreadPoolExecutor(4) as pool:
        wanted = client.predict(row)["label"]

        def ask() -> int:
            answered = 0
            while not done.is_set():
                assert client.predict(row)["label"] == wanted
                answered += 1
            return answered

        asking = [pool.submit(ask) for _ in range(4)]
        before = server.token()
        for _ in range(10):
            renew_token(server)
            assert not done.wait(0.1)
        done.set()
        assert all(one.result() > 0 for one in asking)
        assert server.token() != before


def test_a_killed_worker_loses_nothing(server: Server, row: Row) -> None:
    with server.client("wine") as client, concurrent.futures.ThreadPoolExecutor(8) as pool:
        wanted = client.predict(row)["label"]
        asking = [pool.submit(client.predict, row) for _ in range(400)]
        next(concurrent.futures.as_completed(asking))
        os.kill(server.manage("/models/wine")[0]["workers"][0]["pid"], signal.SIGKILL)
        assert {one.result()["label"] for one in asking} == {wanted}
