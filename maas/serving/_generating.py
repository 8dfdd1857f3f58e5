"""Rows of many requests that go through one session: those that have a slot, and those that wait for one."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence

from maas.errors import DataError, ServingError
from maas.generation import slots_that_fit
from maas.model import Model
from maas.nn import CausalTransformer
from maas.serving._refusal import refusal
from maas.serving.protocols import Refusal
from maas.task import Batch, Generation, Part, Session

Key = tuple[str, int]
"""A request, and a row of it."""

_log = logging.getLogger("maas.serving")


class Generating:
    """Lets rows in as slots become free, first come, first served, and steps those that are in.

    Args:
        session: of the model.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: deque[tuple[Key, Batch]] = deque()

    @property
    def live(self) -> int:
        """Rows that have a slot."""
        return len(self._session.live)

    @property
    def waiting(self) -> int:
        """Rows that wait for one."""
        return len(self._waiting)

    def add(self, request: str, batch: Batch) -> None:
        """Queue the rows of a request."""
        self._waiting.extend(((request, row), batch) for row in range(len(batch)))

    def drop(self, request: str) -> None:
        """Let go of the rows of a request, wherever they are; their slots are free at once."""
        if any(key[0] == request for key, _ in self._waiting):
            self._waiting = deque(one for one in self._waiting if one[0][0] != request)
        for key in [key for key in self._session.live if key[0] == request]:  # type: ignore[index]
            self._session.leave(key)

    def step(self) -> tuple[dict[Key, Part], dict[Key, Refusal]]:
        """One step of every row that has a slot: what it adds to each, and why some have failed and left."""
        parts: dict[Key, Part] = {}
        failed: dict[Key, Refusal] = {}
        while self._waiting and self._session.has_room:
            key, batch = self._waiting.popleft()
            try:
                self._session.join(key, batch, key[1])
            except Exception as error:
                failed[key] = self._told(error, failed)
        live: list[Key] = list(self._session.live)  # type: ignore[arg-type]
        if live:
            self._attempt(live, parts, failed, everyone=True)
        return parts, failed

    def _attempt(
        self, keys: Sequence[Key], parts: dict[Key, Part], failed: dict[Key, Refusal], *, everyone: bool = False
    ) -> None:
        """Step some of the rows. Where that throws they are halved until only the culprit fails, and leaves."""
        failure: Refusal | None = None
        try:
            parts.update(self._session.step(None if everyone else keys))  # type: ignore[arg-type]
        except Exception as error:
            failure = self._told(error, failed) if len(keys) == 1 else refusal(error)
        if failure is None:  # outside of `except`, which keeps the tensors of the failed step alive
            return
        if len(keys) == 1:
            failed[keys[0]] = failure
            self._session.leave(keys[0])
            return
        middle = len(keys) // 2
        self._attempt(keys[:middle], parts, failed)
        self._attempt(keys[middle:], parts, failed)

    def _told(self, error: Exception, failed: dict[Key, Refusal]) -> Refusal:
        told = refusal(error)
        if told.kind not in [one.kind for one in failed.values()]:
            _log.error("a row could not be gone on with", exc_info=error)  # once a step: a broken network fails on all
        return told


def session_of(model: Model, slots: int) -> Session:
    """A session of a model that generates text.

    Args:
        model: the model.
        slots: rows that may be live at once. Fewer are, where these do not fit into memory: the others wait.

    Raises:
        ServingError: the memory does not suffice for one.
    """
    task, network = model.task, model.answering
    assert isinstance(task, Generation)
    assert isinstance(network, CausalTransformer)
    try:
        fitting = min(slots, slots_that_fit(network))
        if fitting < slots:
            _log.warning("%d of %d requests fit into memory at once; the others wait", fitting, slots)
        return task.session(network, slots=fitting)
    except (DataError, MemoryError, RuntimeError) as error:
        raise ServingError(
            f"the cache of a request does not fit into memory beside the model: {str(error)[:300]}; give the worker "
            f"more memory"
        ) from error


def warm_up(generating: Generating, model: Model, slots: int) -> None:
    """Go some steps with one row and with as many as there may be: the first request is not the slow one."""
    rows = (model.example or {}).get("rows") or model.preprocess.examples(1)
    batch = model.prepare([{**rows[0], "max_tokens": 2}]).batch
    for count in {1, slots} if len(batch) else ():
        for place in range(count):
            generating.add(f"warm-up {place}", batch)
        while generating.live or generating.waiting:
            generating.step()
