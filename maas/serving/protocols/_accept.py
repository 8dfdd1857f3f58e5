"""Which of the forms that an answer can take the client accepts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from maas.client import DESCRIPTION, IDENTITY, V2_METADATA

JSON = "application/json"
NPY = "application/x-npy"
OCTETS = "application/octet-stream"
ABOUT = (DESCRIPTION, IDENTITY, V2_METADATA)
"""What a client accepts that asks about the model itself."""


@lru_cache(maxsize=256)
def media_type(header: str) -> str:
    """A Content-Type without its parameters, in lower case."""
    return header.partition(";")[0].strip().lower()


@lru_cache(maxsize=256)
def preferred(accept: str, forms: tuple[str, ...], named_only: tuple[str, ...] = ()) -> str | None:
    """The form that an Accept header likes best; None where it takes none of them.

    Args:
        accept: the header.
        forms: media types that the answer can have, the usual one first.
        named_only: further ones, given only where the header names them in full.

    Source: RFC 9110, section 12.5.1. Of equal weights, what is named in full goes before a wildcard, then by order.

    >>> preferred("application/x-npy, */*;q=0.1", ("application/json", "application/x-npy"))
    'application/x-npy'
    """
    ranges: dict[str, tuple[float, int]] = {}
    for place, item in enumerate(accept.split(",")):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        ranges.setdefault(name, (weight, place))
    best: tuple[float, int, int] | None = None
    found = None
    for form in (*forms, *named_only):
        wild = [] if form in named_only else [form.partition("/")[0] + "/*", "*/*"]
        for rank, name in enumerate([form, *wild]):
            if name in ranges:
                weight, place = ranges[name]
                if weight > 0 and (best is None or (-weight, rank, place) < best):
                    best, found = (-weight, rank, place), form
                break
    return found


def form_of(said: Mapping[str, Any], forms: tuple[str, ...]) -> str | None:
    """The form that an answer is to have, or one of `ABOUT`; None where the client takes none of them.

    Args:
        said: headers of the request, their names in lower case.
        forms: as in `preferred`.
    """
    accept = said.get("accept")
    form = preferred(accept, forms, ABOUT) if isinstance(accept, str) and accept != "*/*" else forms[0]
    if form not in ABOUT and said.get("describe") == "True":  # so TorchServe asks, for GET /models/NAME?customized=true
        return DESCRIPTION
    return form
