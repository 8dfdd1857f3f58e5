"""All benchmarks in one go, whose output becomes the tables of the documents: `bash scripts/bench` says how.

A page holds `<!-- bench:NAME -->` and `<!-- /bench -->`; what stands between is the output of the commands of that name
below, with the commands, the day, the commit and the machine. A benchmark that fails, for want of a peer or of data, is
named at the end with its last words: what stood on the page stays, and the others go on. One whose bar does not hold is
named too, and its figures are written all the same; so is every ratio that is not found again within 15 % of what the
page had. Then the exit code is 1. Stop what else runs on the machine.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

from environment import ROOT, where

KEPT = ROOT / ".benchmarks"
QUICK_PAGE = KEPT / "quick.md"
QUICK_SECONDS = 150  # that a quick command may take
WITHIN = 0.15


@dataclass(frozen=True)
class Benchmark:
    """The commands of a block on a page, below benchmarks/; `quick` is None where nothing small says anything."""

    page: str
    commands: tuple[str, ...]
    quick: str | None = None
    as_rows: bool = False  # a line for each command in place of its output as it is


def fault(command: str) -> str:
    return f"faults/{command}"


BENCHMARKS = {
    "startup": Benchmark("docs/benchmarks.md", ("startup.py",), "startup.py --runs 3"),
    "training": Benchmark(
        "docs/benchmarks.md",
        (
            "training.py --workloads mlp",
            "training.py --workloads lstm cnn32 --rows-scale 0.4",
            "training.py --workloads cnn256 --rows-scale 0.4 --rounds 6 --epochs 3",  # processes differ more there
            "training.py --workloads resnet --rows-scale 0.25 --contenders hand-tuned plain maas lightning skorch",
        ),
        "training.py --rounds 1 --epochs 3 --workloads mlp --rows-scale 0.1 --contenders hand-tuned plain maas",
    ),
    "checkpoints": Benchmark("docs/training.md", ("checkpoints.py",)),
    "resume": Benchmark("docs/training.md", (fault("resume.py"),), fault("resume.py --kills 4")),
    "serving-row": Benchmark(
        "docs/benchmarks.md",
        (
            "serving.py --loads row --windows 15 --seconds 2 "
            "--contenders maas stock 'stock, defaults' 'stock, no batches' litserve",
        ),
        "serving.py --loads row --contenders maas stock --windows 1 --seconds 1 --no-peers",
    ),
    "serving-images": Benchmark("docs/benchmarks.md", ("serving.py --loads images --windows 9 --seconds 4",)),
    "serving-rows": Benchmark(
        "docs/benchmarks.md",
        (
            "serving.py --loads rows-npy rows-json text "
            "--contenders maas stock litserve ceiling --windows 5 --seconds 2",
        ),
    ),
    "generation": Benchmark(
        "docs/benchmarks.md",
        ("generate.py .benchmarks/generate/smollm2-bf16 .benchmarks/generate/smollm2-hf",),
        fault("generate.py --rounds 1 --requests 60"),
    ),
    "compress-kernels": Benchmark(
        "docs/compress.md", ("compress_kernels.py",), "compress_kernels.py --only mlp mlp_wide"
    ),
    "compress": Benchmark("benchmarks/results/compress-cpu.md", ("compress.py --only tweets table",)),
    "compress-images": Benchmark("benchmarks/results/compress-cpu.md", ("compress.py --only fashion",)),
    "quality-vowels": Benchmark(
        "docs/quality.md", ("quality/japanese_vowels.py --network lstm", "quality/japanese_vowels.py --network cnn1d")
    ),
    "quality-tables": Benchmark("docs/quality.md", ("quality/tables.py",), "quality/tables.py --tables wine --seeds 2"),
    "quality-movielens": Benchmark(
        "docs/quality.md",
        ("quality/movielens.py --methods popularity item_cosine user_cosine ease content bpr lists softmax ratings",),
    ),
    "quality-fashion": Benchmark(
        "docs/quality.md", ("quality/fashion_mnist.py --network cnn", "quality/fashion_mnist.py --network resnet")
    ),
    "quality-snownlp": Benchmark(
        "docs/quality.md",
        ("quality/snownlp.py --network bag rnn", "quality/snownlp.py --network cnn --no-baselines"),
    ),
    "quality-tweets": Benchmark("docs/quality.md", ("quality/tweets.py",)),
    "quality-language": Benchmark("docs/quality.md", ("quality/language.py",)),
    "front": Benchmark(
        "docs/front.md",
        (fault("front_stop.py --clients 8"), fault("slow_clients.py")),
        fault("front_stop.py --times 1"),
        as_rows=True,
    ),
    "front-cost": Benchmark("docs/front.md", ("front_cost.py",)),
    "registry": Benchmark(
        "docs/registry.md",
        (fault("registry.py"), fault("promote.py --times 1")),
        fault("registry.py --publishers 2 --versions 5 --kills 4"),
        as_rows=True,
    ),
    "inference": Benchmark(
        "docs/inference.md",
        ("inference.py --threads 1 --clock processor",),
        "inference.py --only b --threads 1 --clock processor",
    ),
    "export-kinds": Benchmark("docs/export.md", ("export_kinds.py",), "export_kinds.py mlp"),
    "parity-generation": Benchmark(
        "docs/import-hf.md", ("parity/generate.py .benchmarks/generate/smollm2 .benchmarks/generate/smollm2-hf",)
    ),
    "faults": Benchmark(
        "docs/serving.md",
        (
            *(fault(f"{name}.py") for name in ("worker_kills", "stop_under_load", "hot_swap", "overload")),
            *(fault(f"{name}.py") for name in ("token_expiry", "soak", "generate")),
            fault("fuzz.py --in-process 100000"),
        ),
        fault("worker_kills.py --times 2"),
        as_rows=True,
    ),
}


class Failed(Exception):
    """A command that did not end with 0."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=[*BENCHMARKS])
    parser.add_argument("--quick", action="store_true", help=f"small loads, written to {QUICK_PAGE.relative_to(ROOT)}")
    parser.add_argument("--check", action="store_true", help=f"leave docs/ as they are, write to {KEPT.name}/check/")
    options = parser.parse_args()
    if options.quick and options.check:
        parser.error("--check wants the documented loads, so not --quick")
    failed, parts = [], ["# A quick look, no measurement\n"]
    for name in options.only:
        benchmark = BENCHMARKS[name]
        commands = (benchmark.quick,) if options.quick else benchmark.commands
        if commands[0] is None:
            continue
        say(f"{name}: {'; '.join(filter(None, commands))}")
        began = time.monotonic()
        try:
            printed = [output(one, QUICK_SECONDS if options.quick else None) for one in commands if one]
        except Failed as reason:
            say(f"{name}: FAILED: {reason}")
            failed.append(f"{name}: {reason}")
            parts.append(f"## {name}\n\nFAILED: {reason}\n")
            continue
        text = block([one for one in commands if one], [text for text, _ in printed], benchmark.as_rows)
        failed += [f"{name}: {reason}" for _, reason in printed if reason]
        say(f"{name}: {time.monotonic() - began:.0f} s")
        page = ROOT / benchmark.page
        if options.quick:
            parts.append(f"## {name}\n\n{text}\n")
            continue
        documented = between(page.read_text(), name)
        failed += [f"{name}: {line}" for line in strayed(documented, text)]
        if options.check:
            write(KEPT / "check" / f"{name}.md", text)
        else:
            page.write_text(put(page.read_text(), name, text))
    if options.quick:
        write(QUICK_PAGE, "\n".join(parts))
    say("\n".join(["", *failed]) if failed else "all of it ran")
    sys.exit(1 if failed else 0)


