"""What every peer of `benchmarks/serving.py` serves: the very network of the artifact, prepared for in plain torch.

Each peer reads the folder that the benchmark names in PEER_FOLDER: `network.json` (the recipe), `weights.safetensors`,
`prepare.json` (what preprocessing learned). A peer's own file holds only what its server wants to have.
"""

import io
import json
import os
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torchvision import transforms

from maas.nn import Recipe

IMAGE = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    ]
)


def peer_folder() -> Path:
    return Path(os.environ["PEER_FOLDER"])


def build(folder: Path) -> nn.Module:
    """The network, without its weights."""
    return Recipe.from_json(json.loads((folder / "network.json").read_text())).build()


class PeerModel:
    """The three steps that a server calls: an item of its own, a batch of them, and answers."""

    def __init__(self, folder: Path) -> None:
        self.learned = json.loads((folder / "prepare.json").read_text())
        self.network = build(folder).eval()
        self.network.load_state_dict(load_file(folder / "weights.safetensors"))
        if self.learned["kind"] == "rows":
            self.mean, self.scale = (torch.tensor(self.learned[name]) for name in ("mean", "scale"))

    def item(self, value: Any) -> Any:
        """One row as JSON gave it, or the bytes of an image, as a tensor."""
        if self.learned["kind"] == "image":
            return IMAGE(Image.open(io.BytesIO(value)).convert("RGB"))
        if self.learned["kind"] == "text":
            known = self.learned["tokens"]
            return torch.tensor([known.get(word, 1) for word in value["text"].split()])
        return (torch.tensor(value["x"]) - self.mean) / self.scale

    def rows(self, values: list[Any]) -> torch.Tensor:
        """Many rows of one request at once."""
        return (torch.tensor([value["x"] for value in values]) - self.mean) / self.scale

    def run(self, items: list[Any]) -> torch.Tensor:
        """The probabilities of a batch."""
        with torch.inference_mode():
            if self.learned["kind"] == "text":
                lengths = torch.tensor([len(one) for one in items])
                tokens = nn.utils.rnn.pad_sequence(items, batch_first=True)
                logits = self.network(tokens=tokens, tokens_lengths=lengths)
            else:
                logits = self.network(torch.stack(items))
            return logits.softmax(dim=1)

    def run_rows(self, x: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self.network(x).softmax(dim=1)

    def answer(self, probabilities: torch.Tensor) -> dict[str, Any]:
        """What is sent of one item: the five best classes of an image, as the stock handler sends them, else all."""
        if self.learned["kind"] == "image":
            best = probabilities.topk(5)
            return dict(zip(map(str, best.indices.tolist()), best.values.tolist(), strict=True))
        return {"label": int(probabilities.argmax()), "probabilities": probabilities.tolist()}
