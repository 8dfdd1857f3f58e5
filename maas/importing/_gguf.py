"""A GGUF file, its weights no longer quantised, in the words of Hugging Face."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maas.errors import DataError, FormatError, show
from maas.importing._checkpoint import Checkpoint
from maas.importing._gguf_header import check_header
from maas.importing._gguf_tokens import tokenizer_of

_ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
_SIZES = {
    "hidden_size": "embedding_length",
    "num_hidden_layers": "block_count",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "max_position_embeddings": "context_length",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    "rope_theta": "rope.freq_base",
    "sliding_window": "attention.sliding_window",
}
_OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_INNER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_TOLD = {"license": "general.license", "model": "general.name", "organization": "general.organization"}


def read_gguf(path: Path) -> Checkpoint:
    """A model in a GGUF file.

    Raises:
        DataError: there is no such file, or the package that reads it is not installed.
        FormatError: it is no GGUF file, or holds a model that maas does not know.
    """
    if not path.is_file():
        raise DataError(f"`folder` must be a folder with a model's files, or a .gguf file, got {show(str(path))}")
    try:
        import gguf
    except ImportError as error:
        raise DataError("a GGUF file needs: pip install 'maas-torch[gguf]'") from error
    check_header(path)
    try:
        reader = gguf.GGUFReader(path)
        told = {name: field.contents() for name, field in reader.fields.items()}
        stored = {_name(one.name): one for one in reader.tensors}
    except FormatError:
        raise
    except Exception as error:  # the library raises whatever it trips over
        raise FormatError(f"{path} is not a whole GGUF file: {str(error)[:300]}") from error
    config = _config(told, stored)
    is_permuted = told["general.architecture"] == "llama"

    def tensor(name: str) -> torch.Tensor:
        one = stored[name]
        try:
            weights = gguf.quants.dequantize(one.data, one.tensor_type).astype(np.float32)
        except Exception as error:
            raise FormatError(f"{show(one.name)} of {path} cannot be read: {str(error)[:300]}") from error
        for part, heads in (("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")):
            if is_permuted and f".{part}." in name:
                weights = _unpermuted(weights, config[heads])
        return torch.from_numpy(np.ascontiguousarray(weights))

    tokenizer, tokenizer_config = tokenizer_of(told)
    source = {"format": "gguf", "name": path.name, **{name: told[key] for name, key in _TOLD.items() if key in told}}
    ends = {"eos_token_id": told.get("tokenizer.ggml.eos_token_id")}
    shapes = {name: tuple(int(size) for size in reversed(one.shape)) for name, one in stored.items()}
    return Checkpoint(config, shapes, tensor, tokenizer, tokenizer_config, ends, source)


def _config(told: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """config.json out of the metadata; where they say nothing, so does it."""
    kind = told.get("general.architecture")
    if kind not in _ARCHITECTURES:
        raise FormatError(f"the file has the architecture {show(kind)}, maas knows {', '.join(_ARCHITECTURES)} in GGUF")
    config = {name: told[f"{kind}.{key}"] for name, key in _SIZES.items() if f"{kind}.{key}" in told}
    scaling = told.get(f"{kind}.rope.scaling.type", "none")
    if scaling == "linear":
        config["rope_scaling"] = {"rope_type": scaling, "factor": told.get(f"{kind}.rope.scaling.factor")}
    elif scaling != "none":
        raise FormatError(f"the file has positions of the type {show(scaling)}, maas knows linear in GGUF")
    if "rope_freqs.weight" in stored:
        raise FormatError(
            "the file has positions stretched as in Llama 3.1, by a table of its own; import the model's folder in the "
            "form of Hugging Face, which says how"
        )
    if type(heads := config.get("num_attention_heads")) is not int or type(config.get("hidden_size")) is not int:
        raise FormatError("the file lacks its embedding_length and head_count, or they are no integers")
    dim = config.get("head_dim", config["hidden_size"] // max(1, heads))
    if told.get(f"{kind}.rope.dimension_count", dim) != dim:
        raise FormatError("the file turns a part of each head by its position, maas turns whole heads")
    return {
        **config,
        "head_dim": dim,
        "num_key_value_heads": config.get("num_key_value_heads", heads),
        "architectures": [_ARCHITECTURES[kind]],
        "vocab_size": len(told.get("tokenizer.ggml.tokens", ())),
        "use_sliding_window": "sliding_window" in config,
        "tie_word_embeddings": "lm_head.weight" not in stored,
    }


def _name(name: str) -> str:
    base, _, kind = name.rpartition(".")
    block = base.split(".")
    if len(block) == 3 and block[0] == "blk" and block[2] in _INNER:
        return f"model.layers.{block[1]}.{_INNER[block[2]]}.{kind}"
    return f"{_OUTER.get(base, base)}.{kind}"


def _unpermuted(weights: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """(heads * head_dim, width), whose pairs of a rotation stand side by side -> with its two halves as the pairs."""
    if heads < 1 or len(weights) % (2 * heads):
        raise FormatError(f"queries or keys of {len(weights)} numbers are not those of {heads} heads")
    apart = weights.reshape(heads, len(weights) // heads // 2, 2, *weights.shape[1:])
    return apart.swapaxes(1, 2).reshape(weights.shape)
