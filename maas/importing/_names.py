"""Names of the tensors of a Llama-like model on one side, and of the network of maas on the other."""

from __future__ import annotations

import re
from collections.abc import Iterable

from maas.errors import FormatError, show

_OUTER = {"model.embed_tokens": "embedding", "model.norm": "norm", "lm_head": "head"}
_INNER = {
    "input_layernorm": "attention_norm",
    "self_attn.q_proj": "query",
    "self_attn.k_proj": "key",
    "self_attn.v_proj": "value",
    "self_attn.q_norm": "query_norm",
    "self_attn.k_norm": "key_norm",
    "self_attn.o_proj": "output",
    "post_attention_layernorm": "feed_norm",
    "mlp.gate_proj": "gate",
    "mlp.up_proj": "up",
    "mlp.down_proj": "down",
}
_BLOCK = re.compile(r"model\.layers\.(0|[1-9]\d{0,3})\.(.+)")
_COMPUTED = "rotary_emb.inv_freq"  # a table that older files hold, and that every network makes itself


def names_of(stored: Iterable[str], *, tied: bool) -> dict[str, str]:
    """The network's names, each with the stored one.

    Args:
        stored: names of a checkpoint's tensors.
        tied: whether the head has the embedding's weights: one that is stored all the same is not read.

    Raises:
        FormatError: a name is none of such a model's.
    """
    found: dict[str, str] = {}
    for name in stored:
        if name.endswith(_COMPUTED) or (tied and name == "lm_head.weight"):
            continue
        base, _, kind = name.rpartition(".")
        match = _BLOCK.fullmatch(base)
        inner = _INNER.get(match[2]) if match else _OUTER.get(base)
        if inner is None or kind not in ("weight", "bias"):
            raise FormatError(f"the weights have {show(name)}, which is no tensor of a Llama-like model")
        found[f"blocks.{match[1]}.{inner}.{kind}" if match else f"{inner}.{kind}"] = name
    return found
