"""A search as text, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maas.metrics._text import score_text

if TYPE_CHECKING:
    from maas.compress._found import Search
    from maas.compress._measure import Measured

_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
TAKEN = ("weights", "artifact", "p50 of 1", "p99 of 1", "p50 of 8", "p99 of 8", "memory")
"""What `taken` gives, as the heads of columns."""


def as_text(search: Search) -> str:
    """The table, and what the best gains over the model as it is."""
    wide = max(len(one.name) for one in search.candidates) + 2
    lines = [
        f"{search.num_rows:,} rows judge, and {budget(search)}; {search.machine}",
        " " * wide + "".join(f"{name:>10}" for name in (search.primary, "drop", *TAKEN)),
    ]
    for one in search.candidates:
        cells = ""
        if one.measured is not None and one.score is not None and one.drop is not None:
            shown = (score_text(one.score), f"{one.drop:.4f}", *taken(one.measured))
            cells = "".join(f"{cell:>10}" for cell in shown) + "  "
        lines.append(f"{one.name:<{wide}}{cells}{'; '.join(search.notes(one))}".rstrip())
    return "\n".join([*lines, verdict(search)])


def budget(search: Search) -> str:
    """What the score may lose, in a clause."""
    by = "" if search.greater_is_better else "a share of "
    return f"{search.primary} may be worse by {by}{search.max_drop:g}"


def verdict(search: Search) -> str:
    """What the best gains over the model as it is, and what it loses; in a sentence or two."""
    best, plain = search.best, search.as_it_is
    if best is plain or best.measured is None or plain.measured is None:
        return f"nothing chosen: {search.why_none()}"
    gain = plain.measured.p50_ms / best.measured.p50_ms
    faster = f"{gain:.2f} times as fast" if best.measured.is_faster_than(plain.measured) else "no faster"
    smaller = plain.measured.weights_bytes / best.measured.weights_bytes
    said = (
        f"chosen for {search.optimize}: {best.name}, {smaller:.1f} times smaller and {faster} for one row; "
        f"{search.primary} {score_text(plain.score)} -> {score_text(best.score)}"
    )
    if search.tested is None:
        return f"{said}, on the rows that chose it, so a little optimistic"
    before, after = score_text(search.tested.before), score_text(search.tested.after)
    return f"{said}; on {search.tested.num_rows:,} rows that had no say {before} -> {after}"


def taken(measured: Measured) -> tuple[str, ...]:
    """What a model takes, in the order of `TAKEN`."""
    times = (measured.p50_ms, measured.p99_ms, measured.p50_ms_of_8, measured.p99_ms_of_8)
    memory = "-" if measured.memory_bytes is None else size(measured.memory_bytes)
    return (size(measured.weights_bytes), size(measured.artifact_bytes), *map(milliseconds, times), memory)


def size(count: float) -> str:
    """Bytes, as people read them."""
    for one, unit in _UNITS:
        if abs(count) >= one:
            return f"{count / one:.3g} {unit}"
    return f"{count:.0f} B"


def milliseconds(value: float) -> str:
    return f"{value:.3g} ms" if value < 1000 else f"{value:,.0f} ms"
