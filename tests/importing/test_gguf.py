"""GGUF files: what llama.cpp's own writer makes of a folder's weights is imported as the folder is."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import safetensors.torch
import torch

import maas
from maas.importing._gguf import _INNER

from .conftest import SIZES, TEMPLATE, TEXTS, Publish, tiny_tokenizer

TOKENS = 290
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("Llama", "gpt-2", {"tie_word_embeddings": True}),
    "qwen2": ("Qwen2", "qwen2", {}),
    "qwen3": ("Qwen3", "qwen2", {}),
}


def _permuted(weights: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """As llama.cpp's convert_hf_to_gguf.py lays out queries and keys of Llama."""
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weights.shape)


def write_gguf(
    path: Path, folder: Path, kind: str, pre: str, *, quantised: bool = False, metadata: dict[str, str] | None = None
) -> Path:
    writer = gguf.GGUFWriter(path, kind)
    writer.add_block_count(SIZES["num_hidden_layers"])
    writer.add_context_length(SIZES["max_position_embeddings"])
    writer.add_embedding_length(SIZES["hidden_size"])
    writer.add_feed_forward_length(SIZES["intermediate_size"])
    writer.add_head_count(SIZES["num_attention_heads"])
    writer.add_head_count_kv(SIZES["num_key_value_heads"])
    writer.add_key_length(SIZES["head_dim"])
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    writer.add_license("apache-2.0")
    tokenizer = tiny_tokenizer()
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(vocabulary)
    writer.add_token_types([3, 3] + [1] * (len(vocabulary) - 2))
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(one) for one in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(True)
    writer.add_chat_template(TEMPLATE)
    for key, value in (metadata or {}).items():
        writer.add_string(key, value)
    outer = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    inner = {theirs: ours for ours, theirs in _INNER.items()}
    for name, tensor in safetensors.torch.load_file(folder / "model.safetensors").items():
        base, _, last = name.rpartition(".")
        weights = tensor.numpy()
        if base in outer:
            weights = weights[:TOKENS] if base != "model.norm" else weights
            written = f"{outer[base]}.{last}"
        else:
            _, _, layer, part = base.split(".", 3)
            written = f"blk.{layer}.{inner[part]}.{last}"
            if kind == "llama" and part in ("self_attn.q_proj", "self_attn.k_proj"):
                heads = SIZES["num_attention_heads" if "q_proj" in part else "num_key_value_heads"]
                weights = _permuted(weights, heads)
        if quantised and weights.ndim == 2 and weights.shape[1] % 32 == 0:
            sort = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(written, gguf.quants.quantize(weights, sort), raw_dtype=sort)
        else:
            writer.add_tensor(written, np.ascontiguousarray(weights))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", MODELS)
