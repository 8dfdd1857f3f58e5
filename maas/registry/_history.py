"""What was done to the aliases and versions of a model, in order: the one place that says what an alias holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maas.errors import RegistryError
from maas.registry._layout import Layout, read_record
from maas.registry._version import now, whoever
from maas.storage import create_whole

ACTIONS = ("promote", "alias", "rollback", "delete")


@dataclass(frozen=True)
class Record:
    """One thing that was done.

    Args:
        number: counted from 1.
        action: "promote" or "alias" let an alias hold a version, "rollback" the one before; "delete" took one away.
        version: that the alias holds from then on, or that was deleted.
        alias: None of a deletion.
        before: what the alias held.
        when, by: at what time, and who.
        why: of a promotion against the rule.
        score: what a promotion was judged by.
    """

    number: int
    action: str
    version: str
    alias: str | None
    before: str | None
    when: str
    by: str
    why: str | None = None
    score: Mapping[str, Any] | None = None


class History:
    """The records of one model as they are when it is made.

    Args:
        layout: of the registry.
        name: of the model.

    Raises:
        RegistryError: a record is damaged.
    """

    def __init__(self, layout: Layout, name: str) -> None:
        self._folder = layout.history(name)
        self._name = name
        self.records: list[Record] = []
        while (state := read_record(self._file(len(self.records) + 1))) is not None:
            self.records.append(self._read(state))
        # One more may be claimed and not written yet; beyond that one was lost, and with it who holds what.
        if self._file(len(self.records) + 2).exists():
            raise RegistryError(
                f"{self._file(len(self.records) + 1)} is missing, and later records are there; put it back from a copy"
            )

    def aliases(self) -> dict[str, str]:
        """The version that each alias holds."""
        return {one.alias: one.version for one in self.records if one.alias is not None}

    def deletion(self, version: str) -> Record | None:
        """The record of a version's deletion, where it was deleted."""
        return next((one for one in self.records if one.action == "delete" and one.version == version), None)

    def before(self, alias: str) -> str | None:
        """What an alias goes back to: what it held before, less those that were taken back."""
        held: list[str] = []
        for one in self.records:
            if one.alias == alias and one.action == "rollback":
                held[-1:] = []
            elif one.alias == alias:
                held.append(one.version)
        return held[-2] if len(held) > 1 else None

    def add(self, action: str, version: str, *, alias: str | None, **more: Any) -> Record:
        """Add a record, unless someone else has added one meanwhile.

        Raises:
            RegistryError: someone has.
        """
        number = len(self.records) + 1
        before = None if alias is None else self.aliases().get(alias)
        made = Record(number, action, version, alias, before, now(), whoever(), **more)
        if create_whole(self._file(number), json.dumps(asdict(made), indent=1).encode() + b"\n"):
            return made
        winner = read_record(self._file(number)) or {"by": "someone", "action": "change", "version": "a version"}
        raise RegistryError(
            f"{winner['by']} was faster, with {winner['action']} of {self._name}@{winner['version']}; look at "
            f"{self._name} again, and then decide again"
        )

    def _read(self, state: Mapping[str, Any]) -> Record:
        file = self._file(len(self.records) + 1)
        try:
            found = Record(**state)
        except TypeError as error:
            raise RegistryError(f"{file} is damaged: {error}; put it back from a copy") from error
        texts = (found.version, found.when, found.by, "" if found.alias is None else found.alias)
        if (
            found.action not in ACTIONS
            or found.number != len(self.records) + 1
            or any(type(one) is not str for one in texts)
        ):
            raise RegistryError(f"{file} is damaged: no maas of this version writes such; put it back from a copy")
        return found

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:06}.json"
