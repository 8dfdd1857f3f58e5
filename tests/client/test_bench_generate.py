"""`maas bench-generate`: what it counts, with a server whose answers are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from maas.cli import main
from tests.client.conftest import IDENTITY, Asked, Connection, Faulty, answer

Start = Callable[..., Faulty]
Capture = pytest.CaptureFixture[str]


def model(connection: Connection, asked: Asked) -> None:
    """Tokens are pairs of letters; each answer has three parts, of four tokens together."""
    row = json.loads(asked.body)
    if asked.headers["accept"] == "application/json":
        counted = {"text": "", "finish_reason": "length", "prompt_tokens": len(row["prompt"]) // 2, "model": IDENTITY}
        return answer(200, counted, {})(connection, asked)
    connection.close_connection = True
    connection.send_response(200)
    connection.send_header("Content-Type", "text/event-stream")
    connection.end_headers()
    counts = {"text": "c", "finish_reason": "length", "completion_tokens": 4}
    for part in ({"text": "a", "finish_reason": None}, {"text": "b", "finish_reason": None}, counts):
        connection.wfile.write(b"data: " + json.dumps(part).encode() + b"\n\n")
        connection.faulty.closing.wait(0.02)  # the others ask meanwhile
    return None


def run(capsys: Capture, server: Faulty, *options: str) -> tuple[int, str]:
    command = ["bench-generate", "m", "--url", server.url, "--token", "t", "--seconds", "0.6", *options]
    code = main(command)
    return code, capsys.readouterr().out


def test_it_counts_what_comes(faulty: Start, capsys: Capture) -> None:
    server = faulty(model)
    code, out = run(capsys, server, "--clients", "1,3", "--prompt-tokens", "50", "--max-tokens", "4", "--json")
    assert code == 0
    loads: list[dict[str, Any]] = json.loads(out)["loads"]
    assert [load["clients"] for load in loads] == [1, 3]
    assert 3 <= server.most_at_once <= 4  # a stream that was closed may not have ended yet
    rows = [json.loads(asked.body) for asked in server.asked if asked.headers["accept"] == "text/event-stream"]
    assert {row["max_tokens"] for row in rows} == {4}
    assert all(abs(len(row["prompt"]) / 2 - 50) < 10 for row in rows)
    assert len({row["prompt"] for row in rows}) > 1
    for load in loads:
        assert load["requests"] > 0
        assert 0 <= load["tokens"] - 4 * load["requests"] <= 3 * load["clients"]  # those of answers that were cut off
        assert load["tokens_per_second"] == pytest.approx(load["tokens"] / load["seconds"])
        assert load["tokens_per_second_a_client"] == pytest.approx(load["tokens_per_second"] / load["clients"])
        assert 0 < load["first_p50_ms"] <= load["first_p99_ms"] < 600
        assert 0 <= load["gap_p50_ms"] <= load["gap_p99_ms"]
        assert load["errors"] == {}


def test_a_table_and_errors(faulty: Start, capsys: Capture) -> None:
    def half(connection: Connection, asked: Asked) -> None:
        if asked.headers["accept"] == "text/event-stream":
            return answer(503, {"title": "Full", "detail": "later"}, {})(connection, asked)
        return model(connection, asked)

    code, out = run(capsys, faulty(half), "--clients", "2")
    head, row, said = out.splitlines()
    assert code == 1
    assert head.split()[:3] == ["clients", "answers", "tokens/s"]
    assert row.split()[:4] == ["2", "0", "0.0", "0.0"]
    assert row.split()[4:8] == ["-"] * 4
    assert int(row.split()[8]) > 1
    assert said == f"{row.split()[8]} times: 503 Full: later"


@pytest.mark.parametrize("option", ["--prompt-tokens", "--max-tokens", "--seconds"])
def test_options_that_cannot_be_used(option: str, capsys: Capture) -> None:
    assert main(["bench-generate", "m", "--url", "http://127.0.0.1:1", option, "0"]) == 2
    assert "--prompt-tokens, --max-tokens and --seconds must be above 0, got " in capsys.readouterr().err
