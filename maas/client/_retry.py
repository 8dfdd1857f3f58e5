"""When to try again, and after how long."""

from __future__ import annotations

import email.utils
import json
import random
import time
from typing import Any

from maas.client._steps import Failure, Reply

_FIRST_SECONDS = 0.1
_MOST_SECONDS = 5.0


def may_help(outcome: Reply | Failure) -> bool:
    """Whether another try may be answered. Predictions change nothing, so to send one twice is safe.

    Yes after resets, refused connections and half answers, 503 (a full queue, a drain, no worker), a front's 502, its
    429 (a full queue) where it says when to come again, and TorchServe's "Worker died.", which comes with 500 or 507.
    Never after another 4xx, nor after any other 5xx: the same request would fail again.
    """
    if isinstance(outcome, Failure):
        return outcome.again
    died = outcome.status >= 500 and message(outcome).get("message") == "Worker died."
    asked_back = outcome.status == 429 and "retry-after" in outcome.headers
    return outcome.status in (502, 503) or asked_back or died


def token_was_refused(reply: Reply) -> bool:
    """TorchServe answers 400 to a missing, wrong or expired token; a front answers 401."""
    return reply.status == 401 or (reply.status == 400 and message(reply).get("type") == "InvalidKeyException")


def pause_seconds(tries: int, outcome: Reply | Failure) -> float:
    """How long to wait before the next try: Retry-After, else exponential backoff with full jitter.

    Args:
        tries: that failed so far, at least 1.

    Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    told = retry_after(outcome.headers.get("retry-after", "")) if isinstance(outcome, Reply) else None
    if told is not None:
        return told + random.uniform(0, _FIRST_SECONDS)  # not all clients at once
    return random.uniform(0, min(_MOST_SECONDS, _FIRST_SECONDS * 2.0 ** min(tries - 1, 30)))


def retry_after(text: str) -> float | None:
    """The header's seconds, from a number or a date; None where it is neither.

    Source: RFC 9110, section 10.2.3.
    """
    if text.strip().isdecimal() and text.isascii():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def message(reply: Reply) -> dict[str, Any]:
    """The JSON object of an answer, empty where there is none."""
    try:
        found = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def problem_of(reply: Reply) -> dict[str, Any]:
    """The problem document of an answer, or what TorchServe says in its place."""
    body = message(reply)
    if "title" in body:
        return body
    detail = str(body.get("message") or reply.body.decode(errors="replace")[:1000] or "the answer has no body")
    if reply.status == 413:
        detail = "the request is larger than the server takes; send fewer rows"
    return {"title": str(body.get("type") or reply.phrase), "detail": detail, "status": reply.status}
