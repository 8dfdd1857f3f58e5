"""Scores, intervals, and the evaluation of a model beside its baselines."""

from maas.metrics._bootstrap import paired_bootstrap
from maas.metrics._evaluation import Comparison, Evaluation
from maas.metrics._ranking import ranking_scores
from maas.metrics._scores import Scores, classification_scores, forecast_scores, regression_scores

__all__ = [
    "Comparison",
    "Evaluation",
    "Scores",
    "classification_scores",
    "forecast_scores",
    "paired_bootstrap",
    "ranking_scores",
    "regression_scores",
]
