"""What one request asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """A prompt, and how to go on from it.

    Args:
        tokens: the prompt, at least one.
        max_tokens: most tokens to add; 0: none, the prompt is only scored.
        temperature: what logits are divided by; 0: the likeliest token, always.
        top_k: draw among so many likeliest tokens; 0: all.
        top_p: draw among the likeliest tokens whose probabilities reach this share, above 0 to 1.
        repetition_penalty: what positive logits of tokens that stood before are divided by, and negative ones
            multiplied, above 0 (Keskar et al. 2019).
        seed: of the draws; None: another one each time.
        logprobs: for how many of the likeliest tokens each step tells log probabilities; None: for none at all.
        echo: whether the prompt's tokens are scored too.
        stop: texts at which the answer ends, before them.
    """

    tokens: Sequence[int]
    max_tokens: int = 16
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    logprobs: int | None = None
    echo: bool = False
    stop: Sequence[str] = field(default=())
