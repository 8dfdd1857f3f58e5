"""How `maas fit` trains and keeps its one run: the settings that are its own, and the folder."""

from __future__ import annotations

import shutil
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maas.errors import DataError, RunError

if TYPE_CHECKING:
    from maas.model import Model
    from maas.training import Run

_SETTINGS = ("accumulate", "clip_norm", "ema", "precision", "keep", "non_finite", "speed", "workers", "distribute")


def fit_with(options: Namespace, run: Run) -> Callable[..., Model]:
    """`maas.fit` in a run, with the settings that no other command has.

    Raises:
        DataError: an option does not go with another.
    """
    import maas
    from maas.training import Optimizer, Schedule

    own: dict[str, Any] = {name: getattr(options, name) for name in _SETTINGS}
    own |= {"schedule": Schedule(options.schedule, warmup=options.warmup), "validation": options.validation, "run": run}
    if options.momentum is not None:
        if options.optimizer != "sgd":
            raise DataError(f"--momentum is an option of --optimizer sgd, not of {options.optimizer}; leave it out")
        own["optimizer"] = Optimizer("sgd", momentum=options.momentum)
    return lambda recipe, train, **settings: maas.fit(recipe, train, **{**settings, **own})


def run_of(options: Namespace) -> Run:
    """Where the run is kept, by default beside the model.

    Raises:
        RunError: the folder holds a run, and --resume is not there. But the default folder is cleared where the run in
            it has ended and its model was saved.
    """
    import maas
    from maas.training import Run, TensorBoard

    output = Path(options.output)
    folder = Path(options.run_folder or f"{output}.run")
    trackers = [] if options.tensorboard is None else [TensorBoard(options.tensorboard)]
    run = Run(folder, resume=options.resume, every=options.every, trackers=trackers)
    finished = run.is_finished
    if options.resume or finished is None or maas.training.rank():
        return run
    if options.run_folder is not None:
        remedy = "--resume gives its model" if finished else "go on with it by --resume"
        raise RunError(f"--run-folder: {folder} holds a run already; {remedy}, or choose another folder")
    if not finished:
        raise RunError(f"{folder} holds a run that was interrupted; go on with it by --resume, or remove the folder")
    if not _was_saved(output, folder):
        raise RunError(f"{folder} holds a run whose model is not in {output}; --resume saves it, or remove the folder")
    shutil.rmtree(folder)
    return run


def _was_saved(output: Path, folder: Path) -> bool:
    """Whether the model was saved after the run had ended."""
    from maas.training._run import IDENTITY

    card = output / "card.json"
    return card.is_file() and card.stat().st_mtime_ns >= (folder / IDENTITY).stat().st_mtime_ns
