"""A multilayer perceptron."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from maas.errors import RecipeError
from maas.nn._arguments import check_choice, check_dropout, check_positive, check_sizes
from maas.nn._register import network
from maas.schema import TensorSpec

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
}
NORMALIZATIONS: dict[str, type[nn.Module]] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
INITIALIZATIONS = (
    "kaiming_uniform",
    "kaiming_normal",
    "xavier_uniform",
    "xavier_normal",
    "uniform",
    "normal",
    "orthogonal",
)
_GAINS = {"relu": 2**0.5, "leaky_relu": 2**0.5, "tanh": 5 / 3}  # as torch.nn.init.calculate_gain
_MOST_LAYERS = 1000


@network("mlp")
class MLP(nn.Module):
    """Fully connected layers: hidden ones of linear, normalisation, activation and dropout, then a linear output.

    Args:
        in_features: numbers a row.
        out_features: outputs a row; raw scores, no softmax.
        hidden: sizes of the hidden layers; empty for a linear model.
        activation: "relu", "gelu", "silu", "tanh", "sigmoid", "leaky_relu" or "elu".
        dropout: share of hidden units dropped in training, from 0 to below 1.
        normalization: "batch", "layer" or None.
        initialization: of the weights: "kaiming_uniform" (He et al. 2015), "kaiming_normal", "xavier_uniform" (Glorot
            and Bengio 2010), "xavier_normal", "uniform" (-0.05 to 0.05), "normal" (deviation 0.05), "orthogonal".
            Biases start at 0.
        seed: of the initial weights; by default torch's global generator draws them.

    Raises:
        RecipeError: an argument is out of its range.

    >>> sum(p.numel() for p in MLP(100, 10, hidden=(64, 64)).parameters())
    11274
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        hidden: Sequence[int] = (64, 64),
        activation: str = "relu",
        dropout: float = 0.0,
        normalization: str | None = None,
        initialization: str = "kaiming_uniform",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_positive(in_features=in_features, out_features=out_features)
        check_sizes("hidden", hidden, such_as=(64, 64), most=_MOST_LAYERS, fewest=0)
        check_choice("activation", activation, ACTIVATIONS)
        check_choice("normalization", normalization, (None, *NORMALIZATIONS))
        check_choice("initialization", initialization, INITIALIZATIONS)
        check_dropout(dropout)

        with torch.random.fork_rng(devices=[], enabled=seed is not None):  # layers draw weights of their own first
            self._build(in_features, out_features, hidden, activation, dropout, normalization)
        self._initialize(initialization, activation, seed)

    def _build(
        self,
        in_features: int,
        out_features: int,
        hidden: Sequence[int],
        activation: str,
        dropout: float,
        normalization: str | None,
    ) -> None:
        layers: list[nn.Module] = []
        width = in_features
        for size in hidden:
            layers.append(nn.Linear(width, size))
            if normalization is not None:
                layers.append(NORMALIZATIONS[normalization](size))
            layers.append(ACTIVATIONS[activation]())
            if dropout > 0:
                layers.append(nn.Dropout(dropout))
            width = size
        self.hidden = nn.Sequential(*layers)
        self.output = nn.Linear(width, out_features)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives: one input `x`, a vector a row."""
        spec = inputs.get("x")
        if len(inputs) != 1 or spec is None or len(spec.shape) != 1 or spec.shape[0] is None:
            found = ", ".join(f"{name} {one.shape}" for name, one in inputs.items())
            raise RecipeError(f"an MLP takes one vector `x` of fixed size a row, the data gives {found}")
        return {"in_features": spec.shape[0], "out_features": num_outputs}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, in_features) -> (batch, out_features)."""
        outputs: torch.Tensor = self.output(self.hidden(x))
        return outputs

    def _initialize(self, initialization: str, activation: str, seed: int | None) -> None:
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        gain = _GAINS.get(activation, 1.0)
        for module in self.modules():
            if not isinstance(module, nn.Linear) or module.weight.is_meta:
                continue
            weight = module.weight
            if initialization == "kaiming_uniform":
                nn.init.kaiming_uniform_(weight, nonlinearity="relu", generator=generator)
            elif initialization == "kaiming_normal":
                nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
            elif initialization == "xavier_uniform":
                nn.init.xavier_uniform_(weight, gain, generator=generator)
            elif initialization == "xavier_normal":
                nn.init.xavier_normal_(weight, gain, generator=generator)
            elif initialization == "uniform":
                nn.init.uniform_(weight, -0.05, 0.05, generator=generator)
            elif initialization == "normal":
                nn.init.normal_(weight, 0.0, 0.05, generator=generator)
            else:
                nn.init.orthogonal_(weight, gain, generator=generator)
            nn.init.zeros_(module.bias)
