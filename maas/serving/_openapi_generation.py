"""What a model that generates text takes and answers, for its OpenAPI document: rows, streams, and OpenAI's API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maas.serving._openapi_schema import ref
from maas.serving.protocols import EVENTS, JSON, MOST_PROMPTS

_STRING, _INTEGER, _NUMBER, _FLAG = ({"type": kind} for kind in ("string", "integer", "number", "boolean"))
_STOP = {"oneOf": [_STRING, {"type": "array", "items": _STRING}]}
_SAMPLE = "It was"
_ANSWER = {
    "text": _STRING,
    "finish_reason": {"enum": ["stop", "length"]},
    "prompt_tokens": _INTEGER,
    "completion_tokens": _INTEGER,
    "logprob": {**_NUMBER, "description": "of the text's tokens together"},
    "prompt_logprob": {"type": ["number", "null"], "description": "of the prompt's but the first, where `echo`"},
    "logprobs": {"type": ["array", "null"], "items": {"type": "object"}, "description": "where they are asked for"},
}
_ASKED = {
    "model": {**_STRING, "description": "behind a front it names the model; else it may be left out"},
    "stream": _FLAG,
    "stream_options": {"type": "object", "properties": {"include_usage": _FLAG}},
    **dict.fromkeys(("temperature", "top_p", "repetition_penalty"), _NUMBER),
    **dict.fromkeys(("top_k", "seed", "max_tokens"), _INTEGER),
    "stop": _STOP,
}


def generation_paths(described: Mapping[str, Any], problems: Mapping[str, Any]) -> dict[str, Any]:
    """The operations that ask for text, by path.

    Args:
        described: what `Client.describe` gives.
        problems: the responses that refuse.
    """
    name, version = described["model"]["name"], described["model"]["version"]
    row = {"prompt": _SAMPLE, "max_tokens": 16}
    chat = {"model": name, "messages": [{"role": "user", "content": "Hello"}], "max_completion_tokens": 16}
    rows = {"type": "array", "items": ref("Row"), "minItems": 1, "maxItems": MOST_PROMPTS}
    instances = {"type": "object", "properties": {"instances": rows}, "required": ["instances"]}
    examples = {"one row": {"value": row}, "many rows": {"value": {"instances": [row, row]}}}
    predict = {
        "operationId": "predict",
        "summary": f"Go on from prompts or conversations; one row as a stream with Accept: {EVENTS}",
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": {"oneOf": [ref("Row"), instances]}, "examples": examples}},
        },
        "responses": {
            "200": _answered(
                {"oneOf": [ref("BareAnswer"), ref("Answers")]},
                "each `data` is a part: `text` that is new and `finish_reason`, null but in the last, which has what "
                "the answer has besides; an event of kind `error` is a Problem, and ends it",
            ),
            **problems,
        },
    }
    paths = {f"/predictions/{name}": {"post": predict}}
    for prefix, kind in ((f"/predictions/{name}/{version}/v1", ""), ("/v1", ", behind a front")):
        told = "Front" if kind else ""
        paths |= {
            f"{prefix}/chat/completions": {
                "post": _openai(f"chat{told}", f"Answer a conversation{kind}", "Chat", chat)
            },
            f"{prefix}/completions": {
                "post": _openai(f"complete{told}", f"Go on from prompts{kind}", "Text", {"model": name, **row})
            },
            f"{prefix}/models": {
                "get": {
                    "operationId": f"models{told}",
                    "summary": f"The models that generate text{kind}",
                    "responses": {"200": {"description": "The list", "content": {JSON: {"schema": ref("ModelList")}}}},
                }
            },
        }
    return paths


def generation_schemas(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The schemas that these operations name.

    Args:
        identity: the schema of a model's name and digest.
    """
    answer = _object(_ANSWER, *_ANSWER)
    listed = {"type": "array", "items": ref("Answer")}
    message = _object({"role": _STRING, "content": _STRING}, "role", "content")
    usage = _object(dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), _INTEGER))
    choice = {
        "index": _INTEGER,
        "finish_reason": {"enum": ["stop", "length"]},
        "logprobs": {"type": ["object", "null"]},
    }
    about = _object({"id": _STRING, "object": _STRING, "created": _INTEGER, "owned_by": _STRING}, "id")
    error = {"message": _STRING, "type": _STRING, "param": {"type": ["string", "null"]}, "code": _STRING}

    def completion(kind: str, said: dict[str, Any]) -> dict[str, Any]:
        choices = {"type": "array", "items": _object({**choice, **said}, "index", "finish_reason", *said)}
        head = {"id": _STRING, "object": {"const": kind}, "created": _INTEGER, "model": _STRING}
        return _object({**head, "choices": choices, "usage": usage}, *head, "choices", "usage")

    return {
        "Answer": answer,
        "BareAnswer": _object({**_ANSWER, "model": identity}, *_ANSWER, "model"),
        "Answers": _object({"predictions": listed, "model": identity}, "predictions", "model"),
        "ChatRequest": _object(
            {
                **_ASKED,
                "messages": {"type": "array", "items": message, "minItems": 1},
                "max_completion_tokens": _INTEGER,
                "logprobs": _FLAG,
                "top_logprobs": _INTEGER,
            },
            "messages",
        ),
        "TextRequest": _object({**_ASKED, "prompt": _STOP, "logprobs": _INTEGER, "echo": _FLAG}, "prompt"),
        "Chat": completion("chat.completion", {"message": message}),
        "Text": completion("text_completion", {"text": _STRING}),
        "ModelList": _object({"object": {"const": "list"}, "data": {"type": "array", "items": about}}, "data"),
        "Error": _object({"error": _object(error, "message", "type", "code")}, "error"),
    }


def _openai(operation: str, summary: str, kind: str, example: Mapping[str, Any]) -> dict[str, Any]:
    refused = {"description": "Refused", "content": {JSON: {"schema": ref("Error")}}}
    answered = _answered(ref(kind), "chunks as OpenAI's API writes them, with `stream`; the last `data` is [DONE]")
    return {
        "operationId": operation,
        "summary": summary,
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": ref(f"{kind}Request"), "example": dict(example)}},
        },
        "responses": {"200": answered, "4XX": refused, "5XX": refused},
    }


def _answered(schema: Mapping[str, Any], events: str) -> dict[str, Any]:
    streamed = {"schema": {**_STRING, "description": f"Server-sent events: {events}"}}
    return {
        "description": "The answer, whole or as it is made",
        "content": {JSON: {"schema": schema}, EVENTS: streamed},
    }


def _object(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(required)}
