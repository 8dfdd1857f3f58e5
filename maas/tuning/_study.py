"""The search as Optuna keeps it: what was tried, what to try next, and a file from which it goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from maas.errors import DataError
from maas.tuning._space import Space
from maas.tuning._trials import Trial

if TYPE_CHECKING:
    import optuna

_NAME = "maas"
_SEARCH, _JUDGED_BY = "search", "judged_by"
_LONGEST = 500


def check_optuna() -> None:
    """Raise DataError where Optuna is not installed."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise DataError("a search needs the library optuna: pip install 'maas-torch[tune]'") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from telling on standard error what the result tells."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


class Study:
    """A search over a space; less is better.

    Args:
        space: what to try.
        seed: with what was tried before it decides what is tried next.
        storage: a file to keep the search in; one that is there goes on.
        search: what makes it this search, as JSON: a file of another one is refused.

    Raises:
        DataError: the file holds something else.
    """

    def __init__(self, space: Space, seed: int, storage: str | Path | None, search: Mapping[str, Any]) -> None:
        import optuna
        from optuna.storages.journal import JournalFileBackend

        kept: Any = None
        try:
            if storage is not None:
                Path(storage).parent.mkdir(parents=True, exist_ok=True)
                kept = optuna.storages.JournalStorage(JournalFileBackend(str(storage)))
            self._study = optuna.create_study(storage=kept, study_name=_NAME, load_if_exists=True)
        except (ValueError, KeyError, TypeError) as error:  # JSON's error is a ValueError
            raise DataError(f"`storage` {storage} is no file of a search; give another path: {error}") from error
        stored = self._study.user_attrs.get(_SEARCH)
        if stored is None:
            self._study.set_user_attr(_SEARCH, dict(search))
        elif different := [name for name in search if stored.get(name) != search[name]]:
            raise DataError(
                f"`storage` {storage} holds a search with other {', '.join(different)}; give another path, or the same "
                f"arguments as before"
            )
        self._space, self._seed = space, seed

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Those that ended, in the order of trying. One that was killed leaves none."""
        return tuple(
            Trial(
                number,
                self._space.settings(one.params),
                one.user_attrs.get("score"),
                tuple(one.user_attrs.get("scores", ())),
                one.user_attrs.get("error"),
                one.user_attrs["seconds"],
            )
            for number, one in enumerate(self._ended(), 1)
        )

    @property
    def best(self) -> int | None:
        """The place of the best trial among them; None where all failed."""
        found = [(one.value, place) for place, one in enumerate(self._ended()) if one.value is not None]
        return min(found)[1] if found else None

    def ask(self, most: int) -> optuna.Trial | None:
        """The next trial out of at most so many; None where the space holds nothing more.

        Choices of which there are few enough are all tried, once each. Others are drawn by the tree-structured Parzen
        estimator (Bergstra et al. 2011), the first ten at random.
        """
        import optuna

        ended = self._ended()
        if every := self._space.every(most):
            tried = [one.params for one in ended]
            left = [one for one in every if one not in tried]
            if not left:
                return None
            self._study.enqueue_trial(left[0])
        # A sampler a trial: what is tried next does not depend on whether the search was interrupted.
        drawn = int(np.random.SeedSequence([self._seed, len(ended)]).generate_state(1)[0])
        self._study.sampler = optuna.samplers.TPESampler(seed=drawn, constant_liar=False)
        return self._study.ask(self._space.distributions)

    @property
    def judged_by(self) -> tuple[str, bool]:
        """The name of the score, and whether it is one to raise; known once a trial went well."""
        name, greater_is_better = self._study.user_attrs[_JUDGED_BY]
        return name, greater_is_better

    def tell(
        self, trial: optuna.Trial, name: str, scores: Sequence[float], *, greater_is_better: bool, seconds: float
    ) -> None:
        mean = fmean(scores)
        self._study.set_user_attr(_JUDGED_BY, [name, greater_is_better])
        for name, value in (("score", mean), ("scores", list(scores)), ("seconds", seconds)):
            trial.set_user_attr(name, value)
        self._study.tell(trial, -mean if greater_is_better else mean)

    def tell_failure(self, trial: optuna.Trial, error: str, seconds: float) -> None:
        import optuna

        trial.set_user_attr("error", error[:_LONGEST])
        trial.set_user_attr("seconds", seconds)
        self._study.tell(trial, state=optuna.trial.TrialState.FAIL)

    def _ended(self) -> list[optuna.trial.FrozenTrial]:
        from optuna.trial import TrialState

        return self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))
