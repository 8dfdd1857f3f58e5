"""Answers of OpenAI's API, whole or as a stream of chunks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from maas.serving.protocols._accept import JSON
from maas.serving.protocols._openai_problem import as_openai
from maas.serving.protocols._problems import Problem
from maas.serving.protocols._teller import EVENTS, event
from maas.task import Part

Scored = list[dict[str, Any]]
_NEVER = -9999.0  # what the API says for the logarithm of nothing


class Form(Protocol):
    """How a kind of completion is written."""

    prefix: str
    object: str
    chunk: str

    def begin(self, row: int, part: Part) -> tuple[str, Scored]:
        """What stands before the first token: text, and tokens with their log probabilities."""
        ...

    def first(self) -> dict[str, Any] | None:
        """What a stream's first chunk has, where that has no text."""
        ...

    def delta(self, text: str) -> dict[str, Any]:
        """The text of a chunk."""
        ...

    def whole(self, text: str) -> dict[str, Any]:
        """The text of an answer."""
        ...

    def logprobs(self, scored: Scored, offset: int) -> dict[str, Any] | None:
        """Log probabilities, of tokens whose text begins at an offset; None where they were not asked for."""
        ...


class ChatForm:
    """Of /v1/chat/completions.

    Args:
        scores: whether log probabilities are asked for.
    """

    prefix, object, chunk = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def __init__(self, scores: bool) -> None:
        self._scores = scores

    def begin(self, row: int, part: Part) -> tuple[str, Scored]:
        return "", []

    def first(self) -> dict[str, Any] | None:
        return {"delta": {"role": "assistant", "content": ""}}

    def delta(self, text: str) -> dict[str, Any]:
        return {"delta": {"content": text} if text else {}}

    def whole(self, text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text, "refusal": None}}

    def logprobs(self, scored: Scored, offset: int) -> dict[str, Any] | None:
        if not self._scores:
            return None
        return {"content": [{**_named(one), "top_logprobs": [_named(top) for top in one["top"]]} for one in scored]}


class TextForm:
    """Of /v1/completions.

    Args:
        scores: whether log probabilities are asked for.
        echo: the prompts, where answers begin with them.
    """

    prefix, object, chunk = "cmpl", "text_completion", "text_completion"

    def __init__(self, scores: bool, echo: Sequence[str] | None) -> None:
        self._scores, self._echo = scores, echo

    def begin(self, row: int, part: Part) -> tuple[str, Scored]:
        return ("", []) if self._echo is None else (self._echo[row], part.prompt_logprobs or [])

    def first(self) -> dict[str, Any] | None:
        return None

    def delta(self, text: str) -> dict[str, Any]:
        return {"text": text}

    def whole(self, text: str) -> dict[str, Any]:
        return {"text": text}

    def logprobs(self, scored: Scored, offset: int) -> dict[str, Any] | None:
        if not self._scores:
            return None
        offsets = [offset]
        for one in scored:
            offsets.append(offsets[-1] + len(one["token"]))
        return {
            "tokens": [one["token"] for one in scored],
            "token_logprobs": [_finite(one["logprob"]) for one in scored],
            "top_logprobs": [
                {top["token"]: _finite(top["logprob"]) for top in one["top"]} if one.get("top") else None
                for one in scored
            ],
            "text_offset": offsets[:-1],
        }


class OpenAITeller:
    """Tells the answers to one request.

    Args:
        head: what every chunk has: id, object, created, model, system_fingerprint.
        form: of the completion.
        rows: how many prompts.
        streams: whether in chunks.
        usage: whether a stream ends with the tokens counted.
        names: the API's names for fields of a row, where they differ.
    """

    def __init__(
        self, head: Mapping[str, Any], form: Form, rows: int, streams: bool, usage: bool, names: Mapping[str, str]
    ) -> None:
        self.streams = streams
        self.media = EVENTS if streams else JSON
        self._head, self._form, self._names = head, form, names
        self._usage = {"usage": None} if usage and streams else {}
        self._begun = [False] * rows
        self._offset = [0] * rows
        self._texts: list[list[str]] = [[] for _ in range(rows)]
        self._scored: list[Scored] = [[] for _ in range(rows)]
        self._finish: list[str | None] = [None] * rows
        self._prompt = [0] * rows
        self._tokens = 0

    def tell(self, row: int, part: Part) -> bytes:
        self._prompt[row] = part.prompt_tokens
        self._tokens += part.tokens
        told = []
        text, scored = part.text, part.logprobs or []
        if not self._begun[row] and (part.tokens or part.finish_reason is not None):
            self._begun[row] = True
            before, prompt = self._form.begin(row, part)
            text, scored = before + text, prompt + scored
            if self.streams and (first := self._form.first()) is not None:
                told.append(self._chunk(row, first, None, None))
        if not self.streams:
            self._texts[row].append(text)
            self._scored[row] += scored
            self._finish[row] = part.finish_reason
            return b""
        if text or scored:
            logprobs = self._form.logprobs(scored, self._offset[row])
            self._offset[row] += sum(len(one["token"]) for one in scored)
            told.append(self._chunk(row, self._form.delta(text), logprobs, None))
        if part.finish_reason is not None:
            told.append(self._chunk(row, self._form.delta(""), None, part.finish_reason))
        return b"".join(told)

    def end(self) -> bytes:
        if self.streams:
            usage = event({**self._head, "choices": [], "usage": self._counts()}) if self._usage else b""
            return usage + b"data: [DONE]\n\n"
        choices = [
            {
                "index": row,
                **self._form.whole("".join(self._texts[row])),
                "logprobs": self._form.logprobs(self._scored[row], 0),
                "finish_reason": self._finish[row],
            }
            for row in range(len(self._texts))
        ]
        return orjson.dumps({**self._head, "choices": choices, "usage": self._counts()})

    def refuse(self, problem: Problem) -> Problem:
        return as_openai(problem, self._names)

    def fail(self, problem: Problem) -> bytes:
        body = {"error": as_openai(problem, self._names).error()}
        return event(body) if self.streams else orjson.dumps(body)

    def _chunk(self, row: int, text: dict[str, Any], logprobs: Any, finish: str | None) -> bytes:
        choice = {"index": row, **text, "logprobs": logprobs, "finish_reason": finish}
        return event({**self._head, "choices": [choice], **self._usage})

    def _counts(self) -> dict[str, int]:
        prompt = sum(self._prompt)
        return {"prompt_tokens": prompt, "completion_tokens": self._tokens, "total_tokens": prompt + self._tokens}


def _named(one: Mapping[str, Any]) -> dict[str, Any]:
    token = one["token"]
    return {"token": token, "logprob": _finite(one["logprob"]), "bytes": list(token.encode())}


def _finite(logprob: float | None) -> float | None:
    return logprob if logprob is None or math.isfinite(logprob) else _NEVER
