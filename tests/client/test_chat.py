"""`maas chat`: on a terminal and on a pipe, with a server that answers as one with a chat template, or without."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from maas.cli import main
from tests.client.conftest import IDENTITY, Act, Asked, Connection, Faulty, answer

Start = Callable[..., Faulty]
Capture = pytest.CaptureFixture[str]
REFUSED = (422, {"title": "A row cannot be answered", "detail": "this model takes no `messages`", "field": "messages"})


def model(*, chats: bool = True, task: str = "generation") -> Act:
    """A model that repeats what it was asked, word by word; of "long" without an end, of "bad" with a refusal."""

    def act(connection: Connection, asked: Asked) -> None:
        if not asked.body:
            return answer(200, {"task": task}, {})(connection, asked)
        row = json.loads(asked.body)
        if "messages" in row and not chats:
            return answer(*REFUSED, {})(connection, asked)
        if asked.headers["accept"] == "application/json":
            return answer(200, {"text": "", "finish_reason": "length", "model": IDENTITY}, {})(connection, asked)
        question = row["messages"][-1]["content"] if chats else row["prompt"]
        if question == "bad":
            return answer(422, {"title": "No", "detail": "bad\nquestion", "field": "messages"}, {})(connection, asked)
        connection.close_connection = True
        connection.send_response(200)
        connection.send_header("Content-Type", "text/event-stream")
        connection.end_headers()
        words = [f"{word} " for word in question.split(" ")] + ["貓\x1b[2J."] + ["and on "] * 500 * (question == "long")
        for word in words:
            connection.wfile.write(b"data: " + json.dumps({"text": word, "finish_reason": None}).encode() + b"\n\n")
            if question == "long" and connection.faulty.closing.wait(0.05):
                return None
        why = "length" if row.get("max_tokens") else "stop"
        last = json.dumps({"text": "", "finish_reason": why, "completion_tokens": len(words)})
        return connection.wfile.write(b"data: " + last.encode() + b"\n\n") and None

    return act


def asked_rows(server: Faulty) -> list[dict[str, Any]]:
    """The rows of the questions: after that which asks whether there is a description, and a chat template."""
    return [json.loads(asked.body) for asked in server.asked[2:]]


def chat(server: Faulty, monkeypatch: pytest.MonkeyPatch, text: str, *options: str) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    return main(["chat", "m", "--url", server.url, "--token", "t", *options])


def test_of_a_pipe_each_line_is_a_question_of_one_conversation(
    faulty: Start, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    server = faulty(model())
    options = ["--system", "Be short.", "--max-tokens", "9", "--temperature", "0.5", "--top-p", "0.9", "--seed", "3"]
    assert chat(server, monkeypatch, "Hello\n\n  how are you \n/reset\nagain", *options) == 0
    shown = capsys.readouterr()
    assert shown.out == "Hello 貓\x1b[2J.\nhow are you 貓\x1b[2J.\nagain 貓\x1b[2J.\n"
    assert shown.err == ""
    system = {"role": "system", "content": "Be short."}
    first = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello 貓\x1b[2J."}]
    given = {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "seed": 3}
    assert asked_rows(server) == [
        {"messages": [system, first[0]], **given},
        {"messages": [system, *first, {"role": "user", "content": "how are you"}], **given},
        {"messages": [system, {"role": "user", "content": "again"}], **given},
    ]


def test_a_model_without_a_chat_template_goes_on_from_each_line(
    faulty: Start, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    server = faulty(model(chats=False))
    assert chat(server, monkeypatch, "It was\nThe cat\n") == 0
    shown = capsys.readouterr()
    assert shown.out.split("\n") == ["It was 貓\x1b[2J.", "The cat 貓\x1b[2J.", ""]
    assert shown.err.startswith("maas: m has no chat template: it goes on from each line as a prompt")
    assert asked_rows(server) == [{"prompt": "It was"}, {"prompt": "The cat"}]
    assert chat(server, monkeypatch, "", "--system", "x") == 2
    assert "--system wants a model with a chat template, m has none" in capsys.readouterr().err


def test_of_a_pipe_an_error_ends_it(faulty: Start, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert chat(faulty(model()), monkeypatch, "Hello\nbad\nnever\n") == 1
    shown = capsys.readouterr()
    assert shown.out == "Hello 貓\x1b[2J.\n"
    assert shown.err == "maas: 422 No: bad\nquestion\n"
    assert chat(faulty(model(task="classes")), monkeypatch, "Hello\n") == 2
    assert "m generates no text, its task is 'classes'; ask it with maas call" in capsys.readouterr().err


def test_on_a_terminal(faulty: Start) -> None:
    server = faulty(model())
    ours, theirs = pty.openpty()
    # The terminal becomes its own, so that Ctrl-C reaches it.
    code = "import os, sys; os.close(os.open(os.ttyname(0), os.O_RDWR)); from maas.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "chat", "m", "--url", server.url, "--token", "t", "--max-tokens", "9"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    try:
        terminal = Terminal(ours)
        terminal.until("Ctrl-D ends")
        terminal.until("> ")
        for line, shown in (
            ("Hello\n", "貓\\x1b[2J."),  # shown, not obeyed
            ("bad\n", "maas: 422 No: bad"),
            ("long\n", "and on and on"),
            ("\x03", "> "),
            ("\x03", "> "),  # of the prompt
            ("again\n", "again 貓"),
        ):
            time.sleep(0.2)  # readline sees no Ctrl-C in the moment between its prompt and its wait for a key
            os.write(ours, line.encode())
            terminal.until(shown)
        terminal.until("the answer was cut off; --max-tokens gives more room")
        terminal.until("> ")
        os.write(ours, b"\x04")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    last = asked_rows(server)[-1]["messages"]
    assert [one["content"].split(" ")[0] for one in last] == ["Hello", "Hello", "long", "long", "again"]
    assert last[3]["content"].endswith("and on ")  # what came before Ctrl-C


class Terminal:
    """What a terminal shows, read piece by piece."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._seen = ""

    def until(self, text: str) -> None:
        """Read on until this is shown."""
        deadline = time.monotonic() + 20
        while text not in self._seen and time.monotonic() < deadline:
            if select.select([self._number], [], [], 0.1)[0]:
                self._seen += os.read(self._number, 4096).decode(errors="replace")
        assert text in self._seen
        self._seen = self._seen.partition(text)[2]
