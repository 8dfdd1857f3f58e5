"""What networks over users and items share: the sizes that the data gives, clicks as a sparse matrix, and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch.nn import functional as F

from maas.errors import RecipeError
from maas.nn._memory import free_bytes
from maas.nn._steps import mask_of
from maas.schema import TensorSpec


class Prepared(Protocol):
    """Prepared rows: tensors by name."""

    @property
    def inputs(self) -> Mapping[str, torch.Tensor]: ...


Parts = Callable[[], Iterable[Prepared]]


def sizes_of_clicks(name: str, inputs: Mapping[str, TensorSpec], num_outputs: int, *more: str) -> dict[str, int]:
    """The numbers of users and items.

    Raises:
        RecipeError: the data gives something else than users and their items.
    """
    wanted = {"user", "history", "history_lengths", *more}
    if set(inputs) != wanted or inputs["history"].limit != num_outputs or not inputs["user"].limit:
        found = ", ".join(f"{one} {spec.shape}" for one, spec in inputs.items())
        raise RecipeError(
            f"a {name} takes {', '.join(sorted(wanted))}, as maas.preprocess.Interactions gives them, and scores each "
            f"item; the data gives {found}, and wants {num_outputs} outputs"
        )
    return {"num_users": inputs["user"].limit - 1, "num_items": num_outputs}


def clicks_of(parts: Parts, num_items: int) -> Any:
    """The histories of all rows as a sparse matrix of ones, float64 of shape (rows, num_items)."""
    from scipy.sparse import csr_array

    lengths, numbers = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for batch in parts():
        history, counts = batch.inputs["history"].cpu(), batch.inputs["history_lengths"].cpu()
        numbers.append(history[mask_of(counts, history.shape[1])].numpy())
        lengths.append(counts.numpy())
    ends = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    chosen = np.concatenate(numbers)
    return csr_array((np.ones(len(chosen)), chosen, ends), (len(ends) - 1, num_items))


def sum_of(table: torch.Tensor, history: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The rows of a table (items, features) that stand in each history, added up: (batch, features)."""
    starts = torch.cumsum(lengths, 0) - lengths
    numbers = history[mask_of(lengths, history.shape[1])]  # end to end
    return F.embedding_bag(numbers, table, starts, mode="sum")


def check_memory(name: str, needed: int, remedy: str) -> None:
    """Raise RecipeError where a network would take more memory than there is, before it takes any.

    On the meta device nothing is taken and nothing is checked.
    """
    if torch.get_default_device().type == "meta":
        return
    there = free_bytes(torch.device("cpu"))
    if needed > there:
        raise RecipeError(
            f"{name} needs {needed / 1e9:,.1f} GB of memory to be solved, {there / 1e9:,.1f} GB are available; {remedy}"
        )
