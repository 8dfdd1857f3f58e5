"""What the answer is: its encoding, loss and scores, and the baselines that it is held against."""

from maas.task._anomaly import Anomaly, AnomalyOptions
from maas.task._answers import Answers, Batch, rows_that_fit
from maas.task._base import Task, TaskLearner, from_state, task, task_class
from maas.task._classification import Classification, ClassificationOptions
from maas.task._forecast import Forecast
from maas.task._generation import Generation, GenerationOptions, Part, Session, answers_of
from maas.task._multilabel import MultiLabel, MultiLabelOptions
from maas.task._ranking import Ranking, RankingOptions
from maas.task._regression import Regression

__all__ = [
    "Anomaly",
    "AnomalyOptions",
    "Answers",
    "Batch",
    "Classification",
    "ClassificationOptions",
    "Forecast",
    "Generation",
    "GenerationOptions",
    "MultiLabel",
    "MultiLabelOptions",
    "Part",
    "Ranking",
    "RankingOptions",
    "Regression",
    "Session",
    "Task",
    "TaskLearner",
    "answers_of",
    "from_state",
    "rows_that_fit",
    "task",
    "task_class",
]
