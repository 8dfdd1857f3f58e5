"""The next part of many rows is made while the one before is used."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from maas.model._ahead import ahead


def test_the_next_part_is_made_while_the_one_before_is_used() -> None:
    made = [threading.Event() for _ in range(3)]

    def parts() -> Iterator[int]:
        for place, one in enumerate(made):
            one.set()
            yield place

    for place in ahead(parts()):
        if place < 2:
            assert made[place + 1].wait(timeout=10)
    assert list(ahead(iter([4, 5, 6]))) == [4, 5, 6]


def test_what_making_a_part_raises_is_raised_where_it_would_be_used() -> None:
    parts = ahead(1 // number for number in (1, 0))
    assert next(parts) == 1
    with pytest.raises(ZeroDivisionError):
        next(parts)
