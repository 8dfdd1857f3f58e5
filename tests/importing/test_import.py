"""`maas.import_hf`: whatever transformers makes of a folder, the artifact answers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import tokenizers
import torch

import maas
from maas.errors import ArtifactError, DataError, FormatError

from .conftest import TEMPLATE, TEXTS, Publish

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 5000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
MODELS: dict[str, dict[str, Any]] = {
    "Llama, its weights in shards": {"shard_size": "20KB"},
    "Llama, its head tied": {"tie_word_embeddings": True},
    "Llama, in bfloat16": {"dtype": "bfloat16"},
    "Llama, its positions as in Llama 3.1": {"rope_parameters": LLAMA3},
    "Llama, its positions stretched": {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}},
    "Mistral": {"sliding_window": None},
    "Mistral, within its window": {"sliding_window": 32},
    "Qwen2": {"rms_norm_eps": 1e-5},
    "Qwen3": {"head_dim": 16},
}


@pytest.fixture(scope="module")
def llama(publish: Publish) -> Path:
    return publish()


@pytest.fixture
def folder(llama: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    shutil.copytree(llama, tmp_path / "tiny")
    return tmp_path / "tiny"


def imported(folder: Path, output: Path, **options: Any) -> maas.Model:
    return maas.load(maas.import_hf(folder, output=output, **options))


def edit(path: Path, **changes: Any) -> None:
    """Change a JSON file; `...` takes a key away."""
    known = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in known.items() if value is not ...}))


@pytest.mark.parametrize("case", MODELS)
def test_logits_are_those_of_transformers(case: str, publish: Publish, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    architecture = case.partition(",")[0]
    folder = publish(architecture, **MODELS[case])
    if "bfloat16" in case:
        network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
        network.save_pretrained(folder)
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model = imported(folder, tmp_path / "a", dtype="float32")
    tokens = torch.randint(0, 290, (2, 30), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted, found = reference(tokens).logits, model.network(tokens)
    assert len(list(folder.glob("*.safetensors"))) > 1 or "shards" not in case
    assert found.shape == (2, 30, 290)  # of the 300 rows of weights 10 stand for no token
    torch.testing.assert_close(found, wanted[..., :290], atol=1e-4, rtol=1e-4)
    assert wanted.std() > 0.1


def test_tokens_are_those_of_transformers(llama: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    reference = AutoTokenizer.from_pretrained(llama)
    model = imported(llama, tmp_path / "a")
    language: Any = model.preprocess.language  # type: ignore[attr-defined]
    assert language.encode(TEXTS) == reference(TEXTS)["input_ids"]
    assert language.begin == 0
    assert language.special == {"bos_token": "<s>", "eos_token": "</s>"}
    talk = [{"role": "user", "content": "Hello"}]
    batch = model.prepare([{"messages": talk}]).batch
    wanted = reference.apply_chat_template(talk, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert batch.inputs["tokens"].tolist() == [wanted]  # the template writes <s>, and nothing else does


def test_a_tokenizer_that_begins_with_no_token(folder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    edit(folder / "tokenizer.json", post_processor=None)
    language: Any = imported(folder, tmp_path / "a").preprocess.language  # type: ignore[attr-defined]
    assert language.begin is None
    assert language.encode(TEXTS) == AutoTokenizer.from_pretrained(folder)(TEXTS)["input_ids"]


def test_the_published_options_are_the_defaults(folder: Path, tmp_path: Path) -> None:
    options = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "repetition_penalty": 1.1, "max_new_tokens": 7}
    edit(folder / "generation_config.json", eos_token_id=[1, 5], **options)
    state = imported(folder, tmp_path / "a").preprocess.state()[0]
    assert state["defaults"] == {"temperature": 0.6, "top_p": 0.9, "repetition_penalty": 1.1, "max_tokens": 7}
    assert state["language"]["ends"] == [1, 5]
    edit(folder / "generation_config.json", do_sample=False, eos_token_id=..., max_new_tokens=...)
    state = imported(folder, tmp_path / "a").preprocess.state()[0]
    assert state["defaults"] == {"repetition_penalty": 1.1}
    assert state["language"]["ends"] == [1]  # config.json says it too


def test_the_dtype_and_the_context(folder: Path, tmp_path: Path) -> None:
    model = imported(folder, tmp_path / "a", dtype="bfloat16", context=20)
    assert model.recipe.arguments["dtype"] == "bfloat16"
    assert model.network.context == 20
    answer = model.predict({"prompt": "Hello", "max_tokens": 3})
    assert answer["completion_tokens"] <= 3
    assert imported(folder, tmp_path / "a").recipe.arguments["dtype"] == "float32"  # that of the weights


def test_the_card_says_where_it_comes_from_and_no_figure(folder: Path, tmp_path: Path) -> None:
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\nbase_model: a/b\n---\n# 99.9 % right\n")
    (folder / "LICENSE").write_text("Do what you like.")
    card = imported(folder, tmp_path / "a").card
    assert card["evaluation"] is None
    source = card["source"]
    assert (source["license"], source["base_model"], source["license_text"]) == (
        "apache-2.0",
        "a/b",
        "Do what you like.",
    )
    assert (source["architecture"], source["name"]) == ("LlamaForCausalLM", "tiny")
    assert set(source["sha256"]) == {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another architecture": (
        {"architectures": ["GPT2LMHeadModel"]},
        "has the architecture 'GPT2LMHeadModel', maas knows LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM",
    ),
    "no architecture": ({"architectures": ...}, "has the architecture None, maas knows"),
    "quantised weights": ({"quantization_config": {"quant_method": "gptq"}}, "the weights are quantised"),
    "code of its own": ({"auto_map": {"AutoModelForCausalLM": "evil.Model"}}, "code of its own .* maas runs none"),
    "an activation": ({"hidden_act": "gelu"}, "has the `hidden_act` 'gelu', maas knows silu"),
    "biases": ({"attention_bias": True}, "`attention_bias` true: biases that the network"),
    "positions": (
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4}},
        "positions of the type 'yarn', maas knows default, linear and llama3",
    ),
    "half-turned heads": ({"partial_rotary_factor": 0.5}, "`partial_rotary_factor` 0.5, maas turns whole heads"),
    "an absurd width": ({"hidden_size": 10**12}, "must have `hidden_size`, an integer from 1 to 16777216"),
    "absurdly many layers": ({"num_hidden_layers": 10**6}, "must have `num_hidden_layers`, an integer from 1 to 1024"),
    "a width that is none": ({"hidden_size": "32"}, "must have `hidden_size`, an integer .* got '32'"),
    "an epsilon that is none": ({"rms_norm_eps": True}, "must have `rms_norm_eps`, a number"),
    "more layers": ({"num_hidden_layers": 3}, "the weights lack the network's blocks.2"),
    "fewer layers": ({"num_hidden_layers": 1}, "the weights have model.layers.1.* which the network .* has not"),
    "another width": ({"intermediate_size": 40}, r"has the shape \(.*48.*\), config.json describes \(.*40.*\)"),
    "fewer words": ({"vocab_size": 200}, "the tokenizer has 290 tokens and config.json the `vocab_size` 200"),
    "heads that do not divide": ({"num_key_value_heads": 3}, "`num_key_value_heads`|`num_kv_heads` must divide"),
    "an end that is no token": ({"eos_token_id": 4000}, "config.json has the `eos_token_id` '4000'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_maas_does_not_know_is_refused(case: str, folder: Path, tmp_path: Path) -> None:
    changes, message = REFUSED[case]
    edit(folder / "config.json", **changes)
    (folder / "generation_config.json").unlink()
    with pytest.raises(maas.MaasError, match=message):
        maas.import_hf(folder, output=tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_window_holds_the_context(publish: Publish, tmp_path: Path) -> None:
    folder = publish("Mistral", sliding_window=16)
    assert imported(folder, tmp_path / "a").network.context == 16
    with pytest.raises(FormatError, match="`context` must be an integer from 2 to 16, the model's `sliding_window`"):
        maas.import_hf(folder, output=tmp_path / "b", context=17)


Change = Callable[[Path], Any]


def _link_out(name: str) -> Change:
    def change(folder: Path) -> None:
        shutil.move(folder / name, folder.parent / "aside")
        (folder / name).symlink_to(folder.parent / "aside")

    return change


def _pipe(folder: Path) -> None:
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


def _indexed(name: Any) -> Change:
    def change(folder: Path) -> None:
        shutil.move(folder / "model.safetensors", folder.parent / "outside.safetensors")
        index = {"weight_map": {"model.norm.weight": name}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    return change


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _tensor(name: str, value: torch.Tensor | None) -> Change:
    def change(folder: Path) -> None:
        weights = safetensors.torch.load_file(folder / "model.safetensors")
        left = {key: one.clone() for key, one in {**weights, name: value}.items() if one is not None}
        (folder / "model.safetensors").write_bytes(safetensors.torch.save(left))

    return change


def _text(name: str, data: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(data)


def _config(name: str, **changes: Any) -> Change:
    return lambda folder: edit(folder / name, **changes)


def _processed(single: str) -> Change:
    def change(folder: Path) -> None:
        made = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        made.post_processor = tokenizers.processors.TemplateProcessing(
            single=single, special_tokens=[("<s>", 0), ("</s>", 1)]
        )
        made.save(str(folder / "tokenizer.json"))

    return change


def _ended(token: Any) -> Change:
    def change(folder: Path) -> None:
        for name in ("config.json", "generation_config.json"):
            edit(folder / name, eos_token_id=...)
        edit(folder / "tokenizer_config.json", eos_token=token)

    return change


HOSTILE: dict[str, tuple[Change, str]] = {
    "a shard upwards": (_indexed("../outside.safetensors"), r"names '../outside.safetensors', which is no name"),
    "an absolute shard": (_indexed("/etc/passwd"), "names '/etc/passwd', which is no name"),
    "a shard that is missing": (_indexed("model-1.safetensors"), "names model-1.safetensors, which is missing"),
    "a shard that is no text": (_indexed(3), "has no `weight_map` of file names"),
    "a link out": (_link_out("README.md"), "README.md is a link out of its folder, to .*aside; put the file itself"),
    "weights linked out": (_link_out("model.safetensors"), "model.safetensors is a link out of its folder"),
    "a pipe": (_pipe, "config.json is not a regular file"),
    "a huge file": (_text("config.json", b" " * ((1 << 26) + 1)), "config.json has more than 67,108,864 bytes"),
    "nested lists": (_text("config.json", b"[" * 100_000), "config.json is not strict JSON"),
    "bytes that are no text": (_text("tokenizer.json", b"\xff"), "tokenizer.json is not UTF-8"),
    "a tokenizer that is none": (_text("tokenizer.json", b"{}"), "the tokenizer cannot be read"),
    "weights that are none": (_text("model.safetensors", b"\xff" * 64), "is not a safetensors file"),
    "pickled weights": (_pickled, r"in pytorch_model\.bin, a pickle, which can run code .*save_pretrained"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "has neither model.safetensors nor"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), r"no tokenizer\.json; .*save_pretrained"),
    "no configuration": (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
    "a tensor too many": (_tensor("model.evil", torch.ones(2)), "the weights have 'model.evil', which is no tensor of"),
    "a tensor too few": (_tensor("model.norm.weight", None), "the weights lack the network's norm.weight"),
    "integers": (_tensor("model.norm.weight", torch.ones(32, dtype=torch.int8)), "is torch.int8, maas reads float32"),
    "a template that is no text": (_config("tokenizer_config.json", chat_template=3), "`chat_template` 3, a text is"),
    "a template that is none": (_config("tokenizer_config.json", chat_template="{% for %}"), "template cannot be read"),
    "an end before all": (_processed("$A </s>"), r"makes \[.*\] of \[.*\]; maas adds one token, at the beginning"),
    "two tokens before all": (_processed("<s> </s> $A"), "maas adds one token, at the beginning"),
    "an end of no name": (_ended("<x>"), "names the token '<x>', tokenizer.json has none such"),
    "no end": (_ended(...), "nothing would end an answer; say it in one of them"),
    "defaults out of range": (_config("generation_config.json", max_new_tokens=1e9), "defaults are numbers for"),
    "defaults that are none": (_config("generation_config.json", max_new_tokens="3"), "`max_new_tokens` '3', a number"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_folder(case: str, folder: Path, tmp_path: Path) -> None:
    (folder / "README.md").write_text("mine")
    change, message = HOSTILE[case]
    change(folder)
    with pytest.raises(maas.MaasError, match=message):
        maas.import_hf(folder, output=tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_folder_of_the_hubs_cache_is_made_of_links(llama: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    shutil.copytree(llama, tmp_path / "models--a--b" / "blobs")
    for file in llama.iterdir():
        (snapshot / file.name).symlink_to(Path("../../blobs") / file.name)
    assert imported(snapshot, tmp_path / "a").card["source"]["name"] == "0123"


def test_arguments(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="`dtype` must be one of float32, bfloat16, float16, got 'int8'"):
        maas.import_hf(folder, output=tmp_path / "a", dtype="int8")
    with pytest.raises(FormatError, match="`context` must be an integer from 2 to 64, the model's `max_position"):
        maas.import_hf(folder, output=tmp_path / "a", context=65)
    with pytest.raises(DataError, match="`folder` must be a folder with a model's files, or a "):
        maas.import_hf(tmp_path / "nowhere", output=tmp_path / "a")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    with pytest.raises(ArtifactError, match="is not an artifact and will not be replaced"):
        maas.import_hf(folder, output=tmp_path / "mine")


def test_the_template_is_kept(llama: Path, tmp_path: Path) -> None:
    shutil.copytree(llama, tmp_path / "tiny")
    edit(tmp_path / "tiny" / "tokenizer_config.json", chat_template=[{"name": "default", "template": TEMPLATE}])
    language: Any = imported(tmp_path / "tiny", tmp_path / "a").preprocess.language  # type: ignore[attr-defined]
    assert language.chat_template == TEMPLATE
    (tmp_path / "tiny" / "chat_template.jinja").write_text("{{ messages[0].content }}")
    language = imported(tmp_path / "tiny", tmp_path / "b").preprocess.language  # type: ignore[attr-defined]
    assert language.chat([("user", "Hi")]) == "Hi"
