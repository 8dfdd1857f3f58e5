"""Versions promoted and taken back in a registry, under load, through the front: no client loses a request.

    python benchmarks/faults/promote.py              3 promotions and as many ways back; 3 minutes on two cores
    python benchmarks/faults/promote.py --times 1    1 minute

`maas serve --registry R wine@production --front` serves; four threads ask over plain HTTP, without pause and without
trying again, while `maas promote` and `maas registry rollback` change production over and over, and a version whose
fields would break clients is refused each time. Failed: any answer but 200; hung: none within 30 s. Exits with 1 if
there is one.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from load import bare, load, lost, options, shown

import maas
from maas.data import read_table, write_sample

MAAS = [sys.executable, "-m", "maas.cli"]
HUNG_SECONDS = 30.0


def main() -> int:
    chosen = options(__doc__ or "", times=3)
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="maas-p") as folder:
        own = {**os.environ, "TMPDIR": folder, "MAAS_REGISTRY": f"{folder}/registry"}
        row = fill(Path(folder))
        command = [*MAAS, "serve", "--registry", own["MAAS_REGISTRY"], "wine@production", "--front", "--json"]
        process = subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            said = json.loads(process.stdout.readline())
            key = Path(said["keys"]).read_text().strip()
            asks = [bare(said["url"], key, row, hung_seconds=HUNG_SECONDS) for _ in range(chosen.clients)]
            seconds: list[float] = []
            refused = ""
            with load(asks) as counts:
                for _ in range(chosen.times):
                    for what in (["promote", "wine@2"], ["registry", "rollback", "wine"]):
                        begun = time.monotonic()
                        subprocess.run([*MAAS, *what], env=own, check=True)
                        seconds.append(time.monotonic() - begun)
                    done = subprocess.run([*MAAS, "promote", "wine@3"], env=own, stderr=subprocess.PIPE, text=True)
                    assert done.returncode == 2, done.stderr
                    refused = done.stderr
        finally:
            process.terminate()
            process.wait()
    failed = lost(counts) + counts["503 with Retry-After"]
    print(f"refused, {chosen.times} times: {refused.strip()}")
    print(f"{len(seconds)} releases, {sum(counts.values()):,} requests: {shown(counts)}")
    print(f"failed {failed - counts['hung']}, hung {counts['hung']}; a release took {statistics.median(seconds):.0f} s")
    return int(failed > 0)


def fill(folder: Path) -> dict[str, Any]:
    """A registry with three versions of a small model: 1 is production, 2 no worse, 3 lacks a field; gives a row."""
    registry = maas.Registry.create(folder / "registry")
    path = write_sample("wine", folder / "wine.csv")
    for drop, epochs in (([], 3), ([], 30), (["hue"], 3)):
        train, test = read_table(path, target="cultivar", drop=drop).split(test=0.25, seed=0)
        model = maas.fit(maas.recipe(maas.nn.MLP, hidden=(16,)), train, epochs=epochs, device="cpu", progress=False)
        registry.push(model.save(folder / "artifact", evaluation=model.evaluate(test)), "wine")
    registry.promote("wine", "1")
    row: dict[str, Any] = maas.Model.from_artifact(registry.read("wine")).preprocess.examples(1)[0]
    return row


if __name__ == "__main__":
    sys.exit(main())
