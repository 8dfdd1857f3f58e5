"""Serving with TorchServe: what runs inside its workers, and what starts it safely."""

from maas.serving._description import describe
from maas.serving._handler import Handler
from maas.serving._openapi import openapi
from maas.serving._server import Server, serve

__all__ = ["Handler", "Server", "describe", "openapi", "serve"]
