"""Requests of OpenAI's API: chat completions, completions, and the list of models."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from maas.errors import show
from maas.schema import suggestion
from maas.serving.protocols._accept import JSON
from maas.serving.protocols._limits import MOST_PROMPTS
from maas.serving.protocols._openai_answer import ChatForm, OpenAITeller, TextForm
from maas.serving.protocols._openai_problem import as_openai
from maas.serving.protocols._outcome import Identity, Written
from maas.serving.protocols._problems import Problem, printable
from maas.serving.protocols._teller import Wanted

_CHAT, _TEXT, _MODELS = "v1/chat/completions", "v1/completions", "v1/models"

_OPTIONS = ("temperature", "top_p", "top_k", "repetition_penalty", "seed", "max_tokens")
"""What a row has by the same name."""

_READ = {
    _CHAT: {*_OPTIONS, "messages", "stop", "logprobs", "top_logprobs", "max_completion_tokens"},
    _TEXT: {*_OPTIONS, "prompt", "stop", "logprobs", "echo"},
}
_IGNORED = {
    "model", "stream", "stream_options", "user", "store", "metadata", "service_tier", "safety_identifier",
    "prompt_cache_key", "prompt_cache_retention", "prediction", "parallel_tool_calls",
}  # fmt: skip
"""What changes no answer, or is read elsewhere."""

_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "suffix": ("",),
    "reasoning_effort": (),
    "verbosity": (),
    "web_search_options": (),
}
"""What this server cannot do, and the values that do not ask for it."""


def is_openai(path: str) -> bool:
    """Whether a path, behind that of the model, is one of OpenAI's API."""
    return path.strip("/").startswith("v1/")


def read_openai(path: str, document: Callable[[], Any], identity: Identity, request: str) -> Wanted | Written:
    """What a request asks for.

    Args:
        path: such as "v1/chat/completions".
        document: reads the body; raises Problem.
        identity: the model.
        request: its number.

    Raises:
        Problem: in the API's form.
    """
    path = path.partition("?")[0].strip("/")
    try:
        if path == _MODELS or path.startswith(f"{_MODELS}/"):
            return _models(path, identity)
        if path not in (_CHAT, _TEXT):
            raise Problem("no-such-route", f"there are /{_CHAT}, /{_TEXT} and /{_MODELS}, got /{printable(path)}")
        body = document()
        if type(body) is not dict:
            raise Problem("not-a-row", f"the body must be a JSON object, got {show(body)}")
        return _completion(path, body, identity, request)
    except Problem as problem:
        raise as_openai(problem) from problem


def _models(path: str, identity: Identity) -> Written:
    about = {"id": identity.name, "object": "model", "created": 0, "owned_by": "maas"}
    one = path != _MODELS
    if one and path.removeprefix(f"{_MODELS}/") != identity.name:
        raise Problem("no-such-route", f"there is the model {identity.name} here, and no other", field="model")
    return Written(orjson.dumps(about if one else {"object": "list", "data": [about]}), JSON)


def _completion(path: str, body: dict[str, Any], identity: Identity, request: str) -> Wanted:
    body = {name: value for name, value in body.items() if value is not None}
    _check_names(body, path)
    streams = _flag(body, "stream")
    options = body.get("stream_options", {})
    if type(options) is not dict or (options and not streams):
        raise _wrong("stream_options", f"must be an object, and goes with `stream`: true, got {show(options)}")
    row = {name: body[name] for name in _OPTIONS if name in body}
    if "stop" in body:
        row["stop"] = [body["stop"]] if type(body["stop"]) is str else body["stop"]
    read = _chat if path == _CHAT else _text
    rows, form, names = read(body, row)
    head = {
        "id": f"{form.prefix}-{request}",
        "object": form.chunk if streams else form.object,
        "created": int(time.time()),
        "model": identity.name,
        "system_fingerprint": identity.digest,
    }
    usage = _flag(options, "include_usage", "stream_options.")
    return Wanted(rows, len(rows) == 1, OpenAITeller(head, form, len(rows), streams, usage, names))


