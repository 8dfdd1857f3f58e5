"""Where a version comes from: the models that it was made of, as far as the registry knows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from maas.registry._version import Version

_MOST = 100


@dataclass(frozen=True)
class Ancestor:
    """One model of a chain.

    Args:
        model: its digest.
        versions: "NAME@VERSION" of those in the registry that are it, those deleted too; none if it was never pushed.
        data: fingerprint of its training rows.
        transforms: kinds of what was done to the network after training.
    """

    model: str
    versions: tuple[str, ...]
    data: str | None = None
    transforms: tuple[str, ...] = ()


def chain(version: Version, known: Iterable[Version]) -> tuple[Ancestor, ...]:
    """The version itself, the model it was made from, the one that that was made from, and so on."""
    by_model: dict[str, list[Version]] = {}
    for one in known:
        by_model.setdefault(one.model, []).append(one)
    found: list[Ancestor] = []
    at: str | None = version.model
    while at is not None and at not in {one.model for one in found} and len(found) < _MOST:
        same = sorted(by_model.get(at, []), key=lambda one: (one.name, one.newness))
        first = version if at == version.model else (same[0] if same else None)
        names = tuple(map(str, same))
        found.append(Ancestor(at, names, first.data, first.transforms) if first else Ancestor(at, ()))
        at = first.parent if first else None
    return tuple(found)
