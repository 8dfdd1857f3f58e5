"""What a published language model consists of, in the words of Hugging Face, wherever it was read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Checkpoint:
    """A published model, of which nothing is believed yet.

    Args:
        config: config.json.
        shapes: of the tensors, by name.
        tensor: reads one, by name.
        tokenizer: the content of tokenizer.json.
        tokenizer_config: tokenizer_config.json, with its `chat_template`.
        generation_config: generation_config.json.
        source: what the card says of where it came from.
    """

    config: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    tensor: Callable[[str], torch.Tensor] = field(repr=False)
    tokenizer: str = field(repr=False)
    tokenizer_config: Mapping[str, Any]
    generation_config: Mapping[str, Any]
    source: Mapping[str, Any]
