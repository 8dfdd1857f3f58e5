"""What every handler does in a TorchServe worker: load the model, say what it is, turn requests away."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
from collections.abc import Mapping
from typing import Any, Protocol

import orjson
import torch

from maas.client import DESCRIPTION, V2_METADATA
from maas.model import Model
from maas.nn import available_cores
from maas.serving._description import describe, v2_metadata
from maas.serving._imports import import_named
from maas.serving.protocols import JSON, MOST_RESPONSE_BYTES, About, Identity, Problem, Written

_log = logging.getLogger("maas.serving")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # as in malloc.h
_KEPT_BYTES, _LARGEST_KEPT_BYTES = 256 << 20, 32 << 20  # the latter is the most that glibc takes


class Context(Protocol):
    """The part of TorchServe's context that every handler uses."""

    manifest: Any
    model_yaml_config: Any

    @property
    def system_properties(self) -> Mapping[str, Any]: ...
    def get_all_request_header(self, idx: int) -> Mapping[str, Any]: ...
    def set_response_status(self, code: int, phrase: str, idx: int) -> None: ...
    def set_response_content_type(self, idx: int, value: str) -> None: ...
    def set_response_header(self, idx: int, key: str, value: str) -> None: ...


def load(context: Context) -> tuple[Model, Identity]:
    """The model of a worker, on its device and with its threads.

    Args:
        context: TorchServe's.

    Raises:
        ArtifactError: the model cannot be loaded.
    """
    logging.getLogger().setLevel(logging.WARNING)  # TorchServe's worker writes a line for each request
    import_named()
    properties = context.system_properties
    config = context.model_yaml_config or {}
    cores = max(1, available_cores() // int(config.get("maxWorkers", 1)))
    torch.set_num_threads(int(config.get("threads", cores)))
    gpu = properties.get("gpu_id")
    device = f"cuda:{gpu}" if gpu is not None and torch.cuda.is_available() else "cpu"
    model = Model.load(properties["model_dir"], device=device, precision="auto")
    named = context.manifest["model"]
    return model, Identity(str(named["modelName"]), str(named["modelVersion"]), str(model.digest))


def keep_memory() -> None:
    """Keep what a pass frees for the next, up to 256 MiB.

    By what came before, the C library may give it back to the system after each pass, and a page that comes anew costs
    more than many layers take to fill it. Variables MALLOC_* of the user go before.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    with contextlib.suppress(AttributeError, OSError):  # another C library than glibc
        library = ctypes.CDLL(None)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)


class Questions:
    """Answers questions about the model itself.

    Args:
        model: the model.
        identity: its name and digest.
    """

    def __init__(self, model: Model, identity: Identity) -> None:
        self._model, self._identity = model, identity
        # Asking a model that streams takes memory for its cache, which later is all given away.
        self._metadata = v2_metadata(model, identity) if model.task.streams else None

    def __call__(self, about: About, **state: Any) -> Written | Problem:
        """The answer to a question.

        Args:
            about: the question.
            state: of this worker, for whoever asks who it is.
        """
        if about.media == V2_METADATA:
            return Written(orjson.dumps(self._metadata or v2_metadata(self._model, self._identity)), JSON)
        # who drains asks until each worker has answered
        identity = {**self._identity.to_json(), "worker": os.getpid(), **state}
        described = describe(self._model, self._identity) if about.media == DESCRIPTION else identity
        body = orjson.dumps(described)
        if len(body) > MOST_RESPONSE_BYTES:  # a card may hold anything
            body = orjson.dumps({**described, "card": None})
        if len(body) > MOST_RESPONSE_BYTES:
            return Problem("answer-too-large", "the description is too large")
        return Written(body, about.media)


def draining(**state: Any) -> Problem:
    """The refusal of a server that is stopping. Whoever drains hears that this worker has seen the mark."""
    told = {"worker": os.getpid(), **state}
    return Problem("draining", "the server is stopping; try again, by then another answers", more=told)


def unexpected(what: str) -> Problem:
    """The refusal of a request for an exception that nobody foresaw."""
    _log.exception("a request could not be %s", what)
    return Problem("internal", f"the request could not be {what}; the server's log has more")
