"""Server-sent events, and what a model's answer becomes of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from maas.client._answers import Prediction
from maas.client._steps import Failure
from maas.errors import ClientError, RequestRefused, ServerUnavailable

EVENTS = "text/event-stream"


@dataclass(frozen=True)
class Event:
    """One event: its kind, "message" unless it says another, and its data."""

    kind: str
    data: str


class EventReader:
    """Makes events of the bytes of a stream as they come.

    Source: WHATWG, HTML Living Standard, section 9.2.6 "Interpreting an event stream".
    """

    def __init__(self) -> None:
        self._line = b""
        self._kind = ""
        self._data: list[str] = []

    def feed(self, content: bytes) -> list[Event]:
        """The events that these bytes complete."""
        *lines, self._line = (self._line + content).split(b"\n")
        found = []
        for line in lines:
            name, _, value = line.removesuffix(b"\r").decode(errors="replace").partition(":")
            if name == "event":
                self._kind = value.removeprefix(" ")
            elif name == "data":
                self._data.append(value.removeprefix(" "))
            elif not name and not value:  # an empty line; one that begins with a colon is a comment
                if self._data:
                    found.append(Event(self._kind or "message", "\n".join(self._data)))
                self._kind, self._data = "", []
        return found


class Parts:
    """What a stream's events add to an answer, until that is whole.

    Args:
        url: of the server, for messages.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._count = 0
        self._whole = False

    def add(self, heard: Event | Failure) -> Prediction | None:
        """The part that an event holds; None of what comes after the last.

        Raises:
            RequestRefused, ServerUnavailable: it holds an error of the server, or the stream broke off.
        """
        if self._whole:
            return None
        if isinstance(heard, Failure):
            raise self._broken(heard.detail)
        try:
            said = json.loads(heard.data)
            part = Prediction({name: value for name, value in said.items() if name != "model"}, said.get("model", {}))
            if heard.kind != "error":
                self._whole = part["finish_reason"] is not None
                self._count += 1
                return part
        except (ValueError, AttributeError, LookupError) as error:
            raise ServerUnavailable(f"{self._url} streams what is no part of an answer: {error!r}") from error
        status = said.get("status", 500)
        if isinstance(status, int) and 400 <= status < 500:
            raise RequestRefused(status, said)
        raise self._broken(f"{status} {said.get('title', '')}: {said.get('detail', '')}")

    def end(self) -> None:
        """Raises: ServerUnavailable, the stream ended before the answer was whole."""
        if not self._whole:
            raise self._broken("it ended early")

    def _broken(self, why: str) -> ServerUnavailable:
        return ServerUnavailable(f"{self._url} broke off after {self._count} parts, and was not asked again: {why}")


def not_a_stream(model: str, media: Any) -> ClientError:
    """The error of an answer that is no stream."""
    return ClientError(f"{model} answers whole, with {media or 'no media type'}, not part by part; use predict")