def _chat(body: dict[str, Any], row: dict[str, Any]) -> tuple[list[Any], ChatForm, dict[str, str]]:
    names = {"prompt": "messages"}  # what a row's conversation has become by the time it is too long
    if "max_completion_tokens" in body:
        if "max_tokens" in body:
            raise _wrong("max_tokens", "is the older name of `max_completion_tokens`; send one of them")
        row["max_tokens"] = body["max_completion_tokens"]
        names["max_tokens"] = "max_completion_tokens"
    if _flag(body, "logprobs"):
        row["logprobs"] = body.get("top_logprobs", 0)
        names["logprobs"] = "top_logprobs"
    elif "top_logprobs" in body:
        raise _wrong("top_logprobs", "goes with `logprobs`: true")
    if "messages" not in body:
        raise _wrong("messages", "is missing: a list of messages, each with role and content")
    return [{**row, "messages": _messages(body["messages"])}], ChatForm("logprobs" in row), names


def _text(body: dict[str, Any], row: dict[str, Any]) -> tuple[list[Any], TextForm, dict[str, str]]:
    prompt = body.get("prompt")
    prompts = prompt if type(prompt) is list else [prompt]
    texts = [one for one in prompts if type(one) is str]
    if not texts or len(texts) != len(prompts):
        raise _wrong("prompt", f"must be a string or a list of strings, got {show(prompt)}; tokens are not taken")
    if len(texts) > MOST_PROMPTS:
        raise Problem("too-many-rows", f"a request may have {MOST_PROMPTS} prompts, got {len(texts)}", field="prompt")
    if "logprobs" in body:
        row["logprobs"] = body["logprobs"]
    echo = _flag(body, "echo")
    if echo and "logprobs" in body:
        row["echo"] = True  # of a row: that the prompt is scored
    form = TextForm("logprobs" in row, texts if echo else None)
    return [{**row, "prompt": one} for one in texts], form, {}


def _check_names(body: Mapping[str, Any], path: str) -> None:
    for name, value in body.items():
        if name in _READ[path] or name in _IGNORED:
            continue
        if name not in _NEUTRAL:
            known = [*_READ[path], *_IGNORED, *_NEUTRAL]
            raise _wrong(name, f"is not known{suggestion(name, known)}")
        if type(value) is bool or value not in _NEUTRAL[name]:
            wanted = "".join(f" be {show(one)}, or" for one in _NEUTRAL[name][:1])
            raise _wrong(name, f"is not supported: it must{wanted} be left out, got {show(value)}")


def _messages(messages: Any) -> Any:
    """A conversation as rows have it: contents in parts of text joined, members that are null left out."""
    if type(messages) is not list:
        return messages
    return [_message(one, f"messages[{place}]") if type(one) is dict else one for place, one in enumerate(messages)]


def _message(message: dict[str, Any], where: str) -> dict[str, Any]:
    said = {name: value for name, value in message.items() if value is not None and value != []}
    for name in said:
        if name not in ("role", "content"):
            raise _wrong(f"{where}.{printable(name)}", "is not supported: a message is role and content")
    if said.get("role") == "developer":  # the API's newer word
        said["role"] = "system"
    if type(content := said.get("content")) is list:
        for part in content:
            if type(part) is not dict or part.get("type") != "text" or type(part.get("text")) is not str:
                raise _wrong(f"{where}.content", f"takes parts of type text only, got {show(part)}")
        said["content"] = "\n".join(part["text"] for part in content)
    return said


def _flag(body: Mapping[str, Any], name: str, where: str = "") -> bool:
    flag = body.get(name, False)
    if type(flag) is not bool:
        raise _wrong(where + name, f"must be true or false, got {show(flag)}")
    return flag


def _wrong(name: str, detail: str) -> Problem:
    shown = printable(name)
    return Problem("not-supported", f"`{shown}` {detail}", field=shown)
