"""The command that finds how a model is served best on this machine: tune-serving."""

from __future__ import annotations

import argparse
import json
import re
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from maas.cli._options import add_command, add_imports, add_json, counts
from maas.cli._print import print_json, tell
from maas.cli._rows import rows_to_send
from maas.errors import DataError, show

if TYPE_CHECKING:
    from maas.serving import ServingTuning

_UNITS = {"ms": 1e-3, "s": 1.0}


def add_tune_serving(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "tune-serving",
        "find the workers, threads, batch size and delay that answer the most requests in time on this machine",
        "examples:\n  maas tune-serving wine --slo-p99 50ms\n"
        "  maas tune-serving wine --slo-p99 20ms --data rows.csv --workers 1,2 --batch-size 8,16 --seconds 10\n"
        "  maas tune-serving photos --slo-p99 0.5s --data one.jpg two.jpg\n\n"
        "stop what else runs on the machine first. It ends with 1 where nothing holds the time asked for",
    )
    add_imports(parser)
    parser.add_argument("model", metavar="NAME[@VERSION]", help="a model of the store")
    parser.add_argument("--slo-p99", required=True, metavar="TIME", help="that 99 %% are answered within: 50ms, 0.05s")
    parser.add_argument("--store", default="model_store", metavar="DIR", help="model store (default: %(default)s)")
    parser.add_argument(
        "--data", nargs="+", metavar="FILE", help="rows to send: a table, JSON, or images (default: the golden rows)"
    )
    parser.add_argument("--workers", type=counts, metavar="N,N", help="(default: 1,2,4, as there are cores)")
    parser.add_argument("--threads", type=counts, metavar="N,N", help="of each (default: 1, and cores / workers)")
    parser.add_argument("--batch-size", type=counts, default=[1, 8, 16, 32], metavar="N,N", help="(default: 1,8,16,32)")
    parser.add_argument("--max-batch-delay-ms", type=counts, default=[1, 4], metavar="MS,MS", help="(default: 1,4)")
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="of a load (default: %(default)g)")
    parser.add_argument("--output", metavar="DIR", help="what it writes (default: tuning/NAME)")
    add_json(parser)


def tune_serving(options: Namespace) -> bool:
    from maas.archive import read_archived
    from maas.serving import tune_serving
    from maas.serving._store import choose

    seconds = duration(options.slo_p99)
    (found,) = choose(options.store, [options.model])
    rows = None
    if options.data is not None:
        rows = rows_to_send(options.data, lambda: read_archived(found.path).description["schema"]).rows
    tuning = tune_serving(
        options.store,
        options.model,
        slo_seconds=seconds,
        rows=rows,
        workers=options.workers,
        threads=options.threads,
        batch_sizes=options.batch_size,
        max_batch_delays_ms=options.max_batch_delay_ms,
        seconds=options.seconds,
        imports=options.imports,
        progress=lambda text: tell(options, text),
    )
    output = Path(options.output or Path("tuning", tuning.model))
    written = _write(tuning, output)
    tell(options, f"\n{tuning}\n")
    if tuning.chosen is None:
        tell(options, f"no configuration answers 99 % within {options.slo_p99}: {tuning.why_none()}\n{written[0]}")
    else:
        tell(
            options,
            f"chosen: {tuning.chosen}\nwrote {', '.join(map(str, written))}; next:\n"
            f"  maas package ARTIFACT --name {tuning.model} --config {written[-1]}",
        )
    print_json(options, {**tuning.to_json(), "files": [str(file) for file in written]})
    if tuning.interrupted:
        raise KeyboardInterrupt
    return tuning.chosen is None


def _write(tuning: ServingTuning, folder: Path) -> list[Path]:
    """The page, all that was measured, and what was chosen."""
    from maas.serving._tuning_page import tuning_page

    texts = {"tuning.html": tuning_page(tuning), "tuning.json": json.dumps(tuning.to_json(), indent=2) + "\n"}
    if tuning.chosen is not None:
        texts["model-config.yaml"] = tuning.chosen.deployment().to_yaml()
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    return [folder / name for name in texts]


def duration(text: str) -> float:
    """Seconds, from a number and its unit.

    Raises:
        DataError: it is none.
    """
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ?(ms|s)", text, re.ASCII)
    if not found or not (seconds := float(found[1]) * _UNITS[found[2]]):
        raise DataError(
            f"--slo-p99 wants a time above 0 with its unit, ms or s, such as 50ms or 0.05s, got {show(text)}"
        )
    return seconds
