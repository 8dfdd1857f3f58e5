"""How long the light entry points take over a bare interpreter: `python benchmarks/startup.py`. Ten seconds."""

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import maas": ["-c", "import maas"],
    "from maas import Client": ["-c", "from maas import Client"],
    "maas --help": ["-m", "maas", "--help"],
    "import torch, for comparison": ["-c", "import torch"],
}


def seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="of each command (default: %(default)s)")
    runs = parser.parse_args().runs
    for arguments in COMMANDS.values():  # fill caches
        seconds(arguments)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):  # in turn, so that a busy moment hits all alike
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    bare = statistics.median(times["python -c pass"])
    print("| command | median, s | over the bare interpreter, s |")
    print("| --- | --- | --- |")
    for name, found in times.items():
        median = statistics.median(found)
        print(f"| `{name}` | {median:.3f} | {median - bare:.3f} |")


if __name__ == "__main__":
    main()
