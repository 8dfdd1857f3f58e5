"""What the answer is: classes or numbers, their encoding, loss, scores, and the baselines they are held against."""

from maas.task._answers import Answers, Batch, rows_that_fit
from maas.task._base import Task, TaskLearner, from_state, task, task_class
from maas.task._classification import Classification
from maas.task._forecast import Forecast
from maas.task._ranking import Ranking, RankingOptions
from maas.task._regression import Regression

__all__ = [
    "Answers",
    "Batch",
    "Classification",
    "Forecast",
    "Ranking",
    "RankingOptions",
    "Regression",
    "Task",
    "TaskLearner",
    "from_state",
    "rows_that_fit",
    "task",
    "task_class",
]
