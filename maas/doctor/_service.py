"""A handler file, called as TorchServe's worker calls it, without TorchServe."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_MOST_SECONDS = 120.0


@dataclass(frozen=True)
class Request:
    """A request.

    Args:
        what: in words.
        body: None for one without.
        answered: whether it must be answered, True, or refused, False; None: either will do.
        headers: further ones.
    """

    what: str
    body: bytes | None
    answered: bool | None = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Answer:
    """What a client would get.

    Args:
        body: should be bytes.
        status: of HTTP.
        phrase: of the status.
        headers: of the answer.
    """

    body: Any = b""
    status: int = 200
    phrase: str = "OK"
    headers: dict[str, Any] = field(default_factory=dict)


class Context:
    """As TorchServe's, as far as maas's handlers use it.

    Args:
        folder: the model's files.
        name, version: of the model.
        config: the content of model-config.yaml.
    """

    def __init__(self, folder: str, name: str, version: str, config: Mapping[str, Any]) -> None:
        size = config.get("batchSize", 1)
        self.system_properties = {"model_dir": folder, "gpu_id": None, "batch_size": size}
        self.manifest = {"model": {"modelName": name, "modelVersion": version}}
        self.model_yaml_config = dict(config)
        self.request_ids: dict[int, str] = {}
        self.stopping_criteria: Mapping[int, Callable[[object], bool | None]] = {}
        self.requests: Sequence[Request | None] = ()
        self.answers: Sequence[Answer] = ()

    def get_all_request_header(self, idx: int) -> dict[str, str]:
        one = self.requests[idx]
        return {} if one is None else {"host": "localhost", "content-type": "application/json", **one.headers}

    def set_response_status(self, code: int, phrase: str, idx: int) -> None:
        self.answers[idx].status, self.answers[idx].phrase = code, phrase

    def set_response_content_type(self, idx: int, value: str) -> None:
        self.set_response_header(idx, "content-type", value)

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        self.answers[idx].headers[key] = value


class Service:
    """The one class of a handler file, initialized.

    Args:
        file: the handler.
        context: of the worker.
    """

    def __init__(self, file: Path, context: Context) -> None:
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        (found,) = (one for one in vars(module).values() if isinstance(one, type))
        self._instance: Any = found()
        self._instance.initialize(context)
        self._context = context
        self._streams = bool(context.model_yaml_config.get("continuousBatching"))
        self._count = 0

    @property
    def model(self) -> Any:
        return self._instance._handler.model

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """The answers to requests that come at the same moment.

        Raises:
            ValueError: the handler gives another number of answers.
            TimeoutError: a model that streams does not come to an end.
        """
        return self._stream(requests) if self._streams else self._batch(requests)

    def _batch(self, requests: Sequence[Request]) -> list[Answer]:
        answers = [Answer() for _ in requests]
        self._context.requests, self._context.answers = requests, answers
        bodies = self._instance.handle([_parts(one) for one in requests], self._context)
        if len(bodies) != len(requests):
            raise ValueError(f"{len(requests)} requests got {len(bodies)} answers")
        for answer, body in zip(answers, bodies, strict=True):
            answer.body = body
        return answers

    def _stream(self, requests: Sequence[Request]) -> list[Answer]:
        """As TorchServe's continuous batching: again and again with the requests that are live."""
        self._count += 1
        answers = {f"{self._count}-{place}": Answer() for place in range(len(requests))}
        asked = dict(zip(answers, requests, strict=True))
        live, seen = list(answers), set[str]()
        deadline = time.monotonic() + _MOST_SECONDS
        while live:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(live)} of {len(requests)} requests have no end after {_MOST_SECONDS:g} s")
            new = [None if name in seen else asked[name] for name in live]
            self._context.requests, self._context.answers = new, [answers[name] for name in live]
            self._context.request_ids = dict(enumerate(live))
            bodies = self._instance.handle([{} if one is None else _parts(one) for one in new], self._context)
            if len(bodies) != len(live):
                raise ValueError(f"{len(live)} requests got {len(bodies)} bodies")
            seen |= set(live)
            ended = set()
            for place, name in self._context.request_ids.items():
                answers[name].body += bodies[place]
                if self._context.stopping_criteria[place](bodies[place]) is not False:
                    ended.add(name)
            live = [name for name in live if name not in ended]
        self._context.request_ids = {}
        return list(answers.values())


def _parts(one: Request) -> dict[str, bytes]:
    return {} if one.body is None else {"body": one.body}
