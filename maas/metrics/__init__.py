"""Scores, intervals, and the evaluation of a model beside its baselines."""

from maas.metrics._anomaly import anomaly_scores
from maas.metrics._bootstrap import paired_bootstrap
from maas.metrics._evaluation import Comparison, Evaluation
from maas.metrics._multilabel import multilabel_scores, scores_by_label
from maas.metrics._scores import Scores, classification_scores, forecast_scores, regression_scores
from maas.metrics._threshold import CRITERIA, best_threshold

__all__ = [
    "CRITERIA",
    "Comparison",
    "Evaluation",
    "Scores",
    "anomaly_scores",
    "best_threshold",
    "classification_scores",
    "forecast_scores",
    "multilabel_scores",
    "paired_bootstrap",
    "regression_scores",
    "scores_by_label",
]
