"""Tiny published models: what `save_pretrained` writes of random weights, with a tokenizer of bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch

TEXTS = [
    "Hello, world!",
    "  two  spaces\n\ttabs",
    "春眠不觉晓，处处闻啼鸟。",
    "def f(x):\n    return x ** 2",
    "\U0001f642\U0001f469\u200d\U0001f467 e\u0301",
    "<s>x</s> 12345",
]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
    "initializer_range": 0.3,
}

Publish = Callable[..., Path]


def tiny_tokenizer() -> tokenizers.Tokenizer:
    """Byte pairs of the texts, whose post-processor puts <s> before each."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=290, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(TEXTS * 3, trainer)
    made.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return made


@pytest.fixture(scope="session")
def publish(tmp_path_factory: pytest.TempPathFactory) -> Publish:
    """Writes a folder of a model of an architecture, with some of its configuration."""
    import transformers

    tokenizer = tiny_tokenizer()

    def write(architecture: str = "Llama", *, shard_size: str = "1GB", **config: Any) -> Path:
        folder = tmp_path_factory.mktemp("published") / "tiny"
        torch.manual_seed(0)
        made = getattr(transformers, f"{architecture}Config")(**{**SIZES, **config})
        network = getattr(transformers, f"{architecture}ForCausalLM")(made)
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter)
        network.save_pretrained(folder, max_shard_size=shard_size)
        tokenizer.save(str(folder / "tokenizer.json"))
        told = {
            "bos_token": "<s>",
            "eos_token": "</s>",
            "chat_template": TEMPLATE,
            "tokenizer_class": "TokenizersBackend",
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(told))
        return folder

    return write
