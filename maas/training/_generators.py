"""The generators of random numbers that training on a device draws from: torch's own, and a GPU's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def forked(device: torch.device) -> Iterator[None]:
    """Put the generators back at the end of the block."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def seed_generators(seed: int, epoch: int, rank: int, device: torch.device) -> None:
    """Seed what dropout draws from, so that an epoch is a function of its number."""
    number = (seed * 1_000_003 + epoch * 8191 + rank) % 2**63
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(number)


def generator_states(device: torch.device) -> torch.Tensor:
    """The states, uint8, end to end."""
    states = [torch.get_rng_state()] + ([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])
    return torch.cat(states)


def put_generator_states(states: torch.Tensor, device: torch.device) -> None:
    """Go on from such states."""
    length = len(torch.get_rng_state())
    torch.set_rng_state(states[:length].clone())
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[length:].clone(), device)
