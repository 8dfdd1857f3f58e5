"""Weights in int8 and bfloat16: what they are restored to, to the bit, and what is refused."""

from __future__ import annotations

import pytest
import torch

from maas.errors import FormatError
from maas.nn.transforms import Bfloat16Weights, Int8Weights


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    spread = torch.logspace(-12, 12, 64)[:, None]
    return {
        "plain": torch.randn(64, 32, generator=generator),
        "spread": torch.randn(64, 32, generator=generator) * spread,
        "kernel": torch.randn(32, 16, 3, 3, generator=generator).to(memory_format=torch.channels_last),
        "zeros": torch.zeros(64, 32),
        "tiny": torch.full((64, 32), 1e-42),
        "one": torch.cat([torch.zeros(63, 32), torch.ones(1, 32)]),
        "bias": torch.randn(2000, generator=generator),
        "narrow": torch.randn(2000, 2, generator=generator),
        "few": torch.randn(4, 4, generator=generator),
        "infinite": torch.full((64, 32), -torch.inf),
        "counts": torch.arange(4096).reshape(64, 64),
    }


@pytest.mark.parametrize("transform", [Int8Weights(), Bfloat16Weights()])
def test_what_was_restored_is_stored_again_as_the_same_bytes(transform):
    once = transform.stored(tensors())
    restored = transform.restored(once)
    assert restored.keys() == tensors().keys()
    twice = transform.stored(restored)
    assert once.keys() == twice.keys()
    assert all(torch.equal(once[name], twice[name]) and once[name].dtype == twice[name].dtype for name in once)
    again = transform.restored(twice)
    assert all(torch.equal(restored[name], again[name]) for name in restored)
    assert all(one.dtype == tensors()[name].dtype for name, one in restored.items())


def test_int8_is_within_half_a_step_of_each_row_or_narrow_column():
    restored = Int8Weights().restored(Int8Weights().stored(tensors()))
    for name in ("plain", "spread", "kernel", "zeros", "one"):
        rows, found = tensors()[name].flatten(1).double(), restored[name].flatten(1).double()
        step = rows.abs().amax(dim=1, keepdim=True) / 127 * (1 + 2**-15)
        assert ((rows - found).abs() <= step / 2).all(), name
    assert (restored["tiny"] == 0).all()
    narrow = tensors()["narrow"].double()
    step = narrow.abs().amax(dim=0) / 127 * (1 + 2**-15)
    assert ((narrow - restored["narrow"]).abs() <= step / 2).all()
    for name in ("bias", "few", "infinite", "counts"):
        assert torch.equal(restored[name], tensors()[name])


def test_what_is_stored_takes_a_quarter_and_half_the_bytes():
    def size(found: dict[str, torch.Tensor]) -> int:
        return sum(one.numel() * one.element_size() for one in found.values())

    given = {"weight": torch.randn(512, 512)}
    assert size(Int8Weights().stored(given)) == 512 * 512 + 4 * 512
    assert size(Bfloat16Weights().stored(given)) == 512 * 512 * 2
    assert size(Int8Weights().stored({"narrow": torch.randn(2000, 3)})) == 2000 * 3 + 4 * 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"w": None}, "scales a tensor that is not there"),
        ({"w": torch.zeros(64, 32)}, "must be int8 of two or more dimensions"),
        ({"w": torch.zeros(64, dtype=torch.int8)}, "must be int8 of two or more dimensions"),
        ({"w": torch.full((64, 32), -128, dtype=torch.int8)}, "from -127 to 127"),
        ({"w:scale": torch.ones(63)}, r"float32 of shape \(64,\), got torch.float32 \(63,\)"),
        ({"w:scale": torch.ones(64, 1)}, r"float32 of shape \(64,\), got torch.float32 \(64, 1\)"),
        ({"w:scale": torch.ones(1, 32)}, r"float32 of shape \(64,\), got torch.float32 \(1, 32\)"),
        ({"w": torch.ones(64, 3, dtype=torch.int8)}, r"float32 of shape \(1, 3\), got torch.float32 \(64,\)"),
        ({"w:scale": torch.ones(64, dtype=torch.float64)}, "must be float32"),
        ({"w:scale": torch.full((64,), torch.nan)}, "finite and above 0"),
        ({"w:scale": torch.full((64,), torch.inf)}, "finite and above 0"),
        ({"w:scale": torch.zeros(64)}, "finite and above 0"),
        ({"w:scale:scale": torch.ones(64)}, "scales a tensor that is not there"),
    ],
)
def test_hostile_tensors_are_refused(changes, message):
    given = {"w": torch.ones(64, 32, dtype=torch.int8), "w:scale": torch.ones(64), **changes}
    with pytest.raises(FormatError, match=message):
        Int8Weights().restored({name: one for name, one in given.items() if one is not None})
