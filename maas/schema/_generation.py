"""The row of a text generation: a prompt or a conversation, and how to go on from it."""

from __future__ import annotations

from maas.schema._field import Field
from maas.schema._schema import Schema

_NUMBERS = ("max_tokens", "temperature", "top_k", "top_p", "repetition_penalty", "seed", "logprobs")
GENERATION_OPTIONS = (*_NUMBERS, "echo")
"""How to go on, in the order in which a prepared row has them, float64 of shape (batch, 8); NaN: not said."""


def generation_schema(longest: int) -> Schema:
    """The fields of a row, all of them optional; `prompt` or `messages` must be there.

    Args:
        longest: most characters of a prompt, or of the contents of a conversation.
    """
    optional = {"nullable": True, "optional": True}
    return Schema(
        (
            Field("prompt", "prompt", "string", longest=longest, **optional),  # type: ignore[arg-type]
            Field("messages", "prompt", "messages", longest=longest, **optional),  # type: ignore[arg-type]
            *(Field(name, "option", "number", **optional) for name in _NUMBERS),  # type: ignore[arg-type]
            Field("echo", "option", "boolean", **optional),  # type: ignore[arg-type]
            Field("stop", "option", "string", shape=(None,), longest=1024, **optional),  # type: ignore[arg-type]
        )
    )