def block(commands: list[str], printed: list[str], as_rows: bool) -> str:
    """What goes between the markers: the commands, what they printed, where and when."""
    listed = [f"    python benchmarks/{command}" for command in commands]
    if as_rows:
        lines = ["| command | what came out |", "| --- | --- |"]
        for command, text in zip(commands, printed, strict=True):
            # What is indented is said on the way, or about a part.
            told = "; ".join(line for line in text.splitlines() if line and not line[0].isspace())
            lines.append(f"| `benchmarks/{command}` | {told.replace('|', ':')} |")
        return "\n".join([where(None), "", *lines])
    texts = [text if "\n| --- " in text else textwrap.indent(text.rstrip(), "    ") for text in printed]
    own = [] if all("commit " in text for text in printed) else [where(None), ""]
    return "\n".join([*listed, "", *own, "\n\n".join(texts)])


def output(command: str, seconds: float | None) -> tuple[str, str]:
    """What a command printed, and how it failed, "" where it did not; a bar that does not hold is a failure too."""
    words = [sys.executable, *shlex.split(f"benchmarks/{command}")]
    try:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Failed(f"{command} took longer than {seconds:.0f} s") from None
    if not done.returncode:
        return done.stdout.strip(), ""
    told = done.stdout if done.stdout.strip() and "Traceback" not in done.stderr else done.stderr
    last = [line for line in told.splitlines() if line.strip()][-2:]
    reason = f"{command} ended with {done.returncode}: {' / '.join(last)[:400]}"
    if done.returncode != 1 or "Traceback" in done.stderr or not done.stdout.strip():
        raise Failed(reason)
    return done.stdout.strip(), reason


def _marked(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- bench:{name} -->\n)(.*?)(<!-- /bench -->)", re.DOTALL)


def between(page: str, name: str) -> str:
    """What a page has for this name."""
    found = _marked(name).search(page)
    if found is None:
        raise SystemExit(f"the page has no <!-- bench:{name} --> ... <!-- /bench -->; put them where its figures go")
    return found[2]


def put(page: str, name: str, text: str) -> str:
    """The page with this text for this name."""
    between(page, name)
    return _marked(name).sub(lambda found: f"{found[1]}\n{text}\n\n{found[3]}", page)


def rows_of(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def strayed(documented: str, measured: str) -> list[str]:
    """Ratios ("times ..." columns) that differ by more than WITHIN from those documented, row by row."""
    found, heads = [], []
    old, new = rows_of(documented), rows_of(measured)
    if len(old) != len(new):
        return [f"{len(new)} lines in the table where {len(old)} are documented"]
    for was, now, below in zip(old, new, [*new, []][1:], strict=True):
        if below and set("".join(below)) <= {"-"}:
            heads = now
            if was != now:
                return [f"columns {', '.join(now)} where {', '.join(was)} are documented"]
        for head, before, after in zip(heads, was, now, strict=False):
            try:
                ratio = float(after) / float(before) if "times" in head else 1.0
            except (ValueError, ZeroDivisionError):
                continue
            if abs(ratio - 1) > WITHIN:
                found.append(f"{', '.join(now[:3])}: {head} {after} where {before} is documented")
    return found


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text.rstrip()}\n")
    say(f"written: {file}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
