"""One request until it is answered: its deadline, its tries, its token."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from maas.client._retry import may_help, pause_seconds, problem_of, token_was_refused
from maas.client._steps import AskToken, Failure, Pause, Reply, Send, Steps
from maas.errors import ClientError, RequestRefused, ServerUnavailable, show

TokenFunction = Callable[[], str] | Callable[[], Awaitable[str]]

# After a refusal the function is asked again. TorchServe takes a new token a moment before it writes it down.
_ASK_AGAIN_SECONDS = (0.0, 0.1, 0.4)
_MOST_RENEWALS = 2  # of a request: another thread may have brought one that is old by now


class Exchange:
    """Sends requests to one server.

    Args:
        url: of the server, for messages.
        token: or a function that gives it. It is asked at the first request and again when a token is refused; where it
            then gives another, the request is sent once more.
        timeout: seconds that a request may take, tries and pauses included.
        retries: how often a request is sent again.
    """

    def __init__(self, url: str, token: str | TokenFunction | None, *, timeout: float, retries: int) -> None:
        self._url = url
        self._function = token if callable(token) else None
        self._token = None if callable(token) else token
        self.timeout = timeout
        self.retries = retries

    def ask(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        content: bytes | None = None,
        *,
        timeout: float | None = None,
        retries: int | None = None,
        gap: float | None = None,
    ) -> Steps[Reply]:
        """The successful answer to a request, or with `gap` the beginning of a stream.

        Raises:
            RequestRefused: a 4xx.
            ServerUnavailable: a 5xx, a reset or a time-out, and all tries are used or the time is up.
        """
        seconds = self.timeout if timeout is None else timeout
        retries = self.retries if retries is None else retries
        begun = time.monotonic()
        tries = renewals = 0
        if self._function is not None and self._token is None:
            self._token = yield AskToken()
        while True:
            tries += 1
            token = self._token
            left = max(0.001, seconds - (time.monotonic() - begun))
            outcome = yield Send(method, path, {**headers, **_authorization(token)}, content, left, gap)
            if isinstance(outcome, Reply):
                if 200 <= outcome.status < 300:
                    return outcome
                if token_was_refused(outcome) and renewals < _MOST_RENEWALS and (yield from self._renew(token)):
                    renewals += 1
                    tries -= 1
                    continue
                if outcome.status < 500 and not may_help(outcome):
                    raise RequestRefused(outcome.status, problem_of(outcome))
            pause = pause_seconds(tries, outcome)
            spent = time.monotonic() - begun
            if tries > retries or not may_help(outcome) or spent + pause >= seconds:
                raise self._unavailable(outcome, tries, spent)
            yield Pause(pause)

    def _renew(self, refused: str | None) -> Steps[bool]:
        """Whether there is another token than the one that was refused."""
        if self._function is None:
            return False
        for pause in _ASK_AGAIN_SECONDS:
            if self._token != refused:  # another thread was faster
                return True
            yield Pause(pause)
            try:
                self._token = yield AskToken()
            except ClientError:  # its file is being written, or the server is gone
                continue
        return self._token != refused

    def _unavailable(self, outcome: Reply | Failure, tries: int, spent: float) -> ServerUnavailable:
        tried = f"; tried {tries} times in {spent:.1f} s" if tries > 1 else ""
        if isinstance(outcome, Failure):
            return ServerUnavailable(f"{self._url} did not answer ({outcome.detail}){tried}; is it running?")
        problem = problem_of(outcome)
        return ServerUnavailable(f"{outcome.status} {problem['title']}: {problem.get('detail', '')}{tried}")


def _authorization(token: Any) -> dict[str, str]:
    if token is None:
        return {}
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise ClientError(f"a token is printable ASCII, got {show(token)}")
    return {"Authorization": f"Bearer {token}"}
