"""What networks over padded tokens share: embedding, parts that fit in memory, and the sizes that the data gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from maas.errors import RecipeError
from maas.schema import TensorSpec

_MOST_STEPS = 1 << 16  # tokens that go through a network at once where nothing is learned: bounds its memory


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


def embed(embedding: nn.Embedding, tokens: torch.Tensor) -> torch.Tensor:
    """(batch, steps) or (batch, steps, orders) -> (batch, steps, embedding_dim).

    A step's token and the n-grams that begin with it are added (as the n-grams of Bojanowski et al. 2017).
    """
    vectors: torch.Tensor = embedding(tokens)
    return vectors.sum(dim=2) if tokens.dim() == 3 else vectors


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
