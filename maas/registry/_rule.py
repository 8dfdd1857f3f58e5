"""The rule of a promotion: no client breaks, and the score is not worse on the same test rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maas.artifact import Artifact
from maas.errors import DataError, RegistryError, show
from maas.model import Model
from maas.registry._compatible import breaks
from maas.registry._version import Version

_ROUNDING = 1e-9
_GREATER = ("accuracy", "micro_f1", "roc_auc", "recall")
_LESSER = ("rmse", "false_alarm_rate")


def check_compatible(old: Version, new: Version, stored: Mapping[Version, Artifact]) -> None:
    """Raise RegistryError where clients of the old version would break."""
    if found := breaks(stored[old], stored[new]):
        raise RegistryError(
            f"{new} would break clients of {old}: {'; '.join(found)}; train with the same fields, push it under "
            f"another name, or promote it with a reason (force)"
        )


def compare_stored(old: Version, new: Version) -> dict[str, Any]:
    """The two scores that were stored with the versions, once the new one is found to be no worse.

    Raises:
        RegistryError: it is, or the two cannot be compared.
    """
    if old.score is None or new.score is None:
        without = old if old.score is None else new
        raise RegistryError(f"{without} was saved without an evaluation; give test rows that score both (test)")
    if old.score.fingerprint != new.score.fingerprint or old.score.primary != new.score.primary:
        raise RegistryError(
            f"{new} was scored on other test rows, or by another score, than {old}; give test rows that score both "
            f"(test)"
        )
    name, before, after = new.score.primary, old.score.value, new.score.value
    if before is None or after is None or not (name in (*_GREATER, *_LESSER) or name.startswith("ndcg")):
        raise RegistryError(f"the stored score {show(name)} cannot be compared; give test rows that score both (test)")
    drop = after - before if name in _LESSER else before - after
    return _judged(old, new, name, before, after, drop, new.score.fingerprint)


def compare_on(old: Version, new: Version, stored: Mapping[Version, Artifact], test: Any) -> dict[str, Any]:
    """The scores of both versions on test rows, as `compare_stored` gives them.

    Raises:
        RegistryError: the new one is worse.
        DataError: the rows cannot be scored.
    """
    from maas.data import as_rows

    first, second = (Model.from_artifact(stored[one]) for one in (old, new))
    rows = as_rows(test, task=first.task.kind)
    one, other = first.score(rows), second.score(rows)
    if one.primary != other.primary:
        raise DataError(f"{old} and {new} are scored by different scores on these rows: {one.primary}, {other.primary}")
    drop = one.drop_to(other)
    before, after = one.values[one.primary], other.values[one.primary]
    assert before is not None
    assert after is not None
    return _judged(old, new, one.primary, before, after, drop, rows.fingerprint())


def _judged(
    old: Version, new: Version, name: str, before: float, after: float, drop: float, fingerprint: str
) -> dict[str, Any]:
    if not drop <= _ROUNDING:
        raise RegistryError(
            f"{new} is worse than {old}: {name} {after:.6g}, it was {before:.6g}; promote it with a reason (force) if "
            f"it is to be"
        )
    return {"primary": name, "before": before, "after": after, "fingerprint": fingerprint}
