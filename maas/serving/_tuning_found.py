"""What a search for the best configuration has found."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from maas.nn import available_cores
from maas.serving._tuning_trial import Trial, point_json

_TIE = 0.95


@dataclass
class ServingTuning:
    """What `tune_serving` found; `str` of it is a table.

    Attributes:
        model: its name.
        slo_seconds: what 99 % of the requests are to be answered within.
        trials: of each configuration the most thorough one.
        stage: the last round in which all that were left were measured.
        interrupted: it was stopped, by Ctrl-C or its bound of time, before it was done.
    """

    model: str
    slo_seconds: float
    trials: list[Trial] = field(default_factory=list)
    stage: int = 0
    interrupted: bool = False

    @property
    def chosen(self) -> Trial | None:
        """The most answers in time, of the most thorough round; among those within 5 % the quickest for a lone client.

        None where no configuration answers 99 % in time at any rate that was tried.
        """
        held = [one for one in self.trials if one.best]
        last = [one for one in held if one.stage >= min(self.stage, max(one.stage for one in held))]
        most = max((one.goodput for one in last), default=0.0)
        return min((one for one in last if one.goodput >= _TIE * most), key=lambda one: one.lone_p50, default=None)

    def __str__(self) -> str:
        ranked = sorted(self.trials, key=lambda one: (one.stage, one.goodput), reverse=True)
        return "\n".join(map(str, ranked))

    def why_none(self) -> str:
        """Where nothing was chosen: the best that was seen."""
        points = [(point, one) for one in self.trials for point in (one.lone, *one.points) if point]
        if not points:
            return "nothing was measured"
        point, one = min(points, key=lambda pair: pair[0].latency.p99)
        if math.isinf(point.latency.p99):
            return "more than 1 % of the requests failed, at any rate"
        load = "by a lone client" if point.rate is None else f"at {point.rate:.3g}/s"
        seen = f"the best p99 seen is {point.latency.p99 * 1e3:.2g} ms, {load}, with {one.setting}"
        return f"{seen}; allow more with --slo-p99, or use a faster machine"

    def to_json(self) -> dict[str, Any]:
        """The tuning as JSON."""
        return {
            "model": self.model,
            "slo_p99_seconds": self.slo_seconds,
            "cores": available_cores(),
            "interrupted": self.interrupted,
            "chosen": None if self.chosen is None else asdict(self.chosen.deployment()),
            "trials": [
                {
                    "setting": asdict(one.setting),
                    "stage": one.stage,
                    "goodput": one.goodput,
                    "undecided_rate": one.undecided,
                    "lone": point_json(one.lone),
                    "points": [point_json(point) for point in one.points],
                }
                for one in self.trials
            ],
        }
