"""A published language model to an artifact."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from maas import artifact
from maas.errors import DataError, FormatError, show
from maas.importing._checkpoint import Checkpoint
from maas.importing._families import arguments_of
from maas.importing._folder import read_folder
from maas.importing._gguf import read_gguf
from maas.importing._language import defaults_of, language_of
from maas.importing._names import names_of
from maas.model import Model
from maas.nn import CausalTransformer, recipe
from maas.nn._causal_transformer import DTYPES
from maas.preprocess import Prompt
from maas.schema import generation_schema
from maas.task import Generation

_CHARACTERS = 16  # at most of a token, in prompts that are worth reading
_FLOATS = {getattr(torch, name): name for name in DTYPES}


def import_hf(folder: str | Path, *, output: str | Path, dtype: str | None = None, context: int | None = None) -> Path:
    """Turn a language model's folder in the form of Hugging Face, or its GGUF file, into an artifact.

    Architectures are those of `maas.importing._families`. Nothing in the folder is run; weights are read one tensor at
    a time, straight from their files where they have the wanted dtype.

    Args:
        folder: with config.json, safetensors and tokenizer.json; or a `.gguf` file.
        output: the artifact's folder, replaced in one step if one stands there.
        dtype: to store and to compute in, "float32", "bfloat16" or "float16"; by default that of the weights, and
            float32 for a GGUF file.
        context: most tokens of a prompt and its answer; by default as many as the model takes.

    Returns:
        `output`.

    Raises:
        DataError: an argument is out of its range.
        FormatError: the model is none that maas knows, or its files do not fit together.
        ArtifactError: `output` is something else than an artifact.
    """
    folder, output = Path(folder), Path(output)
    if dtype is not None and dtype not in DTYPES:
        raise DataError(f"`dtype` must be one of {', '.join(DTYPES)}, got {show(dtype)}")
    artifact.check_replaceable(output)
    found = read_gguf(folder) if folder.suffix == ".gguf" else read_folder(folder)
    model_of(found, dtype, context).save(output)
    return output


def model_of(found: Checkpoint, dtype: str | None, context: int | None) -> Model:
    """A model out of a checkpoint, checked at each step."""
    language = language_of(found)
    arguments = arguments_of(found.config, context)
    if len(language) > arguments["vocabulary"]:
        raise FormatError(
            f"the tokenizer has {len(language)} tokens and config.json the `vocab_size` {arguments['vocabulary']}: "
            f"some have no weights; take the tokenizer that the model was trained with"
        )
    names = names_of(found.shapes, tied=arguments["tied"])
    first = found.tensor(names["embedding.weight"]).dtype
    arguments |= {"vocabulary": len(language), "dtype": dtype or _FLOATS.get(first, "float32")}
    made = recipe(CausalTransformer, **arguments)
    with torch.device("meta"):
        network = made.build()
    weights = dict(_weights(found, names, network.state_dict()))
    network.load_state_dict(weights, strict=True, assign=True)
    defaults = defaults_of(found.generation_config)
    schema = generation_schema(arguments["context"] * _CHARACTERS)
    state: dict[str, Any] = {"language": language.state(), "context": arguments["context"], "defaults": defaults}
    learned: Any = Prompt.from_state(schema, state, {})  # which holds the defaults against their ranges
    return Model(
        network,
        recipe=made,
        schema=schema,
        preprocess=learned,
        task=Generation(),
        target="size",
        card={"source": {**found.source, "architecture": found.config["architectures"][0], "weights": str(first)}},
    )


def _weights(
    found: Checkpoint, names: dict[str, str], wanted: dict[str, torch.Tensor]
) -> Iterator[tuple[str, torch.Tensor]]:
    """The network's tensors, one by one, in its dtype.

    Rows of the embedding and the head that no token stands for, which some models have, are left out.
    """
    if missing := sorted(set(wanted) - set(names)):
        raise FormatError(f"the weights lack the network's {missing[0]}, and {len(missing) - 1} more")
    if more := sorted(set(names) - set(wanted)):
        raise FormatError(f"the weights have {names[more[0]]}, which the network that config.json describes has not")
    for name, want in wanted.items():
        is_cut = name in ("embedding.weight", "head.weight")
        shape = found.shapes[names[name]]
        vocabulary = found.config["vocab_size"]
        full = (vocabulary, *want.shape[1:]) if is_cut else tuple(want.shape)
        if shape != full:
            raise FormatError(f"{names[name]} has the shape {shape}, config.json describes {full}")
    for name, want in wanted.items():
        tensor = found.tensor(names[name])
        if tensor.dtype not in _FLOATS:
            raise FormatError(f"{names[name]} is {tensor.dtype}, maas reads {', '.join(DTYPES)}")
        yield name, tensor[: want.shape[0]].to(want.dtype)
