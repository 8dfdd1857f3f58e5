"""A tiny model that was taught to go on from sentences, and TorchServe's side of its handler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import maas
from maas.serving import GenerateHandler

NOUNS, VERBS = ("cat", "dog", "bird", "fish", "horse"), ("sees", "likes", "finds")
TEMPLATE = "{% for one in messages %}{{ one.role }} says the {{ one.content }}. {% endfor %}the"
CONTEXT = 96


def taught() -> maas.Model:
    """Two layers of 48, with a chat template; sentences such as "the cat sees the dog and the dog likes the cat."."""
    texts = [
        f"the {one} {verb} the {other} and the {other} {again} the {one}."
        for one in NOUNS
        for other in NOUNS
        if one != other
        for verb in VERBS
        for again in VERBS
    ]
    model = maas.fit(
        maas.recipe(maas.nn.CausalTransformer, width=48, num_layers=2, num_heads=2),
        maas.data.read_corpus(texts),
        preprocess=maas.preprocess.Prompt.with_options(vocabulary=300, context=CONTEXT),
        epochs=12,
        batch_size=8,
        learning_rate=0.005,
        device="cpu",
        progress=False,
    )
    learned: Any = model.preprocess
    return maas.Model(
        model.network,
        recipe=model.recipe,
        schema=model.schema,
        preprocess=replace(learned, language=replace(learned.language, chat_template=TEMPLATE)),
        task=model.task,
        target=model.target,
        card=model.card,
    )


class FakeTorchServe:
    """Calls a handler as TorchServe's continuous batching does, and keeps what each client is sent.

    Args:
        folder: the model's.
        slots: most requests at once.
    """

    def __init__(self, folder: Path, slots: int = 4) -> None:
        self.system_properties = {"model_dir": str(folder), "gpu_id": None, "batch_size": slots}
        self.manifest = {"model": {"modelName": "tiny", "modelVersion": "1.0"}}
        self.model_yaml_config = {"maxWorkers": 2, "continuousBatching": True}
        self.request_ids: dict[int, str] = {}
        self.stopping_criteria: Mapping[int, Callable[[object], bool | None]] = {}
        self.jobs: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}  # TorchServe's map: live requests
        self.left: set[str] = set()
        self.bodies: dict[str, list[bytes]] = {}
        self.status: dict[str, int] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.whole: set[str] = set()
        self._names: list[str] = []
        self._seen: set[str] = set()

    def ask(self, name: str, body: bytes, **headers: str) -> str:
        """A request comes."""
        self.jobs[name] = ({"body": body} if body else {}, {"host": "x", "content-type": "application/json", **headers})
        self.bodies[name] = []
        return name

    def step(self, handler: GenerateHandler) -> None:
        """One call of `handle`."""
        self._names = list(self.jobs)
        self.request_ids = dict(enumerate(self._names))
        parts = [{} if name in self._seen else self.jobs[name][0] for name in self._names]
        bodies = handler.handle(parts, self)
        assert len(bodies) == len(parts)
        assert all(type(body) is bytes for body in bodies)
        for place, name in self.request_ids.items():
            says = self.stopping_criteria[place](bodies[place])
            first = not self.bodies[name] and name not in self.left
            assert not (first and says is True), "a first part that is the last goes out without a head"
            assert not (says is True and bodies[place]), "the last part must be empty"
            self.bodies[name].append(bodies[place])
            if says is None:
                self.whole.add(name)
            if says is True or name in self.left or (says is None and self.status.get(name, 200) < 400):
                del self.jobs[name]  # one that was sent whole stays until its connection is seen to be closed
        self._seen |= set(self._names)
        self.left |= self.whole

    def run(self, handler: GenerateHandler, most: int = 400) -> None:
        """Steps until no request is live."""
        for _ in range(most):
            if not self.jobs:
                return
            self.step(handler)
        raise AssertionError(f"{list(self.jobs)} are live after {most} steps")

    def answer(self, name: str) -> tuple[int, bytes]:
        """Status and body of what a client has."""
        return self.status.get(name, 200), b"".join(self.bodies[name])

    def get_all_request_header(self, idx: int) -> dict[str, Any]:
        name = self._names[idx]
        return {} if name in self._seen else self.jobs[name][1]

    def set_response_status(self, code: int, phrase: str, idx: int) -> None:
        phrase.encode("ascii")
        self.status[self._names[idx]] = code

    def set_response_content_type(self, idx: int, value: str) -> None:
        self.set_response_header(idx, "content-type", value)

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        self.headers.setdefault(self._names[idx], {})[key] = value
