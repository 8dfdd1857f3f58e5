"""Networks beside baselines on the same rows, over several seeds, as a Markdown table."""

import argparse
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

import maas
from maas.data import Rows
from maas.metrics import paired_bootstrap

Method = Callable[[Rows, Rows], Any]
"""Rows to learn from and rows to answer -> labels of the second."""
VALIDATION_SHARE, VALIDATION_SEED = 0.2, 100


def arguments(description: str | None, networks: Mapping[str, Any]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("MAAS_DATA"), help="the folder of data sets, or MAAS_DATA")
    parser.add_argument("--network", choices=networks, nargs="+", default=[*networks])
    parser.add_argument("--seeds", type=int, default=3, help="how many, counted from 0")
    parser.add_argument("--no-baselines", action="store_true", help="train the networks only")
    parser.add_argument(
        "--validate", action="store_true", help="score on parts of the training rows, one split a seed; no test row"
    )
    options = parser.parse_args()
    if options.data is None:
        parser.error("say where the data lies with --data or MAAS_DATA")
    if options.seeds < 1:
        parser.error(f"--seeds is how many, at least 1, got {options.seeds}")
    options.data = Path(options.data)
    return options


def compare(
    options: argparse.Namespace,
    networks: Mapping[str, Mapping[str, Any]],
    baselines: Mapping[str, Method],
    train: Rows,
    test: Rows,
) -> None:
    """Print a row for each baseline and each network.

    A gain is of the mean over the seeds; its interval draws the rows again, the same for both (not the seeds). With
    `--validate` a row that stands in the parts of several splits counts as several, so those intervals are somewhat
    too narrow.

    Args:
        options: of `arguments`.
        networks: arguments of `maas.fit` by name.
        baselines: methods by name; they have no seed.
        train, test: the rows; with `--validate` the second are not looked at.
    """
    splits = [(train, test)] * options.seeds
    if options.validate:
        splits = [tuple(train.split(VALIDATION_SHARE, seed=VALIDATION_SEED + one)) for one in range(options.seeds)]
    names = [] if options.no_baselines else [*baselines]
    gains = "".join(f" gain over {name} |" for name in names)
    print(f"| method | accuracy, mean | deviation | least to most | seconds | parameters |{gains}")
    print("| --- | --- | --- | --- | --- | --- |" + " --- |" * len(names), flush=True)
    rights = {}
    for name in names:
        start = time.perf_counter()
        fresh = splits if options.validate else splits[:1]
        with threadpool_limits(1):  # with two a solver stops elsewhere: .02 to .07 points
            rights[name] = [right(baselines[name](*split), split[1]) for split in fresh]
        row(name, rights[name], (time.perf_counter() - start) / len(fresh), "", [""] * len(names))
    for name in options.network:
        start = time.perf_counter()
        found = []
        for seed, (learning, asked) in enumerate(splits):
            model = maas.fit(train=learning, seed=seed, progress=False, **networks[name])
            found.append(right(model.predict(asked)["label"], asked))
        parameters = sum(parameter.numel() for parameter in model.network.parameters())
        cells = [gain(found, rights[other]) for other in names]
        row(f"**{name}**", found, (time.perf_counter() - start) / len(splits), f"{parameters:,}", cells)
    print(f"\n{options.seeds} seeds; {'rows of the training part' if options.validate else 'test rows'}; {where()}")


def right(labels: Any, rows: Rows) -> np.ndarray[Any, Any]:
    """Whether each answer is right, float64 of shape (rows,)."""
    assert rows.target is not None
    return (np.asarray(labels).astype(str) == rows.target.astype(str)).astype(np.float64)


def gain(mine: list[np.ndarray[Any, Any]], theirs: list[np.ndarray[Any, Any]]) -> str:
    """The difference of the mean accuracies in points, with its interval."""
    if len(theirs) == 1:  # one test part
        one, other = np.mean(mine, axis=0), theirs[0]
    else:
        one, other = np.concatenate(mine), np.concatenate(theirs)
    low, high = paired_bootstrap(one, other)
    verdict = "better" if low > 0 else "worse" if high < 0 else "no difference shown"
    return f"{100 * (one.mean() - other.mean()):+.2f} ({100 * low:+.2f} to {100 * high:+.2f}): {verdict}"


def row(name: str, found: list[np.ndarray[Any, Any]], seconds: float, parameters: str, gains: list[str]) -> None:
    """Print a line of the table."""
    scores = [100 * one.mean() for one in found]
    spread = ["", ""]
    if len(scores) > 1:
        spread = [f"{statistics.stdev(scores):.2f}", f"{min(scores):.2f} to {max(scores):.2f}"]
    cells = [name, f"{statistics.mean(scores):.2f} %", *spread]
    print(f"| {' | '.join([*cells, f'{seconds:.0f}', parameters, *gains])} |", flush=True)


def where() -> str:
    """Hardware, versions and commit."""
    git = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    threads = torch.get_num_threads()
    return (
        f"{platform.machine()} CPU, {threads} thread{'s' * (threads > 1)}, torch {torch.__version__}, commit "
        f"{git.stdout.strip() or 'unknown'}"
    )
