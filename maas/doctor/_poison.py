"""A batch of good and spoiled requests, and what is wrong with the answers to it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from maas.doctor._service import Answer, Request, Service
from maas.serving.protocols import MOST_DEPTH, MOST_RESPONSE_BYTES, MOST_ROWS, PROBLEM_JSON

_TOLERANCE = 1e-5


def requests(rows: Sequence[Mapping[str, Any]]) -> list[Request]:
    """Good requests with spoiled ones between them.

    Args:
        rows: that the model answers, one or more.
    """
    row, last = dict(rows[0]), dict(rows[-1])
    name = next(iter(row))
    text = json.dumps(row).encode()
    nan = json.dumps({**row, name: float("nan")}).encode()
    deep = b"[" * (MOST_DEPTH + 10) + b"]" * (MOST_DEPTH + 10)
    many = json.dumps({"instances": [{}] * (MOST_ROWS + 1)}).encode()
    return [
        Request("a good row", text, True),
        Request("broken JSON", text[:-1]),
        Request("NaN", nan),
        Request("a number too large for a float", nan.replace(b"NaN", b"1e999")),
        Request("a wrong type", json.dumps({**row, name: {"a": [True]}}).encode()),
        Request("an unknown field", json.dumps({**row, "no such field": 1}).encode()),
        Request("an empty body", b""),
        Request("no body", None),
        Request("bytes that are not UTF-8", b'{"' + b"\xff\xfe" + text[2:]),
        Request("half a character", json.dumps({**row, name: "\ud800"}).encode()),
        Request(
            "Chinese in a value and in a name", json.dumps({**row, name: "酒", "酒": 1}, ensure_ascii=False).encode()
        ),
        Request("a line break in a media type", text, None, {"content-type": "application/json\r\nX: 酒"}),
        Request("JSON nested too deeply", deep),
        Request(f"{MOST_ROWS + 1:,} rows", many),
        Request("a huge value", json.dumps({**row, name: "9" * 6_000_000}).encode(), None),
        Request("another good row", json.dumps(last).encode(), True),
    ]


def faults(service: Service, batch: Sequence[Request], *, repeats: bool = True) -> Iterator[str]:
    """What is wrong with the answers to a batch, each in a sentence.

    Args:
        service: answers.
        batch: of requests.
        repeats: whether an answer must be the same alone as in company, within 1e-5.
    """
    together = service.ask(batch)
    for one, answer in zip(batch, together, strict=True):
        (alone,) = service.ask([one])
        found = [*_form(one, answer), *_meant(one, answer)]
        if not found and not _alike(answer, alone, repeats=repeats):
            found = [f"is answered {_shown(answer)} in company and {_shown(alone)} alone"]
        yield from (f"{one.what}: {fault}" for fault in found)


def _form(one: Request, answer: Answer) -> Iterator[str]:
    """What TorchServe's worker could not send, or a client not read."""
    if type(answer.body) is not bytes:
        yield f"the answer is {type(answer.body).__name__}, not bytes; such an answer can end the worker"
        return
    if len(answer.body) > MOST_RESPONSE_BYTES:
        yield f"the answer has {len(answer.body):,} bytes, more than TorchServe sends: it ends the worker"
    if not answer.phrase.isascii() or not answer.phrase.isprintable():
        yield f"the phrase {answer.phrase!r} is not plain ASCII: it ends the worker"
    for key, value in answer.headers.items():
        if type(value) is not str or "\r" in value or "\n" in value or not value.isascii():
            yield f"the header {key} is {value!r}: it ends the worker"
    try:
        _parsed(answer)
    except ValueError as error:
        yield f"the answer is no strict JSON: {error}"


def _meant(one: Request, answer: Answer) -> Iterator[str]:
    if answer.status >= 500:
        yield f"it caused an error of the server, {_shown(answer)}"
    elif one.answered is True and answer.status != 200:
        yield f"it is refused, {_shown(answer)}"
    elif one.answered is False and answer.status == 200:
        yield f"it is answered, {_shown(answer)}"
    elif answer.status != 200 and answer.headers.get("content-type") != PROBLEM_JSON:
        yield f"its refusal is {answer.headers.get('content-type')!r}, not {PROBLEM_JSON}"


def _parsed(answer: Answer) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"it has {constant} in it")

    value = json.loads(answer.body.decode(), parse_constant=refuse)
    if not _finite(value):
        raise ValueError("it has a number in it that no float can hold")
    return value


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _alike(one: Answer, other: Answer, *, repeats: bool) -> bool:
    if one.status != other.status:
        return False
    if one.status != 200:
        return bool(one.body == other.body)
    return not repeats or _agree(_parsed(one), _parsed(other))


def _agree(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_agree(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_agree, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return type(one) is type(other) and bool(one == other)


def _shown(answer: Answer) -> str:
    return f"{answer.status} {bytes(answer.body[:120])!r}"
