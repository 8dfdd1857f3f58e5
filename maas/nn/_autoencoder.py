"""An autoencoder over vectors: what it cannot rebuild is unusual."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from maas.errors import RecipeError, show
from maas.nn._arguments import check_positive
from maas.nn._mlp import MLP
from maas.nn._register import network
from maas.schema import TensorSpec


@network("autoencoder")
class AutoEncoder(nn.Module):
    """A vector squeezed through a narrow layer and rebuilt; its answer is the error, one number a row.

    Args:
        in_features: numbers a row.
        hidden: sizes of the layers before the code; those after it mirror them.
        code: size of the narrow layer; None: half of `in_features`, rounded up.
        activation: as of `maas.nn.MLP`; of the hidden layers. The code and the output are linear.
        noise: deviation of normal noise added to the row in training, so that it is the undisturbed row that must be
            rebuilt (Vincent et al. 2008); 0: none.
        seed: of the initial weights, as of `maas.nn.MLP`; by default torch's global generator draws them.

    Raises:
        RecipeError: an argument is out of its range.

    >>> AutoEncoder(13, hidden=(32,), code=4, seed=0)(torch.zeros(2, 13)).shape
    torch.Size([2, 1])
    """

    def __init__(
        self,
        in_features: int,
        *,
        hidden: Sequence[int] = (64,),
        code: int | None = None,
        activation: str = "relu",
        noise: float = 0.0,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_positive(in_features=in_features, **{} if code is None else {"code": code})
        check_noise(noise)
        narrow = math.ceil(in_features / 2) if code is None else code
        self.noise = float(noise)
        self.encoder = MLP(in_features, narrow, hidden=hidden, activation=activation, seed=seed)
        after = None if seed is None else seed + 1  # not the encoder's weights over again
        self.decoder = MLP(narrow, in_features, hidden=tuple(reversed(hidden)), activation=activation, seed=after)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The size that the data gives: one input `x`, a vector a row."""
        check_one_output("an AutoEncoder", num_outputs)
        return {"in_features": MLP.sizes(inputs, num_outputs)["in_features"]}

    def reconstruct(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, in_features) -> (batch, in_features): what is left of the rows."""
        rebuilt: torch.Tensor = self.decoder(self.encoder(with_noise(x, self.noise, self.training)))
        return rebuilt

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, in_features) -> (batch, 1): the squared error, the mean over the features."""
        return (self.reconstruct(x) - x).square().mean(dim=1, keepdim=True)


def with_noise(values: torch.Tensor, deviation: float, training: bool) -> torch.Tensor:
    """The values, in training disturbed by normal noise."""
    return values + deviation * torch.randn_like(values) if training and deviation else values


def check_noise(noise: Any) -> None:
    """Raise RecipeError for what is no deviation."""
    if isinstance(noise, bool) or not isinstance(noise, (int, float)) or not 0 <= noise < math.inf:
        raise RecipeError(f"`noise` must be a deviation, 0 or more, got {show(noise)}")


def check_one_output(name: str, num_outputs: int) -> None:
    """Raise RecipeError where the task wants something else than one score a row."""
    if num_outputs != 1:
        raise RecipeError(
            f"{name} gives one number a row, its error, and this task wants {num_outputs}; it is for task='anomaly'"
        )
