"""Keys and values of earlier tokens, by slots, and attention to them for rows that come with any number of new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Piece:
    """The next tokens of one row.

    Args:
        slot: where the row stands in the cache.
        start: how many of its tokens the cache holds already.
        count: how many come now, at least one.
    """

    slot: int
    start: int
    count: int


class KeyValues:
    """Room for the keys and values of `slots` rows of `context` tokens, taken and touched at once.

    Args:
        num_layers, kv_heads, head_dim: of the network.
        slots: most rows.
        context: most tokens of each.
        dtype: of the network's weights.
        device: where it runs.
    """

    def __init__(
        self,
        num_layers: int,
        kv_heads: int,
        head_dim: int,
        *,
        slots: int,
        context: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.slots, self.context, self.device, self.dtype = slots, context, device, dtype
        shape = (slots, context, 2, kv_heads, head_dim)
        self.layers = [torch.empty(shape, dtype=dtype, device=device).fill_(0) for _ in range(num_layers)]

    def move(self, source: int, target: int, count: int) -> None:
        """Copy a row's first tokens into another slot."""
        for layer in self.layers:
            layer[target, :count].copy_(layer[source, :count])

    def clear(self, slot: int) -> None:
        """Forget what a slot holds, down to the last number: NaN in it would reach whoever comes next."""
        for layer in self.layers:
            layer[slot].fill_(0)


class Plan:
    """What a pass needs to know of its pieces, found out once for all layers.

    Args:
        pieces: of different slots. The leading ones of a single token are attended to together, others one by one.
        cache: that they go on from.
    """

    def __init__(self, pieces: Sequence[Piece], cache: KeyValues) -> None:
        positions = [place for one in pieces for place in range(one.start, one.start + one.count)]
        places = [one.slot * cache.context + at for one in pieces for at in range(one.start, one.start + one.count)]
        self.positions, self._places = torch.tensor([positions, places]).to(cache.device)
        singles = next((number for number, one in enumerate(pieces) if one.count > 1), len(pieces))
        self._singles, self._rest = pieces[:singles], pieces[singles:]
        if self._singles:
            slots = [one.slot for one in self._singles]
            first, last = min(slots), max(slots)
            ends = torch.ones(last - first + 1, dtype=torch.int64)  # whoever stands between heeds one, for nothing
            rows = torch.tensor(slots) - first
            ends[rows] = torch.tensor([one.start + 1 for one in self._singles])
            self._slots, self._end = slice(first, last + 1), int(ends.max())
            self._rows = None if rows.tolist() == list(range(len(ends))) else rows.to(cache.device)
            seen = torch.arange(self._end) < ends[:, None, None, None]
            self._mask = _mask(seen, cache)  # (slots, 1, 1, end)
        self._masks = [None if one.start == 0 else _mask(_seen(one), cache) for one in self._rest]

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layer: torch.Tensor) -> torch.Tensor:
        """Put keys and values into a layer of the cache, and heed it.

        Args:
            query: of shape (tokens, heads, head_dim), piece by piece.
            key, value: of shape (tokens, kv_heads, head_dim).
            layer: of the cache.

        Returns:
            What is heeded, of shape (tokens, heads * head_dim).
        """
        heads, kv_heads, dim = query.shape[1], key.shape[1], query.shape[2]
        flat = layer.view(-1, 2, kv_heads, dim)
        flat.index_copy_(0, self._places, torch.stack([key, value], dim=1))
        heeded, start = [], len(self._singles)
        if start:
            keys, values = layer[self._slots, : self._end].permute(2, 0, 3, 1, 4)  # each (singles, kv_heads, end, dim)
            some = query[:start]
            if self._rows is not None:
                some = query.new_zeros(len(self._mask), heads, dim).index_copy_(0, self._rows, some)
            some = some.view(len(some), kv_heads, -1, dim)  # a group of queries shares its keys as steps do
            out = F.scaled_dot_product_attention(some, keys, values, attn_mask=self._mask).flatten(1)
            heeded.append(out if self._rows is None else out[self._rows])
        for one, mask in zip(self._rest, self._masks, strict=True):
            keys, values = layer[one.slot, : one.start + one.count].permute(1, 2, 0, 3)[:, None]
            some = query[start : start + one.count].transpose(0, 1)[None]  # (1, heads, count, dim)
            out = F.scaled_dot_product_attention(
                some, keys, values, attn_mask=mask, is_causal=mask is None, enable_gqa=heads != kv_heads
            )
            heeded.append(out[0].transpose(0, 1).flatten(1))
            start += one.count
        return heeded[0] if len(heeded) == 1 else torch.cat(heeded)


def _seen(piece: Piece) -> torch.Tensor:
    end = piece.start + piece.count
    return torch.arange(end) <= torch.arange(piece.start, end)[:, None]


def _mask(seen: torch.Tensor, cache: KeyValues) -> torch.Tensor:
    """What is added to scores: kernels turn a mask of booleans into this in every layer."""
    return torch.zeros(seen.shape, dtype=cache.dtype).masked_fill_(~seen, float("-inf")).to(cache.device)
