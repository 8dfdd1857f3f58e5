"""The whole way with an installed maas, outside the repository: sample, fit, package, verify, serve, call.

    python scripts/journey.py FOLDER        an empty folder, or one that is not there yet; half a minute on two cores

Prints where maas and the handler were found, and fails if that is a clone and not what was installed.
"""

import subprocess
import sys
from pathlib import Path

SERVED = """
import sys
import maas
from maas.archive import handler_path
print("maas:", maas.__file__)
print("handler:", handler_path())
rows = maas.data.read_table("wine.csv", target="cultivar").to_dicts()[:5]
wanted = maas.load("wine").predict(rows).to_dicts()
with maas.serve("model_store", models=["wine"]) as server:
    found = server.client("wine").predict(rows)
assert [one["label"] for one in found] == [one["label"] for one in wanted], (found, wanted)
print("served answers:", [one["label"] for one in found])
"""
COMMANDS = (
    "sample wine --output wine.csv",
    "fit wine.csv --target cultivar --epochs 5 --output wine",
    "package wine --store model_store",
    "verify model_store/wine.mar",
)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for command in COMMANDS:
        subprocess.run([sys.executable, "-m", "maas", *command.split()], cwd=folder, check=True, stdout=sys.stderr)
    printed = subprocess.run([sys.executable, "-c", SERVED], cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    print(printed.stdout, end="")
    clone = str(Path(__file__).resolve().parent.parent / "maas")
    if clone in printed.stdout:
        raise SystemExit(f"maas came from the clone, {clone}, and not from what was installed")


if __name__ == "__main__":
    main()
