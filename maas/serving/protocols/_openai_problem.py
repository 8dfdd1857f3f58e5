"""Refusals as OpenAI's API draws them, from which its clients make errors of their own types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from maas.serving.protocols._accept import JSON
from maas.serving.protocols._problems import Problem


class OpenAIProblem(Problem):
    """A refusal whose body is `{"error": {"message", "type", "param", "code"}}`; `code` is the problem's kind."""

    media = f"{JSON}; charset=utf-8"
    """By its parameter the front tells it from an error of TorchServe's own, which it asks another instance about."""

    def body(self) -> bytes:
        return orjson.dumps({"error": self.error()})

    def error(self) -> dict[str, Any]:
        """What stands under `error`."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"message": self.detail[:10_000], "type": kind, "param": self.field, "code": self.kind}


def as_openai(problem: Problem, names: Mapping[str, str] | None = None) -> OpenAIProblem:
    """The same problem in the API's form.

    Args:
        problem: of any protocol.
        names: the API's names for fields of a row, where they differ.
    """
    field = problem.field
    if field is not None and names:
        field = names.get(field, field)
    return OpenAIProblem(problem.kind, problem.detail, field=field, row=problem.row, more=problem.more)
