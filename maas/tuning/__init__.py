"""Many fits for one answer: cross-validation, and the search for settings."""

from maas.tuning._cross_validate import cross_validate
from maas.tuning._folds import CrossValidation
from maas.tuning._learning_rate import LearningRates, learning_rate_range
from maas.tuning._space import Range
from maas.tuning._trials import Trial, Tuning
from maas.tuning._tune import tune

__all__ = [
    "CrossValidation",
    "LearningRates",
    "Range",
    "Trial",
    "Tuning",
    "cross_validate",
    "learning_rate_range",
    "tune",
]
