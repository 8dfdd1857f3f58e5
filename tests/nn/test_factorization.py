"""maas.nn.MatrixFactorization and RatingFactorization."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from maas import nn
from maas.errors import RecipeError
from maas.nn import MatrixFactorization, RatingFactorization
from maas.schema import TensorSpec


def inputs(*users: int) -> dict[str, torch.Tensor]:
    history = torch.tensor([[0, 2, 0], [1, 2, 3], [4, 0, 0]])
    return {"user": torch.tensor(users), "history": history, "history_lengths": torch.tensor([2, 3, 1])}


def test_a_known_user_is_a_product_and_a_bias() -> None:
    network = MatrixFactorization(3, 5, embedding_dim=4, seed=0)
    with torch.no_grad():
        network.bias.copy_(torch.arange(5.0))
    scores = network(**inputs(1, 2, 3))
    for row, user in enumerate((1, 2, 3)):
        wanted = [network.users.weight[user] @ network.items.weight[item] + item for item in range(5)]
        torch.testing.assert_close(scores[row], torch.stack(wanted))
    candidates = torch.tensor([[4, 0], [1, 1], [2, 3]])
    torch.testing.assert_close(network(**inputs(1, 2, 3), candidates=candidates), scores.gather(1, candidates))


def test_someone_new_is_the_mean_of_their_items_as_long_as_others_are() -> None:
    network = MatrixFactorization(3, 5, embedding_dim=4, seed=0).eval()
    scores = network(**inputs(0, 2, 0))
    middle = network.users.weight[1:].norm(dim=1).median()
    for row, items in ((0, [0, 2]), (2, [4])):
        mean = network.items.weight[items].mean(dim=0)
        wanted = network.items.weight @ (mean / mean.norm() * middle)
        torch.testing.assert_close(scores[row], wanted)
    torch.testing.assert_close(scores[1], network(**inputs(1, 2, 3))[1])


def test_ratings_of_the_unknown_fall_back_to_what_is_known() -> None:
    network = RatingFactorization(2, 3, embedding_dim=4, seed=0).eval()
    with torch.no_grad():
        network.users.weight[1:, 0] = torch.tensor([0.5, -0.5])
        network.items.weight[1:, 0] = torch.tensor([1.0, 2.0, 3.0])
    ratings = network(torch.tensor([1, 0, 1, 0]), torch.tensor([2, 2, 0, 0]))
    product = network.users.weight[1, 1:] @ network.items.weight[2, 1:]
    torch.testing.assert_close(ratings[:, 0], torch.stack([0.5 + 2 + product, *torch.tensor([2.0, 0.5, 0.0])]))


def test_padding_never_learns() -> None:
    network = RatingFactorization(2, 3)
    network(torch.tensor([0, 1]), torch.tensor([0, 1])).sum().backward()
    assert network.users.weight.grad is not None
    assert not network.users.weight.grad[0].any()
    assert network.users.weight.grad[1].any()


def test_biases_alone() -> None:
    network = RatingFactorization(2, 3, embedding_dim=0)
    assert network(torch.tensor([1]), torch.tensor([1])).tolist() == [[0.0]]


def test_a_seed_gives_the_same_vectors() -> None:
    one, other, third = (MatrixFactorization(3, 5, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.items.weight, other.items.weight)
    assert not torch.equal(one.items.weight, third.items.weight)


@pytest.mark.parametrize("kind", [MatrixFactorization, RatingFactorization])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_users": 0}, "`num_users` must be a positive integer, got 0"),
        ({"embedding_dim": -1}, "`embedding_dim` must be a positive integer, got -1"),
        ({"dropout": 1}, "`dropout` must be from 0 to below 1, got 1"),
        ({"deviation": 0}, "`deviation` must be above 0 and at most 100, got 0"),
        ({"seed": -1}, "`seed` must be None or an integer from 0"),
    ],
)
def test_arguments_out_of_range(kind: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        kind(**{"num_users": 5, "num_items": 6, **arguments})


def test_sizes_follow_from_the_data() -> None:
    ids = {"user": TensorSpec((), "int64", 8), "item": TensorSpec((), "int64", 10)}
    resolved = nn.recipe(RatingFactorization).resolve(ids, 1)
    assert (resolved.arguments["num_users"], resolved.arguments["num_items"]) == (7, 9)
    for wrong, outputs in ((ids, 2), ({"user": ids["user"]}, 1), ({**ids, "item": TensorSpec((), "int64")}, 1)):
        with pytest.raises(RecipeError, match="a RatingFactorization takes `user` and `item`"):
            nn.recipe(RatingFactorization).resolve(wrong, outputs)
