"""What networks over padded tokens share: embedding, masks, pooling, and the sizes that the data gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from maas.errors import RecipeError, show
from maas.schema import TensorSpec

_MOST_STEPS = 1 << 16  # tokens that go through a network at once where nothing is learned: bounds its memory
_MOST_LAYERS = 100
POOLINGS = ("last", "mean", "max")


def sizes_of_tokens(name: str, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
    """The sizes of a network over `tokens`: its vocabulary and its outputs.

    Raises:
        RecipeError: the data gives something else than tokens.
    """
    spec = inputs.get("tokens")
    if set(inputs) != {"tokens", "tokens_lengths"} or spec is None or spec.limit is None:
        found = ", ".join(f"{one} {spec.shape}" for one, spec in inputs.items())
        raise RecipeError(f"a {name} takes `tokens` and `tokens_lengths`, as texts give them, the data gives {found}")
    return {"vocabulary": spec.limit, "out_features": num_outputs}


def embedding(vocabulary: int, dim: int) -> nn.Embedding:
    """A table of one vector a token; 0, which pads, stays zero.

    It starts small (deviation 0.05): at torch's deviation of 1 the vectors of rare tokens stay the noise they began as.
    """
    table = nn.Embedding(vocabulary, dim, padding_idx=0)
    with torch.no_grad():
        table.weight.mul_(0.05)
    return table


def check_arguments(sizes: Mapping[str, Any], dropout: Any, seed: Any) -> None:
    """Raise RecipeError for a size that is no positive integer, or another argument out of its range."""
    for name, size in sizes.items():
        if type(size) is not int or size < 1:
            raise RecipeError(f"`{name}` must be a positive integer, got {show(size)}")
        if name == "num_layers" and size > _MOST_LAYERS:
            raise RecipeError(f"`num_layers` may be at most {_MOST_LAYERS}, got {size}")
    if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout < 1:
        raise RecipeError(f"`dropout` must be from 0 to below 1, got {show(dropout)}")
    if seed is not None and (type(seed) is not int or not 0 <= seed < 2**63):
        raise RecipeError(f"`seed` must be None or an integer from 0 to below 2**63, got {show(seed)}")


def check_choice(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise RecipeError(f"`{name}` must be one of {', '.join(known)}, got {show(value)}")


def embed(embedding: nn.Embedding, tokens: torch.Tensor) -> torch.Tensor:
    """(batch, steps) or (batch, steps, orders) -> (batch, steps, embedding_dim).

    A step's token and the n-grams that begin with it are added (as the n-grams of Bojanowski et al. 2017).
    """
    vectors: torch.Tensor = embedding(tokens)
    return vectors.sum(dim=2) if tokens.dim() == 3 else vectors


def mask_of(lengths: torch.Tensor, steps: int) -> torch.Tensor:
    """Which steps are valid, bool of shape (batch, steps)."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def pool(states: torch.Tensor, lengths: torch.Tensor, pooling: str) -> torch.Tensor:
    """(batch, steps, features) -> (batch, features), over the valid steps only; "last" is the last valid one."""
    if pooling == "last":
        last = (lengths - 1)[:, None, None].expand(-1, 1, states.shape[2])
        return states.gather(1, last)[:, 0]
    valid = mask_of(lengths, states.shape[1])[:, :, None]
    if pooling == "max":
        return states.masked_fill(~valid, float("-inf")).amax(dim=1)
    return (states * valid).sum(dim=1) / lengths[:, None]


def parts(
    network: nn.Module, tokens: torch.Tensor, lengths: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The rows, and where nothing is learned so few of them at once that memory is bounded."""
    if torch.compiler.is_exporting():  # a graph has no loop over as many parts as there will be
        yield tokens, lengths
        return
    rows = max(1, len(tokens) if network.training else _MOST_STEPS // max(1, tokens.shape[1]))
    for start in range(0, max(1, len(tokens)), rows):
        yield tokens[start : start + rows], lengths[start : start + rows]
