"""What a request may cost: every limit that the handler itself holds, in one place.

Those of a value are its field's, in the schema (`longest`: bytes, characters, steps), and its preprocessing's (pixels,
seconds of audio).
"""

from maas.serving._settings import MOST_BODY_BYTES

MOST_RESPONSE_BYTES = MOST_BODY_BYTES
"""TorchServe's own default for requests and answers alike; a larger answer would end its worker."""

MOST_DEPTH = 64
"""Levels of arrays and objects in JSON."""

MOST_ROWS = 10_000
"""Rows of a request, where each is an object of its own; arrays of numbers are bounded by their bytes alone."""

MOST_EXPLAINED = 32
"""Rows of a request for explanations: each costs as much as a hundred answers."""

MOST_PROMPTS = 64
"""Prompts of a request to a model that generates text: they wait for slots one after the other."""

__all__ = ["MOST_BODY_BYTES", "MOST_DEPTH", "MOST_EXPLAINED", "MOST_PROMPTS", "MOST_RESPONSE_BYTES", "MOST_ROWS"]
