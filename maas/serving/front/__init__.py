"""The front: Caddy before two or more TorchServe instances, for what TorchServe cannot give by itself."""

from maas.serving.front._front import Front
from maas.serving.front._start import serve_front

__all__ = ["Front", "serve_front"]
