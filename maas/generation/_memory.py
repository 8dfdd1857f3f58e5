"""How many requests fit into memory at once."""

from __future__ import annotations

from maas.errors import DataError
from maas.nn import CausalTransformer
from maas.nn._memory import free_bytes

_SHARE = 0.9  # of what is free: the rest is for what a step computes with


def slots_that_fit(network: CausalTransformer, context: int | None = None, *, memory_bytes: int | None = None) -> int:
    """How many requests' keys and values fit into free memory, where the network runs.

    Args:
        network: with its weights in place already.
        context: most tokens of a request, prompt and answer; by default the network's.
        memory_bytes: to be used; None: nine tenths of what is free.

    Raises:
        DataError: not even one fits.
    """
    size = slot_bytes(network, network.context if context is None else context)
    room = int(free_bytes(network.embedding.weight.device) * _SHARE) if memory_bytes is None else memory_bytes
    if room < size:
        raise DataError(
            f"a request of {network.context if context is None else context} tokens takes {size / 1e6:,.0f} MB of "
            f"memory and {room / 1e6:,.0f} MB are there; choose a smaller `context`, or bfloat16 weights"
        )
    return room // size


def slot_bytes(network: CausalTransformer, context: int) -> int:
    """Bytes of the keys and values of a request of so many tokens."""
    numbers = 2 * len(network.blocks) * network.kv_heads * network.head_dim * context
    return numbers * network.embedding.weight.element_size()
