"""maas import-hf."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tokenizers
import torch

import maas
from maas.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny Llama, as transformers writes one."""
    import transformers

    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "max_position_embeddings": 32}
    config = transformers.LlamaConfig(vocab_size=257, num_attention_heads=2, eos_token_id=0, **sizes)
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "tiny")
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=257, special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(["a"], trainer)
    made.save(str(tmp_path / "tiny" / "tokenizer.json"))
    return tmp_path / "tiny"


def test_import_hf(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    output = str(tmp_path / "a")
    assert main(["import-hf", str(folder), "--output", output, "--dtype", "bfloat16", "--context", "30", "--json"]) == 0
    found = json.loads("{" + capsys.readouterr().out.partition("{")[2])
    assert found["architecture"] == "LlamaForCausalLM"
    assert (found["dtype"], found["context"], found["path"]) == ("bfloat16", 30, output)
    assert found["digest"] == maas.load(output).digest
    assert main(["import-hf", str(folder), "--output", output]) == 0
    assert "dtype: float32\ncontext: 32\n" in capsys.readouterr().out


def test_a_refusal_is_one_line(tmp_path: Path, capsys: Capture) -> None:
    assert main(["import-hf", str(tmp_path), "--output", str(tmp_path / "a")]) == 3
    assert "has no config.json: it is no folder of a Hugging Face model" in capsys.readouterr().err
