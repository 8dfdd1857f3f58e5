"""One step ahead: the next item is made while the one before is being used."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")


def ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """The same items in the same order, each made in a thread while the one before is being used.

    Whoever stops early waits for the item that is being made, and no further one is. What making one raises is raised
    where it would be used.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="maas-ahead") as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item
