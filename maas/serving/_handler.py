"""What runs inside a TorchServe worker. It never imports TorchServe, so tests run it without a server."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Protocol

import orjson
import torch

from maas.client import DESCRIPTION
from maas.errors import RowError
from maas.model import Model
from maas.serving._requests import JSON, PROBLEM_JSON, Asked, Problem, read_request, row_problem, too_many_rows
from maas.serving._settings import DRAIN, IMPORTS
from maas.serving._settings import MOST_BODY_BYTES as MOST_RESPONSE_BYTES
from maas.task import Batch

Result = dict[str, Any] | RowError | Problem | None
"""An answer, why a row is refused, why it failed, or None where it is not finite."""

_log = logging.getLogger("maas.serving")


class Context(Protocol):
    """The part of TorchServe's context that the handler uses."""

    manifest: Any
    model_yaml_config: Any

    @property
    def system_properties(self) -> Mapping[str, Any]: ...
    def get_all_request_header(self, idx: int) -> Mapping[str, Any]: ...
    def set_response_status(self, code: int, phrase: str, idx: int) -> None: ...
    def set_response_content_type(self, idx: int, value: str) -> None: ...
    def set_response_header(self, idx: int, key: str, value: str) -> None: ...


class Handler:
    """Answers batches of requests by one `Model`. It is the same `prepare` and `stream` that `Model.predict` calls.

    A bad row is refused with a problem document, and its neighbours are answered. `handle` never raises, and gives
    bytes only: anything else could end TorchServe's worker.

    Args:
        context: TorchServe's, or one like it: where the model's files are, its name and version.

    Raises:
        ArtifactError: the model cannot be loaded; TorchServe shows the traceback in its model log.
    """

    def __init__(self, context: Context) -> None:
        logging.getLogger().setLevel(logging.WARNING)  # TorchServe's worker writes a line for each request
        for module in filter(None, os.environ.get(IMPORTS, "").split(",")):
            importlib.import_module(module)
        properties = context.system_properties
        workers = int((context.model_yaml_config or {}).get("maxWorkers", 1))
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
        gpu = properties.get("gpu_id")
        device = f"cuda:{gpu}" if gpu is not None and torch.cuda.is_available() else "cpu"
        self.model = Model.load(properties["model_dir"], device=device)
        named = context.manifest["model"]
        self.identity = {
            "name": str(named["modelName"]),
            "version": str(named["modelVersion"]),
            "digest": str(self.model.digest),
        }

    def handle(self, requests: Sequence[Mapping[str, Any]], context: Context) -> list[bytes]:
        """Answer a batch of requests, each on its own.

        Args:
            requests: for each request its parts by name, as TorchServe hands them over.
            context: takes the status and the content type of each answer.

        Returns:
            One body a request.
        """
        asked: list[Asked | Problem] = []
        if os.path.exists(os.environ.get(DRAIN, "")):
            draining = Problem(
                503, "draining", "Draining", "the server is stopping; try again", {"worker": os.getpid()}
            )
            for index in range(len(requests)):
                context.set_response_header(index, "Retry-After", "1")
            return [_send(draining, draining, index, context) for index in range(len(requests))]
        for index, parts in enumerate(requests):
            try:
                asked.append(read_request(parts, context.get_all_request_header(index), self.model.schema))
            except Problem as problem:
                asked.append(problem)
            except Exception:
                asked.append(_unexpected("read"))
        try:
            results = self._answer([row for one in asked if isinstance(one, Asked) for row in one.rows])
        except Exception:
            failed = _unexpected("answered")
            asked, results = [one if isinstance(one, Problem) else failed for one in asked], []
        bodies = []
        start = 0
        for index, one in enumerate(asked):
            body: bytes | Problem
            if isinstance(one, Problem):
                body = one
            else:
                try:
                    body = self._body(one, results[start : start + len(one.rows)])
                except Exception:
                    body = _unexpected("written")
                start += len(one.rows)
            bodies.append(_send(body, one, index, context))
        return bodies

    def describe(self) -> dict[str, Any]:
        """The model as clients need to know it."""
        model = self.model
        example = model.example or {"rows": [None], "answers": [None]}
        return {
            "model": self.identity,
            "task": model.task.kind,
            "target": model.target,
            "labels": model.task.state()[0].get("classes"),
            "schema": model.schema.json_schema(),
            "fields": model.schema.to_json(),
            "example": {"row": example["rows"][0], "answer": example["answers"][0]},
            "card": model.card,
        }

    def _answer(self, rows: list[Any]) -> list[Result]:
        """For each row its answer, or why it has none."""
        if not rows:
            return []
        results: dict[int, Result] = {}
        size = self.model.rows_at_once
        for start in range(0, len(rows), size):
            prepared = self.model.prepare(rows[start : start + size])
            results.update((start + row, error) for row, error in prepared.errors.items())
            results.update(zip((prepared.kept + start).tolist(), self._run(prepared.batch), strict=True))
        return [
            RowError(row, None, "the network gives no finite number for this row")
            if results[row] is None
            else results[row]
            for row in range(len(rows))
        ]

    def _run(self, batch: Batch) -> list[Result]:
        """Answers to prepared rows, None where one is not finite.

        Where the network throws, the batch is halved until only the culprit fails.
        """
        if not len(batch):
            return []
        try:
            answers = self.model.task.join(self.model.stream(batch))
        except Exception:
            if len(batch) == 1:
                return [_unexpected("answered")]
            half = len(batch) // 2
            return self._run(batch[:half]) + self._run(batch[half:])
        good = answers.finite()
        return [answer if fine else None for answer, fine in zip(answers.to_dicts(), good.tolist(), strict=True)]

    def _body(self, asked: Asked, results: Sequence[Result]) -> bytes | Problem:
        if asked.about:
            described = self.describe() if asked.about == DESCRIPTION else {**self.identity, "worker": os.getpid()}
            body = orjson.dumps(described)
            if len(body) > MOST_RESPONSE_BYTES:  # a card may hold anything
                body = orjson.dumps({**described, "card": None})
            return body if len(body) <= MOST_RESPONSE_BYTES else too_many_rows("the description is too large")
        for result in results:
            if isinstance(result, Problem):
                return result
        errors = {row: result.at(row) for row, result in enumerate(results) if isinstance(result, RowError)}
        if errors:
            answers = {row: result for row, result in enumerate(results) if row not in errors}
            return row_problem(asked, errors, answers)
        if asked.single:
            body = orjson.dumps({**results[0], "model": self.identity})  # type: ignore[dict-item]
        else:
            body = orjson.dumps({"predictions": list(results), "model": self.identity})
        if len(body) > MOST_RESPONSE_BYTES:
            return too_many_rows("the answer would be too large")
        return body


def _send(body: bytes | Problem, asked: Asked | Problem, index: int, context: Context) -> bytes:
    if isinstance(body, Problem):
        context.set_response_status(body.status, HTTPStatus(body.status).phrase, index)
        context.set_response_content_type(index, PROBLEM_JSON)
        written = body.body()
        if len(written) <= MOST_RESPONSE_BYTES:
            return written
        return Problem(body.status, body.kind, body.title, body.detail[:1000]).body()
    context.set_response_content_type(index, (isinstance(asked, Asked) and asked.about) or JSON)
    return body


def _unexpected(what: str) -> Problem:
    _log.exception("a request could not be %s", what)
    return Problem(500, "internal", "Internal error", f"the request could not be {what}; the server's log has more")
