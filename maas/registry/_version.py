"""What a registry knows of one version, without its artifact."""

from __future__ import annotations

import getpass
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from maas.artifact import Artifact
from maas.errors import RegistryError, show
from maas.metrics import Evaluation
from maas.registry._layout import numbers

_TEXTS = ("name", "version", "digest", "model", "artifact", "created", "by", "network", "task", "target")


@dataclass(frozen=True)
class Score:
    """How good a version was on its test rows.

    Args:
        primary: name of the score.
        value: None where it is not defined for the rows.
        num_rows, fingerprint: of the rows.
    """

    primary: str
    value: float | None
    num_rows: int
    fingerprint: str


@dataclass(frozen=True)
class Version:
    """An immutable version of a model.

    Args:
        name, version: of the model.
        digest: SHA-256 over all files.
        model: the model's own digest: that of weights and description.
        artifact: name of the folder of its files.
        created, by: when it was pushed, and by whom.
        network, task, target: what it is.
        transforms: kinds of what was done to the network after training.
        parent: digest of the model that it was made from.
        data: fingerprint of its training rows.
        score: on its test rows; None where it was saved without an evaluation.
    """

    name: str
    version: str
    digest: str
    model: str
    artifact: str
    created: str
    by: str
    network: str
    task: str
    target: str
    transforms: tuple[str, ...] = ()
    parent: str | None = None
    data: str | None = None
    score: Score | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def newness(self) -> tuple[int, ...]:
        """Larger for a newer version."""
        return tuple(map(int, numbers(self.version).split(".")))

    def to_json(self) -> dict[str, Any]:
        """The version as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Version:
        """The inverse of `to_json`.

        Raises:
            RegistryError: no registry wrote this.
        """
        try:
            texts = {name: state[name] for name in _TEXTS}
            optional = {name: state[name] for name in ("parent", "data")}
            transforms = tuple(state["transforms"])
            score = None if state["score"] is None else Score(**state["score"])
        except (KeyError, TypeError) as error:
            raise RegistryError(f"the record of a version is damaged: {error!r}") from error
        known = [*texts.values(), *transforms, *(one for one in optional.values() if one is not None)]
        if score is not None:
            known += [score.primary, score.fingerprint]
            if score.value is not None and type(score.value) is not float:
                raise RegistryError(f"the record of a version is damaged: it has the score {show(score.value)}")
        if wrong := [one for one in known if type(one) is not str]:
            raise RegistryError(f"the record of a version is damaged: it has {show(wrong[0])} where a text stands")
        return cls(**texts, **optional, transforms=transforms, score=score)


def version_of(stored: Artifact, *, name: str, version: str, digest: str, artifact: str) -> Version:
    """The record of an artifact that is being pushed.

    Raises:
        FormatError: its card does not hold what it says.
    """
    description, card = stored.description, stored.card
    lineage, data = card.get("lineage"), card.get("data")
    found = Evaluation.from_json(card["evaluation"]) if card.get("evaluation") else None
    return Version(
        name=name,
        version=version,
        digest=digest,
        model=stored.digest,
        artifact=artifact,
        created=now(),
        by=whoever(),
        network=str(description["recipe"]["kind"]),
        task=str(description["task"]["kind"]),
        target=str(description["target"]),
        transforms=tuple(str(one["kind"]) for one in description["transforms"]),
        parent=_text(lineage, "parent"),
        data=_text(data, "fingerprint"),
        score=None if found is None else _score(found),
    )


def _score(found: Evaluation) -> Score:
    return Score(found.primary, found.scores[found.primary], found.num_rows, found.fingerprint)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def whoever() -> str:
    """This user on this machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run as a number that has no name
        user = str(os.getuid())
    return f"{user}@{platform.node()}"


def _text(state: object, key: str) -> str | None:
    """A text in a card, which may come from anyone."""
    found = state.get(key) if isinstance(state, dict) else None
    return found if type(found) is str else None
