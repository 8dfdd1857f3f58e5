"""maas.nn.CausalTransformer: going on from a cache gives what reading all at once does; its arguments are checked."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from maas.errors import RecipeError
from maas.nn import CausalTransformer, KeyValues, Piece
from maas.schema import TensorSpec

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "shared keys": {"num_kv_heads": 2, "head_dim": 6},
    "free head": {"num_kv_heads": 1, "tied": False, "qkv_bias": True, "qk_norm": True},
    "stretched": {"rope_scaling": {"type": "linear", "factor": 2.0}},
}


def made(**arguments: Any) -> CausalTransformer:
    """A network whose weights are large enough for attention to matter."""
    network = CausalTransformer(
        40, **{"context": 48, "width": 32, "num_layers": 3, "num_heads": 4, "seed": 0, **arguments}
    ).eval()
    for number, parameter in enumerate(network.parameters()):
        torch.nn.init.normal_(
            parameter, mean=float(parameter.dim() == 1), std=0.2, generator=torch.Generator().manual_seed(number)
        )
    return network


def drawn(rows: int, steps: int) -> torch.Tensor:
    return torch.randint(0, 40, (rows, steps), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_going_on_in_pieces_gives_what_reading_at_once_does(kind: str) -> None:
    """Rows in any slots, their pieces of any size and in any company."""
    network, tokens = made(**KINDS[kind]), drawn(3, 30)
    wanted = network(tokens)
    cache, found = network.cache(slots=5, context=30), torch.zeros_like(wanted)
    slots, at = [4, 0, 2], [0, 0, 0]
    for counts in [(5, 0, 1), (1, 1, 0), (1, 9, 1), (1, 1, 1), (0, 2, 1), (15, 1, 20), (7, 16, 6)]:
        rows = sorted((row for row in range(3) if counts[row]), key=lambda row: counts[row] > 1)
        some = torch.cat([tokens[row, at[row] : at[row] + counts[row]] for row in rows])
        out = network.logits(network.advance(some, [Piece(slots[row], at[row], counts[row]) for row in rows], cache))
        for row, part in zip(rows, out.split([counts[row] for row in rows]), strict=True):
            found[row, at[row] : at[row] + counts[row]] = part
            at[row] += counts[row]
    assert at == [30, 30, 30]
    assert float((found - wanted).abs().max()) <= 1e-5 * float(wanted.abs().max())


@torch.inference_mode()
def test_no_step_sees_a_later_one() -> None:
    network, tokens = made(), drawn(2, 20)
    changed = tokens.clone()
    changed[:, 12:] = (changed[:, 12:] + 1) % 40
    assert torch.allclose(network(tokens)[:, :12], network(changed)[:, :12], rtol=0, atol=1e-6)
    assert not torch.allclose(network(tokens)[:, 12:], network(changed)[:, 12:], rtol=0, atol=1e-2)


@torch.inference_mode()
def test_what_moves_to_another_slot_goes_on_there() -> None:
    network, tokens = made(num_kv_heads=2), drawn(1, 20)[0]
    cache = network.cache(slots=3)
    network.advance(tokens[:19], [Piece(2, 0, 19)], cache)
    cache.move(2, 1, 19)
    cache.clear(2)
    assert not any(layer[2].any() for layer in cache.layers)
    found = network.logits(network.advance(tokens[19:], [Piece(1, 19, 1)], cache))[0]
    assert torch.allclose(found, network(tokens[None])[0, -1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@torch.inference_mode()
def test_half_precision_stays_near_to_float32(dtype: str) -> None:
    """One token at a time and many at once, which are different products on a CPU."""
    exact, tokens = made(num_kv_heads=2, qkv_bias=True), drawn(1, 24)[0]
    network = made(num_kv_heads=2, qkv_bias=True, dtype=dtype)
    network.load_state_dict(exact.state_dict())  # torch 2.11 draws other weights in half precision
    assert {parameter.dtype for parameter in network.parameters()} == {getattr(torch, dtype)}
    cache = network.cache(slots=1)
    parts = [network.advance(tokens[:20], [Piece(0, 0, 20)], cache)]
    parts += [network.advance(tokens[at : at + 1], [Piece(0, at, 1)], cache) for at in range(20, 24)]
    found, wanted = network.logits(torch.cat(parts)).float(), exact(tokens[None])[0]
    assert float((found - wanted).norm()) <= 0.02 * float(wanted.norm())


def test_what_stands_in_a_linear_layers_place_is_called() -> None:
    """As adapters and layers in integers do."""
    network, tokens = made(), drawn(1, 9)[0]
    for block in network.blocks:
        block.down = torch.nn.Sequential(block.down, torch.nn.Hardtanh(-0.1, 0.1))
    with torch.inference_mode():
        found = network.logits(network.advance(tokens, [Piece(0, 0, 9)], network.cache(slots=1)))
        assert torch.allclose(found, network(tokens[None])[0], rtol=0, atol=1e-5)


def test_a_seed_repeats_the_weights_and_training_reaches_all_of_them() -> None:
    one, other = (CausalTransformer(40, width=32, num_layers=2, qkv_bias=True, qk_norm=True, seed=5) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    one(drawn(2, 9)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in one.parameters())


def test_the_head_is_the_embedding_unless_it_is_free() -> None:
    assert "head.weight" not in CausalTransformer(40, width=32).state_dict()
    assert CausalTransformer(40, width=32, tied=False).state_dict()["head.weight"].shape == (40, 32)


def test_a_cache_is_there_at_once() -> None:
    network = made(num_kv_heads=2, dtype="bfloat16")
    cache = network.cache(slots=3, context=16)
    assert isinstance(cache, KeyValues)
    assert [(layer.shape, layer.dtype) for layer in cache.layers] == [((3, 16, 2, 2, 8), torch.bfloat16)] * 3


def test_sizes_come_from_the_tokens() -> None:
    spec = TensorSpec((None,), "int64", 300, longest=64)
    assert CausalTransformer.sizes({"tokens": spec}, 0) == {"vocabulary": 300, "context": 64}
    with pytest.raises(RecipeError, match="takes `tokens`"):
        CausalTransformer.sizes({}, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 30}, "`width` must be an even multiple of `num_heads`, got 30 and 4"),
        ({"head_dim": 5}, "`head_dim` must be even, got 5"),
        ({"num_kv_heads": 3}, "`num_kv_heads` must divide `num_heads`, got 3 and 4"),
        ({"num_layers": 0}, "num_layers"),
        ({"feed_forward": -1}, "feed_forward"),
        ({"dropout": 1.5}, "dropout"),
        ({"dtype": "int8"}, "dtype"),
        ({"rope_theta": 0.5}, "`rope_theta` must be a number above 1, got 0.5"),
        ({"norm_epsilon": -1.0}, "`norm_epsilon` must be a number from 0 to below 1, got -1.0"),
        ({"rope_scaling": {"type": "yarn", "factor": 2}}, "`rope_scaling` is of type linear or llama3"),
        ({"rope_scaling": {"type": "linear"}}, "`rope_scaling`"),
        ({"rope_scaling": {"type": "llama3", "factor": 8.0}}, "`rope_scaling`"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        CausalTransformer(40, **{"width": 32, "num_heads": 4, **arguments})
