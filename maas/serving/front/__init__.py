"""The front: Caddy before two or more TorchServe instances, for what TorchServe cannot give by itself."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maas.serving.front._front import Front
    from maas.serving.front._start import serve_front

# Resolved on first use, so that `maas front` costs no torch.
_WHERE = {"Front": "maas.serving.front._front", "serve_front": "maas.serving.front._start"}

__all__ = ["Front", "serve_front"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'maas.serving.front' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
