"""What a check found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["ok", "warning", "error", "not checked"]
_LEVELS: Sequence[Level] = ("ok", "warning", "error", "not checked")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        level: "ok"; "warning": it works, but not as one may expect; "error": something does not work; "not checked".
        subject: what was looked at.
        detail: what was found; for what was not checked, why.
        remedy: what to do about a warning or an error, a command where there is one.

    Raises:
        ValueError: a warning or an error names no remedy.
    """

    level: Level
    subject: str
    detail: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.level not in _LEVELS:
            raise ValueError(f"`level` is one of {', '.join(_LEVELS)}, got {self.level!r}")
        if self.level in ("warning", "error") and not self.remedy:
            raise ValueError(f"the {self.level} about {self.subject} names no remedy")

    def to_json(self) -> dict[str, Any]:
        """As `maas doctor --json` writes it."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Finding:
        """The inverse of `to_json`."""
        return cls(value["level"], value["subject"], value["detail"], value["remedy"])


Check = Iterator[Finding]


def guarded(subject: str, check: Callable[[], Check]) -> Check:
    """The findings of a check. One that fails itself is told, and the others go on."""
    try:
        yield from check()
    except Exception as error:
        detail = f"this check failed itself: {type(error).__name__}: {error}"
        yield Finding("not checked", subject, detail)