def test_a_file_is_the_folder_it_was_made_of(kind: str, publish: Publish, tmp_path: Path) -> None:
    architecture, pre, config = MODELS[kind]
    folder = publish(architecture, rms_norm_eps=1e-6, **config)
    file = write_gguf(tmp_path / "m.gguf", folder, kind, pre)
    ours, theirs = (maas.load(maas.import_hf(one, output=tmp_path / one.stem)) for one in (file, folder))
    tokens = torch.randint(0, TOKENS, (2, 30), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(ours.network(tokens), theirs.network(tokens))
    said, wanted = ours.preprocess.state()[0]["language"], theirs.preprocess.state()[0]["language"]
    for key in ("begin", "ends", "chat_template", "special"):
        assert said[key] == wanted[key]
    assert ours.card["source"]["license"] == "apache-2.0"
    if pre == "gpt-2":  # the folder's own
        language: Any = ours.preprocess.language  # type: ignore[attr-defined]
        assert language.encode(TEXTS) == theirs.preprocess.language.encode(TEXTS)  # type: ignore[attr-defined]


def test_quantised_weights_are_near(publish: Publish, tmp_path: Path) -> None:
    folder = publish("Llama", rms_norm_eps=1e-6)
    file = write_gguf(tmp_path / "m.gguf", folder, "llama", "gpt-2", quantised=True)
    ours, theirs = (maas.load(maas.import_hf(one, output=tmp_path / one.stem)) for one in (file, folder))
    for name, tensor in ours.network.state_dict().items():
        wanted = theirs.network.state_dict()[name]
        assert (tensor - wanted).abs().max() <= wanted.abs().max() / 127  # half a step of 8 bits


@pytest.mark.parametrize(
    ("pre", "text", "wanted"),
    [
        ("gpt-2", "a 12345", ["a", " 12345"]),
        ("smollm", "a 12345", ["a", " ", "1", "2", "3", "4", "5"]),
        ("qwen2", "a 12345", ["a", " ", "1", "2", "3", "4", "5"]),
        ("llama-bpe", "a 12345", ["a", " ", "123", "45"]),
    ],
)
def test_numbers_are_cut_as_the_kind_says(
    pre: str, text: str, wanted: list[str], publish: Publish, tmp_path: Path
) -> None:
    """Expected pieces: by the expressions of llama.cpp's llama-vocab.cpp."""
    import tokenizers

    file = write_gguf(tmp_path / "m.gguf", publish("Llama"), "llama", pre)
    language: Any = maas.load(maas.import_hf(file, output=tmp_path / "a")).preprocess.language  # type: ignore[attr-defined]
    pieces = tokenizers.Tokenizer.from_str(language.tokenizer).pre_tokenizer.pre_tokenize_str(text)
    assert [text[start:end] for _, (start, end) in pieces] == wanted


HEADER = b"GGUF" + struct.pack("<I", 3)


def _patched(at: int, form: str, value: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        size = struct.calcsize(form)
        return data[:at] + struct.pack(form, value) + data[at + size :]

    return change


HOSTILE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing": (lambda _: b"", "is not a GGUF file: it does not begin with GGUF"),
    "another file": (lambda _: b"PK\3\4" * 9, "it does not begin with GGUF"),
    "another version": (_patched(4, "<I", 1), "it is of version 1, maas reads"),
    "another byte order": (_patched(4, "<I", 3 << 24), "it is of version"),
    "absurdly many fields": (_patched(16, "<Q", 1 << 60), "fields"),
    "absurdly many tensors": (_patched(8, "<Q", 1 << 60), "tensors"),
    "a long name": (_patched(24, "<Q", 1 << 62), "it is cut off, or says that something is longer"),
    "no end to a list": (
        lambda _: HEADER + struct.pack("<QQQ1sIIQ", 0, 1, 1, b"a", 9, 4, 1 << 60),
        "it has a list of 1,152,921,504,606,846,976 values",
    ),
    "an unknown type": (lambda _: HEADER + struct.pack("<QQQ1sI", 0, 1, 1, b"a", 99), "the unknown type 99"),
    "cut off in its header": (lambda data: data[:900], "is not a GGUF file"),
    "cut off in its weights": (lambda data: data[: -(1 << 12)], "is not a whole GGUF file"),
}


@pytest.fixture(scope="module")
def good(publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "good.gguf", publish("Llama"), "llama", "gpt-2")


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file(case: str, good: Path, tmp_path: Path) -> None:
    change, message = HOSTILE[case]
    (tmp_path / "bad.gguf").write_bytes(change(good.read_bytes()))
    with pytest.raises(maas.MaasError, match=message):
        maas.import_hf(tmp_path / "bad.gguf", output=tmp_path / "a")


@pytest.mark.parametrize(
    ("kind", "pre", "metadata", "message"),
    [
        ("gemma", "gpt-2", {}, "the architecture 'gemma', maas knows llama, qwen2, qwen3 in GGUF"),
        ("llama", "deepseek-llm", {}, "a tokenizer 'gpt2' of the kind 'deepseek-llm', maas rebuilds gpt2 of the kinds"),
        ("llama", "gpt-2", {"llama.rope.scaling.type": "yarn"}, "positions of the type 'yarn', maas knows linear"),
    ],
)
def test_what_maas_does_not_know_is_refused(
    kind: str, pre: str, metadata: dict[str, str], message: str, publish: Publish, tmp_path: Path
) -> None:
    file = write_gguf(tmp_path / "m.gguf", publish("Llama"), kind, pre, metadata=metadata)
    with pytest.raises(maas.MaasError, match=message):
        maas.import_hf(file, output=tmp_path / "a")
