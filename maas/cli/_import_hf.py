"""maas import-hf."""

from __future__ import annotations

import argparse
from argparse import Namespace

from maas.cli._options import add_command, add_json
from maas.cli._print import print_json, tell


def add_import_hf(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    importing = add_command(
        commands,
        "import-hf",
        "turn a language model's Hugging Face folder, or its GGUF file, into a saved model",
        "examples:\n  maas import-hf SmolLM2-135M-Instruct --output artifacts/smol\n"
        "  maas import-hf Llama-3.2-1B --dtype bfloat16 --context 4096 --output artifacts/llama\n"
        "  maas import-hf model.Q4_K_M.gguf --output artifacts/model\n\n"
        "the folder has config.json, safetensors and tokenizer.json; nothing in it is run. Architectures: Llama (and\n"
        "SmolLM), Mistral, Qwen2 and Qwen3",
    )
    importing.add_argument("folder", metavar="DIR", help="a folder that is on this machine, or a .gguf file")
    importing.add_argument("--output", required=True, metavar="ARTIFACT", help="the saved model's folder")
    importing.add_argument(
        "--dtype",
        choices=["float32", "bfloat16", "float16"],
        help="to store and to compute in (default: that of the weights; of a GGUF file float32)",
    )
    importing.add_argument(
        "--context", type=int, metavar="N", help="most tokens of a prompt and its answer (default: the model's)"
    )
    add_json(importing)


def import_hf(options: Namespace) -> bool:
    import maas
    from maas import artifact

    path = maas.import_hf(options.folder, output=options.output, dtype=options.dtype, context=options.context)
    stored = artifact.read(path)
    arguments = stored.description["recipe"]["arguments"]
    found = {
        "path": str(path),
        "architecture": stored.card["source"]["architecture"],
        "parameters": stored.card["num_parameters"],
        "dtype": arguments["dtype"],
        "context": arguments["context"],
        "digest": stored.digest,
    }
    lines = [f"{key}: {value:,}" if type(value) is int else f"{key}: {value}" for key, value in found.items()]
    tell(options, "\n".join(lines))
    print_json(options, found)
    return False
