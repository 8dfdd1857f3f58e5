"""Tokens out of a causal network: requests that join and leave, a cache by slots, sampling, and text from tokens."""

from maas.generation._engine import Emitted, Engine
from maas.generation._memory import slots_that_fit
from maas.generation._request import Request
from maas.generation._text import TextStream

__all__ = ["Emitted", "Engine", "Request", "TextStream", "slots_that_fit"]
