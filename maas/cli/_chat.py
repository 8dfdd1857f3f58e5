"""The command chat: a conversation with a served model that generates text."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace
from typing import Any

from maas.cli._call import client_of
from maas.cli._print import note, shown
from maas.client import Client
from maas.errors import ClientError, DataError, RequestRefused, show

_RESET = "/reset"
_OPTIONS = ("max_tokens", "temperature", "top_p", "seed")


class Conversation:
    """What was said so far, and how to go on.

    Args:
        client: of the model.
        system: what the model is told first.
        options: of each row.
    """

    def __init__(self, client: Client, system: str | None, options: dict[str, Any]) -> None:
        self._client, self._options = client, options
        self._first = [] if system is None else [{"role": "system", "content": system}]
        self._said: list[dict[str, str]] = []
        self.takes_messages = _takes_messages(client)
        if system is not None and not self.takes_messages:
            raise DataError(f"--system wants a model with a chat template, {client.model} has none")

    def reset(self) -> None:
        """Forget what was said."""
        self._said = []

    def ask(self, question: str) -> str | None:
        """Print the answer as it comes, and remember it; gives why it ended, None where Ctrl-C stopped it.

        Raises:
            ClientError: there is no whole answer; then the question is forgotten.
        """
        said = [*self._first, *self._said, {"role": "user", "content": question}]
        row = {"messages": said} if self.takes_messages else {"prompt": question}
        text, why = "", None
        try:
            with contextlib.closing(self._client.stream({**row, **self._options})) as parts:
                for part in parts:
                    text += part["text"]
                    why = part["finish_reason"]
                    print(_shown(part["text"]), end="", flush=True)
        except KeyboardInterrupt:
            why = None
        except ClientError:
            print(end="\n" if text else "", flush=True)
            raise
        print(flush=True)
        if self.takes_messages and text:
            self._said += [said[-1], {"role": "assistant", "content": text}]
        return why


def chat(options: Namespace) -> bool:
    """Lines are questions. On a terminal it goes on after an error; of a pipe the first one ends it."""
    interactive = sys.stdin.isatty()
    given = {name: value for name in _OPTIONS if (value := getattr(options, name)) is not None}
    with client_of(options, options.model, timeout=options.timeout) as client:
        _check(client)
        conversation = Conversation(client, options.system, given)
        if not conversation.takes_messages:
            note(f"{client.model} has no chat template: it goes on from each line as a prompt, and remembers none")
        if interactive:
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401, which lets lines be edited and called back
            note(f"Ctrl-C stops an answer, {_RESET} begins anew, Ctrl-D ends")
        while (line := _line(interactive)) is not None:
            if line == _RESET:
                conversation.reset()
            elif line:
                try:
                    why = conversation.ask(line)
                except ClientError as error:
                    if not interactive:
                        raise
                    note(f"{error}{f'; {_RESET} begins anew' if isinstance(error, RequestRefused) else ''}")
                    continue
                if interactive and why == "length":
                    note("the answer was cut off; --max-tokens gives more room")
    return False


def _line(interactive: bool) -> str | None:
    """The next line, without spaces around it; None at the end."""
    if not interactive:
        line = sys.stdin.readline()
        return line.strip() if line else None
    try:
        return input("> ").strip()
    except KeyboardInterrupt:
        print()
        return ""
    except EOFError:
        print()
        return None


def _check(client: Client) -> None:
    task = client.describe().get("task")
    if task != "generation":
        raise DataError(f"{client.model} generates no text, its task is {show(task)}; ask it with maas call")


def _takes_messages(client: Client) -> bool:
    """Whether the model has a chat template: nothing but the model knows."""
    try:
        client.predict({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1})
    except RequestRefused as refused:
        if refused.problem.get("field") != "messages":
            raise
        return False
    return True


def _shown(text: str) -> str:
    """What a terminal may be sent: what would steer it is shown, not obeyed. A pipe takes the text as it is."""
    if not sys.stdout.isatty():
        return text
    return shown(text, but="\n\t\u200d")
