"""What clients and the model say to each other: every form of a request, of an answer and of a refusal."""

from maas.serving.protocols._accept import JSON
from maas.serving.protocols._generation import GenerationReader
from maas.serving.protocols._limits import (
    MOST_BODY_BYTES,
    MOST_DEPTH,
    MOST_EXPLAINED,
    MOST_PROMPTS,
    MOST_RESPONSE_BYTES,
    MOST_ROWS,
)
from maas.serving.protocols._npy import takes_npy
from maas.serving.protocols._outcome import About, Asked, Explained, Given, Identity, Outcome, Refusal, Writer, Written
from maas.serving.protocols._problems import KINDS, PHRASES, PROBLEM_JSON, Problem
from maas.serving.protocols._read import Reader
from maas.serving.protocols._teller import EVENTS, Teller, Wanted, is_odd

__all__ = [
    "EVENTS",
    "JSON",
    "KINDS",
    "MOST_BODY_BYTES",
    "MOST_DEPTH",
    "MOST_EXPLAINED",
    "MOST_PROMPTS",
    "MOST_RESPONSE_BYTES",
    "MOST_ROWS",
    "PHRASES",
    "PROBLEM_JSON",
    "About",
    "Asked",
    "Explained",
    "GenerationReader",
    "Given",
    "Identity",
    "Outcome",
    "Problem",
    "Reader",
    "Refusal",
    "Teller",
    "Wanted",
    "Writer",
    "Written",
    "is_odd",
    "takes_npy",
]
