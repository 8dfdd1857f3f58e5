"""The HTTP client."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from maas.client._local import running_servers
from maas.errors import ClientError, RequestRefused, ServerUnavailable, show

if TYPE_CHECKING:
    import httpx

DESCRIPTION = "application/vnd.maas.description+json"
"""The media type to accept when a description of the model is wanted in place of a prediction."""

IDENTITY = "application/vnd.maas.identity+json"
"""The media type to accept when only name, version and digest of the model are wanted."""

ROWS_A_REQUEST = 500
Token = str | Callable[[], str] | None


class Prediction(dict[str, Any]):
    """The answer to one row, equal to what the model answers in process.

    Attributes:
        model: name, version and digest of the model that answered.
    """

    model: Mapping[str, str]

    def __init__(self, answer: Mapping[str, Any], model: Mapping[str, str]) -> None:
        super().__init__(answer)
        self.model = model


class Predictions(list[dict[str, Any]]):
    """The answers to many rows, in order.

    Attributes:
        model: name, version and digest of the model that answered.
    """

    model: Mapping[str, str]

    def __init__(self, answers: Sequence[Mapping[str, Any]], model: Mapping[str, str]) -> None:
        super().__init__(map(dict, answers))
        self.model = model


class Client:
    """Asks one served model.

    It reuses connections, and can be shared by threads. It does not try again: a caller knows best whether to.

    Args:
        model: the model's name.
        url: of TorchServe's inference address; by default that of a server which `maas serve` runs here.
        token: the inference token, or a function that gives it; by default, with `url` left out, the local server's.
        timeout: seconds to wait for a connection, and then for an answer.
        version: of the model; by default the server's default version.

    Raises:
        ClientError: `url` is left out, and no server runs here that serves the model.

    >>> client = Client("wine", url="http://127.0.0.1:8080", token="...")
    """

    def __init__(
        self,
        model: str,
        *,
        url: str | None = None,
        token: Token = None,
        timeout: float = 60.0,
        version: str | None = None,
    ) -> None:
        import httpx  # a tenth of a second: not at import

        if url is None:
            servers = [server for server in running_servers() if model in server.models]
            if not servers:
                raise ClientError(f"no server runs here that serves {show(model)}; start one, or say url= and token=")
            url, token = servers[-1].url, token if token is not None else servers[-1].inference_token
        self.model = model
        self._path = f"/predictions/{model}" + (f"/{version}" if version else "")
        self._token = token
        self._http = httpx.Client(base_url=url, timeout=timeout, trust_env=False)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @overload
    def predict(self, rows: Mapping[str, Any]) -> Prediction: ...
    @overload
    def predict(self, rows: Sequence[Mapping[str, Any]]) -> Predictions: ...
    def predict(self, rows: Any) -> Any:
        """Answer one row, or many.

        Args:
            rows: one mapping of field name to value, or a sequence of them; sent 500 at a time.

        Returns:
            For one row a `Prediction`, for many `Predictions`, as long as `rows`.

        Raises:
            RequestRefused: a row cannot be answered; `.problem` says which, why and what is wanted.
            ServerUnavailable: the server cannot be reached, or did not answer in time.
        """
        if isinstance(rows, Mapping):
            answer = self._post(rows)
            return Prediction(answer, answer.pop("model"))
        rows = list(rows)
        answers: list[dict[str, Any] | None] = []
        errors: list[dict[str, Any]] = []
        model: dict[str, str] = {}
        problem: dict[str, Any] = {}
        status = 422
        for start in range(0, len(rows), ROWS_A_REQUEST):
            try:
                body = self._post({"instances": rows[start : start + ROWS_A_REQUEST]})
                model = body["model"]
            except RequestRefused as refused:
                if "errors" not in refused.problem:
                    raise
                status, body = refused.status, refused.problem
                problem = problem or body
                errors += [{**one, "row": one["row"] + start} for one in body["errors"]]
            answers += body["predictions"]
        if errors:
            first = errors[0]
            detail = f"{len(errors)} of {len(rows)} rows cannot be answered; row {first['row']}: {first['detail']}"
            found = {"row": first["row"], "field": first["field"], "errors": errors, "predictions": answers}
            raise RequestRefused(status, {**problem, "detail": detail, **found})
        return Predictions([answer for answer in answers if answer is not None], model)

    def ready(self) -> bool:
        """Whether the model answers now: not whether its server is up, which TorchServe's /ping says."""
        try:
            return bool(self._request("GET", headers={"Accept": IDENTITY})["name"] == self.model)
        except (ClientError, KeyError):
            return False

    def describe(self) -> dict[str, Any]:
        """The model's schema (JSON Schema), labels, card, version and a sample row with its answer.

        Raises:
            ServerUnavailable: the server cannot be reached, or the model does not answer.
        """
        return self._request("GET", headers={"Accept": DESCRIPTION})

    def _post(self, body: Any) -> dict[str, Any]:
        try:
            content = json.dumps(body, allow_nan=False, default=_plain).encode()
        except (TypeError, ValueError) as error:
            raise RequestRefused(
                400, {"title": "Not sent", "detail": f"a row cannot be written as JSON: {error}"}
            ) from error
        return self._request("POST", content=content, headers={"Content-Type": "application/json"})

    def _request(self, method: str, *, headers: dict[str, str], content: bytes | None = None) -> dict[str, Any]:
        import httpx

        token = self._token() if callable(self._token) else self._token
        if token is not None:
            if not token.isascii() or not token.isprintable():
                raise ClientError(f"a token is printable ASCII, got {show(token)}")
            headers["Authorization"] = f"Bearer {token}"
        try:
            response = self._http.request(method, self._path, content=content, headers=headers)
        except httpx.HTTPError as error:
            name = type(error).__name__
            raise ServerUnavailable(
                f"{self._http.base_url} did not answer ({name}: {error}); is it running?"
            ) from error
        if response.is_success:
            try:
                answer: dict[str, Any] = response.json()
                return answer
            except ValueError as error:
                raise ServerUnavailable(
                    f"{self._http.base_url} answered 200 without JSON; is it TorchServe?"
                ) from error
        problem = _problem(response)
        if response.status_code >= 500:
            raise ServerUnavailable(f"{response.status_code} {problem['title']}: {problem['detail']}")
        raise RequestRefused(response.status_code, problem)


def _problem(response: httpx.Response) -> dict[str, Any]:
    """The problem document of an answer, or what TorchServe says in its place."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    if "title" in body:
        return body
    detail = str(body.get("message") or response.text or "the answer has no body")
    if response.status_code == 413:
        detail = "the request is larger than the server takes; send fewer rows"
    return {
        "title": str(body.get("type") or response.reason_phrase),
        "detail": detail,
        "status": response.status_code,
    }


def _plain(value: Any) -> Any:
    """Bytes as base64; numpy's scalars and arrays, without importing numpy."""
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")
