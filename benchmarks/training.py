"""How fast `maas.fit` trains: beside a hand-tuned torch loop, a plain one, Lightning, Keras and skorch, in one run.

    python benchmarks/training.py                                 all of it, on the CPU: an hour on two cores
    python benchmarks/training.py --workloads mlp --no-peers      two minutes, and no network
    python benchmarks/training.py --device cuda --output training.md

Every contender trains the very same network from the same initial weights on the same synthetic rows, with AdamW
(learning rate 1e-3, weight decay 0.01), the same batch size, precision and number of threads, and takes the validation
loss of a tenth of the rows each epoch. The networks and rows are in `workloads.py`, the two torch loops, which are
frozen, in `reference_loops.py`, the others in `contenders.py`. `maas.fit` keeps its metrics and its progress bar, as
Lightning and Keras keep theirs; all write them to /dev/null.

What is timed is an epoch: training and validation. Samples per second are training rows by that time. The first epoch
is warm-up; the median is over the others of all rounds. In a round each contender is a fresh process, and they work by
turns: an epoch of each, then the next of each, each time another one first, while all others wait. "times hand-tuned"
is the median over epochs of what that one epoch took the hand-tuned loop and the contender: what a machine does to all
for minutes is not in it. Epochs of maas are those of `model.card["training"]["history"]`.

"warm-up" is what the whole call took beyond its epochs: set-up, preparation, compilation, and by how much the first
epoch was slower. That is not equal: maas is given rows as a person has them (numbers, encoded images, texts) and
prepares them there, before the first epoch; the others are given tensors that were prepared the same way, outside of
any clock. Where maas comes to prepare rows while it trains, its epochs carry that work and the others' do not.

"peak" is the most resident memory of the process while it trains, libraries and rows included; on CUDA the most memory
that tensors took. maas keeps the raw rows beside the prepared ones, and writes a checkpoint at the end, which is in its
peak and its warm-up: it takes its turns as a tracker, and only a run that is kept has trackers.

The number of threads is what `maas.fit` would choose, the same for every contender: one for the small networks mlp and
lstm, on which a second gains nothing, all for convolutions.

Peers live in an environment of their own, made on first use: a venv whose .pth points to the site-packages of the
interpreter that runs this script, so that torch is not installed twice, with lightning, keras and skorch from PyPI.
With `--peers -` they are those that this interpreter has.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from environment import ROOT, make_peers, versions, where
from turns import Player, Turn

PEERS = ("lightning", "keras", "skorch")
CONTENDERS = ("hand-tuned", "plain", "maas", "maas auto", *PEERS)
WORKLOADS = ("mlp", "cnn32", "cnn256", "lstm", "resnet")
FEWEST_EPOCHS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=WORKLOADS)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=7, help="of each run; the first is warm-up")
    parser.add_argument("--rows-scale", type=float, default=1.0, help="times the usual number of rows")
    parser.add_argument("--threads", type=int, help="of the CPU; by default what maas.fit chooses for the workload")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--peers", type=Path, default=ROOT / ".benchmarks" / "peers", help="their environment")
    parser.add_argument("--no-peers", action="store_true", help="leave them out: nothing is installed")
    parser.add_argument("--output", type=Path, help="write the table to this Markdown file too")
    parser.add_argument("--commit", help="what is measured, where this is no repository")
    parser.add_argument("--one", nargs=2, metavar=("CONTENDER", "WORKLOAD"), help="one run, printed as JSON")
    parser.add_argument("--turns", action="store_true", help=argparse.SUPPRESS)  # --one waits for its turns
    options = parser.parse_args()
    if options.epochs < 2 or options.rounds < 1:
        parser.error("at least two epochs, the first being warm-up, and one round")
    if options.one:
        print(json.dumps(one(*options.one, options)))
        return

    contenders = [name for name in options.contenders if not (options.no_peers and name in PEERS)]
    python = make_peers(options.peers, PEERS) if set(contenders) & set(PEERS) else Path(sys.executable)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    notes: dict[str, None] = {}  # in order, each once
    if options.rounds * (options.epochs - 1) < FEWEST_EPOCHS:
        notes[f"Fewer than {FEWEST_EPOCHS} measured epochs: a trial, not a measurement."] = None
    for workload in options.workloads:
        for number in range(options.rounds):
            print(f"{workload}, round {number + 1} of {options.rounds}", file=sys.stderr)
            for contender, result in a_round(python, contenders, workload, options).items():
                if "skipped" in result:
                    notes[f"{workload}, {contender}: left out. {result['skipped']}."] = None
                    continue
                if result["threads"] != result["wanted_threads"]:
                    notes[
                        f"{workload}, {contender}: {result['threads']} threads in place of {result['wanted_threads']}."
                    ] = None
                found.setdefault((workload, contender), []).append(result)
        text = "\n".join(
            [*header(options, python, contenders, found), "", *table(found), "", *(f"- {n}" for n in notes)]
        )
        if options.output:  # after each workload: what was measured outlives an interruption
            options.output.write_text(f"# Training speed\n\n{text.rstrip()}\n")
    print(text.rstrip())


def one(contender: str, workload: str, options: argparse.Namespace) -> dict[str, Any]:
    """A single run in this process."""
    from contenders import Skipped, run  # brings torch, which the process that only waits has no use for
    from reference_loops import Plan
    from workloads import WORKLOADS

    turn = Turn(given=options.turns)
    plan = Plan(options.epochs, WORKLOADS[workload].batch_size, options.device, options.precision, turn=turn)
    try:
        return run(contender, workload, plan, rows_scale=options.rows_scale, threads=options.threads)
    except Skipped as reason:
        return {"skipped": str(reason)}


def a_round(
    python: Path, contenders: list[str], workload: str, options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """A run of each, in processes of their own that train by turns."""
    arguments = ["--epochs", str(options.epochs), "--rows-scale", str(options.rows_scale), "--turns"]
    arguments += ["--device", options.device, "--precision", options.precision]
    arguments += ["--threads", str(options.threads)] if options.threads else []
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}", "KERAS_BACKEND": "torch"}
    if options.device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""  # Keras takes CUDA where it finds one
    players: dict[str, Player] = {}
    with contextlib.ExitStack() as stack:
        waiting = []
        for name in contenders:
            command = [python, __file__, "--one", name, workload, *arguments]
            players[name] = stack.enter_context(Player(command, environment))
            if players[name].waits():
                waiting.append(name)
        while waiting:
            waiting = [name for name in waiting[1:] + waiting[:1] if players[name].take_turn()]
        return {name: told(player) for name, player in players.items()}


def told(player: Player) -> dict[str, Any]:
    """What a run said at its end."""
    if player.errors:
        print(player.errors, file=sys.stderr)
        return {"skipped": f"It failed: {player.errors.splitlines()[-1][:300]}"}
    result: dict[str, Any] = json.loads(player.printed[-1])
    return result


def table(found: dict[tuple[str, str], list[dict[str, Any]]]) -> list[str]:
    lines = [
        "| workload | contender | samples/s, median | middle half | times hand-tuned | peak, MB | warm-up, s | "
        "training loss at the end |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (workload, contender), runs in found.items():
        speed = [run["rows"] / one for run in runs for one in run["seconds"]]
        low, median, high = statistics.quantiles(speed, n=4) if len(speed) > 1 else speed * 3
        ratio = times(found.get((workload, "hand-tuned"), []), runs)
        peak = max(run["peak_bytes"] for run in runs) / 1e6
        warm_up = statistics.median(run["warm_up_seconds"] for run in runs)
        loss = statistics.median(run["train_loss"] for run in runs)
        lines.append(
            f"| {workload} | {contender} | {median:,.0f} | {low:,.0f} to {high:,.0f} | {ratio} | {peak:,.0f} | "
            f"{warm_up:.1f} | {loss:.4f} |"
        )
    return lines


def times(yardstick: list[dict[str, Any]], runs: list[dict[str, Any]]) -> str:
    """How many times as fast the runs are, epoch by epoch; "" where a round of either is lacking."""
    if len(yardstick) != len(runs):
        return ""
    seconds = [[one for run in some for one in run["seconds"]] for some in (yardstick, runs)]
    return f"{statistics.median(theirs / own for theirs, own in zip(*seconds, strict=True)):#.3g}"


def header(
    options: argparse.Namespace,
    python: Path,
    contenders: list[str],
    found: dict[tuple[str, str], list[dict[str, Any]]],
) -> list[str]:
    """Where, when and with what it was measured."""
    runs = [run for several in found.values() for run in several]
    threads = {workload: run["threads"] for (workload, _), several in found.items() for run in several}
    device = runs[0]["device"] if runs and options.device == "cuda" else ""
    return [
        where(options.commit, device),
        versions(python, tuple(name for name in PEERS if name in contenders)),
        f"{options.precision}; rounds of {options.epochs} epochs, the first of each being warm-up: {options.rounds}; "
        f"{options.rows_scale:g} times the usual rows; "
        f"threads: {', '.join(f'{workload} {count}' for workload, count in threads.items())}.",
    ]


if __name__ == "__main__":
    main()
