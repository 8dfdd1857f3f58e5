"""How many requests fit: the sizes are counted, and what does not fit is told before anything is taken."""

from __future__ import annotations

import pytest

from maas.errors import DataError
from maas.generation import Engine, slots_that_fit
from maas.nn import CausalTransformer


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("bfloat16", 2), ("float16", 2)])
def test_a_slot_takes_what_its_tensors_take(dtype: str, size: int) -> None:
    network = CausalTransformer(50, context=64, width=32, num_layers=3, num_heads=4, num_kv_heads=2, dtype=dtype)
    one = sum(layer.nbytes for layer in network.cache(slots=1).layers)
    assert one == 2 * 3 * 2 * 8 * 64 * size
    assert slots_that_fit(network, memory_bytes=5 * one - 1) == 4
    assert slots_that_fit(network, 32, memory_bytes=5 * one) == 10
    with pytest.raises(DataError, match=r"a request of 64 tokens takes .* MB.*smaller `context`"):
        slots_that_fit(network, memory_bytes=one - 1)


def test_free_memory_is_asked_for_where_none_is_said() -> None:
    network = CausalTransformer(50, context=64, width=32, num_layers=3, num_heads=4)
    assert slots_that_fit(network) > 100


def test_a_cache_that_does_not_fit_is_told_before_it_is_taken() -> None:
    network = CausalTransformer(50, context=1 << 20, width=32, num_layers=3, num_heads=4)
    with pytest.raises(DataError, match=r"1000000 slots of 1048576 tokens do not fit.*fewer `slots`"):
        Engine(network, slots=1_000_000)
