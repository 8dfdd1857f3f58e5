"""Which published architectures are a `maas.nn.CausalTransformer`, and how each says its sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maas.errors import FormatError, show

_MOST_SIZE = 1 << 24
_MOST_LAYERS = 1 << 10
MOST_CONTEXT = 1 << 20


@dataclass(frozen=True)
class Family:
    """What sets an architecture apart from Llama's.

    Args:
        qkv_bias: whether queries, keys and values have a bias.
        qk_norm: whether queries and keys are normalised.
        head_dim: where config.json says none; None: the width by the heads.
        window: of the attention, where config.json says nothing of one.
    """

    qkv_bias: bool = False
    qk_norm: bool = False
    head_dim: int | None = None
    window: int | None = None


FAMILIES: Mapping[str, Family] = {
    "LlamaForCausalLM": Family(),
    "MistralForCausalLM": Family(window=4096),
    "Qwen2ForCausalLM": Family(qkv_bias=True),
    "Qwen3ForCausalLM": Family(qk_norm=True, head_dim=128),
}


def arguments_of(config: Mapping[str, Any], context: int | None) -> dict[str, Any]:
    """The arguments of the network that a config.json describes, but its dtype.

    Args:
        config: config.json.
        context: most tokens of a row; None: as many as the model takes.

    Raises:
        FormatError: it describes another network, or none.
    """
    family = FAMILIES[_architecture(config)]
    width, heads = _size(config, "hidden_size"), _size(config, "num_attention_heads")
    _check_plain(config)
    return {
        "vocabulary": _size(config, "vocab_size"),
        "context": _context(config, family, context),
        "width": width,
        "num_layers": _size(config, "num_hidden_layers", most=_MOST_LAYERS),
        "num_heads": heads,
        "num_kv_heads": _size(config, "num_key_value_heads", heads),
        "head_dim": _size(config, "head_dim", family.head_dim or max(1, width // heads)),
        "feed_forward": _size(config, "intermediate_size"),
        "norm_epsilon": _number(config, "rms_norm_eps", 1e-12, 0.1),
        "tied": _flag(config, "tie_word_embeddings"),
        "qkv_bias": family.qkv_bias,
        "qk_norm": family.qk_norm,
        **_positions(config),
    }


def _architecture(config: Mapping[str, Any]) -> str:
    named = config.get("architectures")
    known = ", ".join(FAMILIES)
    if type(named) is not list or len(named) != 1 or named[0] not in FAMILIES:
        shown = named[0] if type(named) is list and len(named) == 1 else named
        raise FormatError(
            f"config.json has the architecture {show(shown)}, maas knows {known}; a model of another one cannot be "
            f"imported"
        )
    name: str = named[0]
    return name


def _check_plain(config: Mapping[str, Any]) -> None:
    """Raise FormatError where a model of a known architecture differs from it in a way that answers show."""
    if config.get("quantization_config") is not None:
        raise FormatError(
            "config.json has a `quantization_config`: the weights are quantised, and maas reads float32, bfloat16 and "
            "float16; take the model that it was made from, or a GGUF file"
        )
    if "AutoModelForCausalLM" in (config.get("auto_map") or {}):
        raise FormatError("config.json has an `auto_map`: code of its own says how it computes, and maas runs none")
    if (activation := config.get("hidden_act", "silu")) not in ("silu", "swish"):
        raise FormatError(f"config.json has the `hidden_act` {show(activation)}, maas knows silu")
    for name in ("attention_bias", "mlp_bias"):
        if _flag(config, name):
            raise FormatError(f"config.json has `{name}` true: biases that the network of maas does not have")


def _context(config: Mapping[str, Any], family: Family, wanted: int | None) -> int:
    longest = _size(config, "max_position_embeddings", most=1 << 30)
    held = "`max_position_embeddings`"
    window = config.get("sliding_window", family.window)
    slides = family.window is not None or _flag(config, "use_sliding_window")
    if (slides or "sliding_attention" in (config.get("layer_types") or ())) and window is not None:
        window = _size({"sliding_window": window}, "sliding_window", most=1 << 30)
        if window < longest:  # up to there attention sees all that came before, as if there were no window
            longest, held = window, "`sliding_window`, and the network of maas has none"
    if wanted is None:
        return min(longest, MOST_CONTEXT)
    if type(wanted) is not int or not 2 <= wanted <= min(longest, MOST_CONTEXT):
        most = min(longest, MOST_CONTEXT)
        raise FormatError(f"`context` must be an integer from 2 to {most}, the model's {held}, got {show(wanted)}")
    return wanted


def _positions(config: Mapping[str, Any]) -> dict[str, Any]:
    """`rope_theta` and `rope_scaling`: older files have these two, newer ones `rope_parameters`."""
    said = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if type(said) is not dict:
        raise FormatError(f"config.json has the `rope_parameters` {show(said)}, an object is wanted")
    both = {"rope_theta": 10_000.0, **{name: config[name] for name in ("rope_theta",) if name in config}, **said}
    theta = _number(both, "rope_theta", 1.001, 1e12)
    if (part := both.get("partial_rotary_factor", config.get("partial_rotary_factor"))) not in (None, 1, 1.0):
        raise FormatError(f"config.json has the `partial_rotary_factor` {show(part)}, maas turns whole heads")
    kind = said.get("rope_type", said.get("type", "default"))
    if kind == "default":
        return {"rope_theta": theta, "rope_scaling": None}
    if kind == "linear":
        scaling = {"type": "linear", "factor": _number(said, "factor", 1, 1e6)}
    elif kind == "llama3":
        scaling = {"type": "llama3", "original_context": _size(said, "original_max_position_embeddings")}
        for name in ("factor", "low_freq_factor", "high_freq_factor"):
            scaling[name] = _number(said, name, 1e-6, 1e6)
    else:
        raise FormatError(f"config.json has positions of the type {show(kind)}, maas knows default, linear and llama3")
    return {"rope_theta": theta, "rope_scaling": scaling}


def _size(config: Mapping[str, Any], name: str, default: int | None = None, *, most: int = _MOST_SIZE) -> int:
    value = config.get(name)
    value = default if value is None else value
    if type(value) is not int or not 1 <= value <= most:
        raise FormatError(f"config.json must have `{name}`, an integer from 1 to {most}, got {show(value)}")
    return value


def _number(config: Mapping[str, Any], name: str, least: float, most: float) -> float:
    value = config.get(name)
    if type(value) not in (int, float) or not least <= value <= most:  # type: ignore[operator]
        raise FormatError(f"config.json must have `{name}`, a number from {least:g} to {most:g}, got {show(value)}")
    return float(value)  # type: ignore[arg-type]


def _flag(config: Mapping[str, Any], name: str) -> bool:
    value = config.get(name) or False
    if type(value) is not bool:
        raise FormatError(f"config.json must have `{name}` true or false, got {show(value)}")
    return value
