"""A change of an alias that may be made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maas.registry._history import History
from maas.registry._version import Version


@dataclass(frozen=True)
class Promotion:
    """A change of an alias, checked and not made yet: what is to be released first has time for it.

    Args:
        version: that the alias is to hold.
        alias: such as "production".
        before: the version that it holds; None where it holds none.
        action: "promote", "alias" or "rollback".
        history: as it was when this was checked. `Registry.make` refuses where it has gone on.
        why: a reason to promote against the rule.
        score: what the two versions were judged by.
    """

    version: Version
    alias: str
    before: str | None
    action: str
    history: History
    why: str | None = None
    score: Mapping[str, Any] | None = None
