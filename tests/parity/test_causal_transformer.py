"""maas.nn.CausalTransformer and maas.generation against `transformers`, on small random models of each family."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from maas.generation import Engine, Request
from maas.nn import CausalTransformer, Piece

transformers = pytest.importorskip("transformers")

SIZES: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 5e5,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
OURS_LLAMA3 = {
    "type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_context": 64
}  # fmt: skip
LINEAR = {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}
FAMILIES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "llama, tied": ("Llama", {"tie_word_embeddings": True}, {}),
    "llama, free head": ("Llama", {"tie_word_embeddings": False}, {"tied": False}),
    "llama, every head its own keys": ("Llama", {"num_key_value_heads": 6}, {"tied": False, "num_kv_heads": 6}),
    "llama, wide heads": ("Llama", {"head_dim": 16}, {"tied": False, "head_dim": 16}),
    "llama 3": (
        "Llama", {"rope_parameters": LLAMA3}, {"tied": False, "rope_theta": 5e5, "rope_scaling": OURS_LLAMA3}
    ),
    "llama, stretched": (
        "Llama", {"rope_parameters": LINEAR}, {"tied": False, "rope_scaling": {"type": "linear", "factor": 4.0}}
    ),
    "mistral": ("Mistral", {"sliding_window": None, "rms_norm_eps": 1e-6}, {"tied": False, "norm_epsilon": 1e-6}),
    "qwen2": ("Qwen2", {}, {"tied": False, "qkv_bias": True}),
    "qwen3": ("Qwen3", {"head_dim": 12}, {"tied": False, "head_dim": 12, "qk_norm": True}),
}  # fmt: skip
NAMES = (
    ("model.embed_tokens.", "embedding."),
    ("model.layers.", "blocks."),
    ("self_attn.q_proj", "query"),
    ("self_attn.k_proj", "key"),
    ("self_attn.v_proj", "value"),
    ("self_attn.o_proj", "output"),
    ("self_attn.q_norm", "query_norm"),
    ("self_attn.k_norm", "key_norm"),
    ("mlp.gate_proj", "gate"),
    ("mlp.up_proj", "up"),
    ("mlp.down_proj", "down"),
    ("input_layernorm", "attention_norm"),
    ("post_attention_layernorm", "feed_norm"),
    ("model.norm.", "norm."),
    ("lm_head.", "head."),
)


def pair(family: str) -> tuple[CausalTransformer, Any]:
    """The same random weights in our network and in theirs."""
    kind, theirs, ours = FAMILIES[family]
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**{**SIZES, **theirs})
    reference = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    for name, parameter in reference.named_parameters():  # norms of ones and biases of zeros would hide a mistake
        torch.nn.init.normal_(parameter, mean=float("norm" in name), std=0.2)
    arguments = {"num_kv_heads": 2, **ours}
    network = CausalTransformer(
        96, context=256, width=48, num_layers=3, num_heads=6, feed_forward=80, **arguments
    ).eval()
    weights = {}
    for name, tensor in reference.state_dict().items():
        for old, new in NAMES:
            name = name.replace(old, new)
        weights[name] = tensor
    if arguments.get("tied", True):
        del weights["head.weight"]
    network.load_state_dict(weights)
    return network, reference


def drawn(*shape: int) -> torch.Tensor:
    return torch.randint(0, 96, shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_logits_are_those_of_transformers(family: str) -> None:
    network, reference = pair(family)
    tokens = drawn(2, 150)
    wanted = reference(tokens).logits
    found = network(tokens)
    assert float((found - wanted).abs().max()) <= 1e-5 * float(wanted.abs().max())


@torch.inference_mode()
def test_logits_in_half_precision_are_as_near_to_float32_as_those_of_transformers() -> None:
    network, reference = pair("llama, free head")
    tokens = drawn(1, 50)
    exact = network(tokens)[0]
    theirs = reference.bfloat16()(tokens).logits[0].float()
    network = network.bfloat16()
    cache = network.cache(slots=1)
    ours = network.logits(network.advance(tokens[0], [Piece(0, 0, 50)], cache)).float()
    assert float((ours - exact).norm()) <= 1.2 * float((theirs - exact).norm())


@pytest.mark.parametrize("family", ["llama, free head", "qwen3"])
def test_greedy_tokens_are_those_of_generate_whenever_requests_join(family: str) -> None:
    """Alone, and joining at different times with chunks of 7 tokens, against `generate` on each prompt by itself."""
    network, reference = pair(family)
    prompts = [
        drawn(40)[start : start + length].tolist() for start, length in ((0, 1), (1, 5), (3, 30), (9, 7), (2, 17))
    ]
    wanted = []
    for number, prompt in enumerate(prompts):
        told = reference.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=12 + number, do_sample=False,
        )  # fmt: skip
        wanted.append(told[0, len(prompt) :].tolist())
    alone = [
        _answers(network, [(0, prompt)], slots=1)[0][: len(wanted[number])] for number, prompt in enumerate(prompts)
    ]
    assert alone == wanted
    staggered = _answers(network, [(3 * number, prompt) for number, prompt in enumerate(prompts)], slots=3, chunk=7)
    assert staggered == wanted


def _answers(
    network: CausalTransformer, timed: list[tuple[int, list[int]]], *, slots: int, chunk: int = 256
) -> list[list[int]]:
    """Greedy tokens of prompts that join at these steps, or once there is room; 12 tokens, 13, and so on."""
    engine = Engine(network, slots=slots, chunk=chunk)
    answers: list[list[int]] = [[] for _ in timed]
    step, waiting = 0, dict(enumerate(timed))
    while waiting or engine.live:
        for key, (when, prompt) in list(waiting.items()):
            if when <= step and len(engine.live) < slots:
                most = 20 if slots == 1 else 12 + key
                engine.join(key, Request(prompt, max_tokens=most))
                del waiting[key]
        for key, emitted in engine.step().items():
            assert isinstance(key, int)
            if emitted.token is not None:
                answers[key].append(emitted.token)
            if emitted.finish is not None:
                engine.leave(key)
        step += 1
    return answers
