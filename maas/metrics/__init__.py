"""Scores, intervals, and the evaluation of a model beside its baselines."""

from maas.metrics._anomaly import anomaly_scores
from maas.metrics._bootstrap import paired_bootstrap
from maas.metrics._by_class import ClassScore
from maas.metrics._calibration import Calibration, calibration
from maas.metrics._comparison import Comparison
from maas.metrics._details import Curve, Details, WorstRow
from maas.metrics._distribution import distribution
from maas.metrics._drift import Drift, population_stability
from maas.metrics._evaluation import Evaluation
from maas.metrics._generation import generation_scores
from maas.metrics._groups import Grouping, GroupScore
from maas.metrics._intervals import score_interval
from maas.metrics._multilabel import multilabel_scores, scores_by_label
from maas.metrics._ranking import ranking_scores
from maas.metrics._scores import (
    Scores,
    check_max_drop,
    classification_scores,
    forecast_scores,
    regression_scores,
)
from maas.metrics._threshold import CRITERIA, best_threshold

__all__ = [
    "CRITERIA",
    "Calibration",
    "ClassScore",
    "Comparison",
    "Curve",
    "Details",
    "Drift",
    "Evaluation",
    "GroupScore",
    "Grouping",
    "Scores",
    "WorstRow",
    "anomaly_scores",
    "best_threshold",
    "calibration",
    "check_max_drop",
    "classification_scores",
    "distribution",
    "forecast_scores",
    "generation_scores",
    "multilabel_scores",
    "paired_bootstrap",
    "population_stability",
    "ranking_scores",
    "regression_scores",
    "score_interval",
    "scores_by_label",
]
