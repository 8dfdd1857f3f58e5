"""Serving with TorchServe: what runs inside its workers, and what starts it safely."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maas.serving._description import describe
    from maas.serving._generate_handler import GenerateHandler
    from maas.serving._handler import Handler
    from maas.serving._openapi import openapi
    from maas.serving._serve import serve
    from maas.serving._server import Server, attach
    from maas.serving._tuning import tune_serving
    from maas.serving._tuning_found import ServingTuning

# Resolved on first use, so that `maas status` and `maas stop` cost no torch.
_WHERE = {
    "GenerateHandler": "maas.serving._generate_handler",
    "Handler": "maas.serving._handler",
    "Server": "maas.serving._server",
    "ServingTuning": "maas.serving._tuning_found",
    "attach": "maas.serving._server",
    "describe": "maas.serving._description",
    "openapi": "maas.serving._openapi",
    "serve": "maas.serving._serve",
    "tune_serving": "maas.serving._tuning",
}

__all__ = [
    "GenerateHandler",
    "Handler",
    "Server",
    "ServingTuning",
    "attach",
    "describe",
    "openapi",
    "serve",
    "tune_serving",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'maas.serving' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
