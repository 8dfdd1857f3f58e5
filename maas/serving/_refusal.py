"""What an exception says about the row that it was traced to."""

from __future__ import annotations

import torch

from maas.errors import DataError
from maas.serving.protocols import Refusal

_NO_MEMORY = ("not enough memory", "DefaultCPUAllocator")  # of the CPU, where torch raises a plain RuntimeError


def refusal(error: Exception) -> Refusal:
    """The refusal of that row."""
    if isinstance(error, DataError):
        return Refusal("bad-row", getattr(error, "field", None), getattr(error, "detail", str(error)))
    text = str(error)
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and any(words in text for words in _NO_MEMORY)
    ):
        return Refusal("out-of-memory", None, "not enough memory for this row, even alone; try again later")
    return Refusal("internal", None, "the row could not be answered; the server's log has more")
