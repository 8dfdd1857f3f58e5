"""Work that releases the interpreter's lock, such as decoding, in as many threads as torch has for itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

_Found = TypeVar("_Found")


def each(call: Callable[[int], _Found], count: int) -> list[_Found]:
    """`[call(0), call(1), ...]`, several of them at a time; what one raises is raised here.

    Torch's own operations in them take one thread each: there are no more cores than calls in work.
    """
    given = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if min(given, count) < 2:
            return [call(place) for place in range(count)]
        return list(_pool(given).map(call, range(count)))
    finally:
        torch.set_num_threads(given)


@cache
def _pool(size: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(size, thread_name_prefix="maas-decode")


os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has the pool, and none of its threads
