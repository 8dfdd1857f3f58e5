"""The test rows answered worst, each as a person can look at it: images, texts, lines, or names with values."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from maas.data import Rows
from maas.metrics import WorstRow
from maas.reporting._charts import label_of, legend, sparkline
from maas.reporting._html import Html, cut, join, tag
from maas.schema import Field

_FIRST_FIELDS = 6
_MOST_FIELDS = 60
_MOST_CHANNELS = 4
_MOST_NUMBERS = 6
_MOST_STEPS = 400
_LONGEST_TEXT = 400
_LARGEST_SIDE = 160
_SMALL_SIDE = 64


def worst_rows(worst: tuple[WorstRow, ...], test: Rows | None) -> Html:
    """One card a row: what was given, what was true, what was answered."""
    cards = []
    wide = False
    for one in worst:
        parts = [tag("p", f"row {one.position:,}", class_="note")]
        if test is not None:
            shown = _inputs(test, one.position)
            wide |= "<img" not in shown
            parts.append(shown)
        parts += [_judged(one)]
        cards.append(tag("li", *parts, class_="card"))
    return tag("ul", *cards, class_="cards wide" if wide else "cards")


def _judged(one: WorstRow) -> Html:
    if isinstance(one.truth, np.ndarray):
        truth, answer = (
            np.asarray(values, np.float64).reshape(len(values), -1)[:, 0] for values in (one.truth, one.answer)
        )
        chart = sparkline("truth and forecast by step", [truth.tolist(), answer.tolist()], classes=("s2", "s0"))
        entries = legend(("line s2", "truth"), ("line s0", "forecast"))
        return join(chart, entries, tag("p", f"RMSE {label_of(float(f'{one.loss:.4g}'))}"))
    if isinstance(one.truth, float):
        off = one.answer - one.truth
        texts = [("truth", f"{one.truth:,.6g}"), ("answer", f"{one.answer:,.6g}"), ("off by", f"{off:+,.4g}")]
        return _pairs(texts)
    sure = "" if one.confidence is None else f" ({one.confidence:.1%})"
    note = "" if not one.right else tag("p", "answered rightly", class_="note")
    return join(_pairs([("truth", cut(str(one.truth), 80)), ("answer", cut(str(one.answer), 80) + sure)]), note)


def _inputs(test: Rows, position: int) -> Html:
    """The fields of a row: pictures, lines and texts one by one, the rest as names with values."""
    parts: list[str] = []
    plain: list[tuple[str, str]] = []
    for field in test.schema.fields:
        value = test.columns[field.name][position]
        shown = _picture(field, value)
        if shown is None:
            plain.append((field.name, _plain(field, value)))
        else:
            parts.append(shown)
    if plain:
        parts.append(_pairs(plain[:_FIRST_FIELDS]))
    if more := plain[_FIRST_FIELDS:_MOST_FIELDS]:
        parts.append(tag("details", tag("summary", f"{len(plain) - _FIRST_FIELDS} more"), _pairs(more)))
    return join(*parts)


def _picture(field: Field, value: Any) -> Html | None:
    if isinstance(value, bytes):
        return _thumbnail(field.name, value) if field.kind == "image" else None
    if field.dtype == "string" and isinstance(value, str):
        return tag("blockquote", cut(value, _LONGEST_TEXT) or "(empty)", dir="auto")
    if isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind == "f" and len(value):
        step = max(1, len(value) // _MOST_STEPS)
        channels = value[::step, :_MOST_CHANNELS].T.tolist()
        more = "" if value.shape[1] <= _MOST_CHANNELS else f", {_MOST_CHANNELS} of {value.shape[1]} channels"
        drawn = sparkline(f"{field.name} by step", channels)
        return join(drawn, tag("p", f"{field.name}: {len(value):,} steps{more}", class_="note"))
    return None


def _plain(field: Field, value: Any) -> str:
    if isinstance(value, np.ndarray):
        shown = ", ".join(f"{number:.4g}" for number in value.reshape(-1)[:_MOST_NUMBERS].tolist())
        return shown + (f", … ({value.size:,} numbers)" if value.size > _MOST_NUMBERS else "")
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    python = field.to_python(value)
    if python is None:
        return "missing"
    return f"{python:,.6g}" if isinstance(python, float) else cut(str(python), 80)


def _thumbnail(name: str, content: bytes) -> Html:
    """The image decoded by the one decoder there is and stored again by us, so that no byte of the file gets here."""
    from torch.nn import functional as F
    from torchvision.io import encode_png

    from maas.preprocess import decode

    try:
        pixels = decode(content)  # (3, height, width)
    except ValueError as error:
        return tag("p", f"{name} {error}", class_="note")
    side = max(pixels.shape[1:])
    if side > _LARGEST_SIDE:
        size = [max(1, round(length * _LARGEST_SIDE / side)) for length in pixels.shape[1:]]
        pixels = F.interpolate(pixels[None], size=size, mode="bilinear", antialias=True)[0]
    png = base64.b64encode(encode_png(pixels.contiguous()).numpy().tobytes()).decode("ascii")
    return tag("img", src=f"data:image/png;base64,{png}", alt=name, class_="small" if side <= _SMALL_SIDE else None)


def _pairs(pairs: list[tuple[str, str]]) -> Html:
    return tag(
        "dl",
        *(tag("div", tag("dt", cut(name, 40)), tag("dd", value, dir="auto")) for name, value in pairs),
        class_="pairs",
    )
