"""maas.nn.integrated_gradients: against networks whose attributions are known in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from maas.errors import DataError
from maas.nn import CNN, RNN, TextBag, TextCNN, TextRNN, TextTransformer, integrated_gradients


class Formula(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([3 * x[:, 0] - x[:, 1], x[:, 0] * x[:, 1], x[:, 0].exp()], dim=1)


X = torch.tensor([[2.0, 3.0], [-1.0, 0.5]])
START = torch.tensor([1.0, -1.0])


def attributed(output: int) -> torch.Tensor:
    aim = torch.zeros(2, 3)
    aim[:, output] = 1
    found = integrated_gradients(Formula(), {"x": X}, {"x": START}, aim)
    torch.testing.assert_close(found.outputs, Formula()(X)[:, output])
    torch.testing.assert_close(found.baselines, Formula()(START.expand(2, 2))[:, output])
    assert found.gap.max() < 1e-4
    return found.parts["x"]


def test_a_linear_output_gives_each_number_its_weight_times_its_way() -> None:
    torch.testing.assert_close(attributed(0), torch.tensor([3.0, -1.0]) * (X - START))


def test_a_product_is_shared_by_the_integral() -> None:
    """Integral of x1(t) dx0 with x(t) straight: the way of x0 times the mean of x1 at both ends."""
    along, middle = X - START, (X + START) / 2
    torch.testing.assert_close(attributed(1), torch.stack([along[:, 0] * middle[:, 1], along[:, 1] * middle[:, 0]], 1))


def test_a_number_that_does_nothing_adds_nothing() -> None:
    found = attributed(2)
    torch.testing.assert_close(found[:, 0], X[:, 0].exp() - math.exp(START[0]))
    assert found[:, 1].tolist() == [0.0, 0.0]


class SumOfEmbeddings(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 2, padding_idx=0)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.embedding(tokens).sum(dim=(1, 2))[:, None]


def test_a_token_adds_what_its_vector_does() -> None:
    network = SumOfEmbeddings()
    tokens = torch.tensor([[1, 4, 0], [2, 2, 3]])
    found = integrated_gradients(network, {"tokens": tokens}, {"tokens": torch.tensor(0)}, torch.ones(2, 1))
    torch.testing.assert_close(found.parts["tokens"], network.embedding.weight.sum(dim=1)[tokens].detach())
    assert found.baselines.tolist() == [0.0, 0.0]
    assert not network.embedding._forward_hooks


@pytest.mark.parametrize(
    "network",
    [
        TextRNN(9, 2, bidirectional=True, seed=0), TextRNN(9, 2, pooling="mean", seed=0), TextCNN(9, 2, seed=0),
        TextTransformer(9, 2, seed=0),
    ],
)  # fmt: skip
def test_tokens_of_each_text_network_add_up_and_padding_adds_nothing(network: nn.Module) -> None:
    tokens = torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]])
    inputs = {"tokens": tokens, "tokens_lengths": torch.tensor([4, 2])}
    found = integrated_gradients(network.eval(), inputs, {"tokens": torch.tensor(0)}, torch.tensor([[1.0, 0.0]] * 2))
    assert found.parts["tokens"].shape == tokens.shape
    assert found.parts["tokens"][1, 2:].tolist() == [0.0, 0.0]
    assert (found.gap <= 0.02 * (found.outputs - found.baselines).abs() + 1e-4).all()


def test_images_and_sequences_add_up() -> None:
    torch.manual_seed(0)
    image = torch.rand(2, 3, 16, 16)
    network = CNN(3, 16, 16, 2, normalization="batch").eval()
    found = integrated_gradients(network, {"image": image}, {"image": torch.zeros(1)}, torch.ones(2, 2))
    assert found.parts["image"].shape == image.shape
    assert (found.gap <= 0.05 * (found.outputs - found.baselines).abs() + 1e-3).all()
    rows = {"sequence": torch.randn(2, 5, 3), "sequence_lengths": torch.tensor([5, 3])}
    found = integrated_gradients(RNN(3, 1, seed=0).eval(), rows, {"sequence": torch.zeros(1)}, torch.ones(2, 1))
    assert found.gap.max() < 1e-4
    assert found.parts["sequence"][1, 3:].abs().max() == 0


def test_a_network_that_reads_tokens_its_own_way_is_refused() -> None:
    inputs = {"tokens": torch.tensor([[1, 2]]), "tokens_lengths": torch.tensor([2])}
    with pytest.raises(DataError, match=r"reads 'tokens' otherwise than through an nn\.Embedding"):
        integrated_gradients(TextBag(9, 2).eval(), inputs, {"tokens": torch.tensor(0)}, torch.ones(1, 2))
