"""A model made smaller within a budget, and released by a rule while it serves: compress, push, promote.

    python examples/compress_and_promote.py                          scikit-learn's digits, as a table of 64 pixels
    python examples/compress_and_promote.py my.csv --target churn    your own table

The first version goes into a registry, becomes `production` and is served from there, by the command `maas serve
--registry`. A second one is pruned by half, taught on, and stored in int8, which may cost half a point on rows that
judge. `maas promote` lets it take over, on the running server and without a lost request, if it verifies, breaks no
client and scores no worse on test rows. If it does score worse, the rule refuses it, and it is promoted against the
rule with a reason that the registry keeps: what the bytes are worth is for people to say.

In about 30 seconds on two cores, without a GPU, it prints in short:

       pixels@1: large, 205,728 bytes of weights, accuracy 0.9554 on test rows
    pixels@2: small, 23,096 bytes of weights, accuracy 0.9638 on test rows
    version 1 answers
    pixels@2 is production, and serves on http://127.0.0.1:8080; it was 1
    version 2 answers
    3. served and in-process answers equal to the last bit: 718 of 718
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import maas

MAAS = [sys.executable, "-m", "maas"]


def smaller(model: maas.Model, judges: maas.data.Rows, train: maas.data.Rows) -> maas.Model:
    """The model with half of its hidden units and weights in int8, or a CompressionError that says what it cost."""
    pruned = maas.compress.prune(model, judges, share=0.5, train=train, epochs=20, max_drop=0.005)
    return maas.compress.quantize(pruned, judges, method="int8_weights", max_drop=0.005)


def promote(version: str, registry: Path) -> None:
    """`maas promote`: releases it wherever it serves on this machine, then sets the alias."""
    command = [*MAAS, "promote", f"pixels@{version}", "--registry", str(registry)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "is worse than" in done.stderr:
        print(f"   refused: {done.stderr.strip().removeprefix('maas: ')}")
        command += ["--force", "half a point is what fewer bytes may cost"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(f"   {(done.stdout or done.stderr).strip()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="a .csv, .tsv or .parquet file")
    parser.add_argument("--target", help="the column to predict")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="maas-example-") as folder:
        work = Path(folder)
        data, target = options.data, options.target
        if data is None:
            data, target = maas.data.write_sample("digits", work / "digits.csv"), "digit"
        known, test = maas.data.read_table(data, target=target).split(test=0.2, seed=0)
        train, judges = known.split(test=0.25, seed=0)

        large = maas.fit(maas.recipe(maas.nn.MLP, hidden=(256, 128)), train, epochs=15)
        small = smaller(large, judges, train)
        registry = maas.Registry.create(work / "registry")
        for name, model in (("large", large), ("small", small)):
            evaluation = model.evaluate(test)
            version = registry.push(model.save(work / name, evaluation=evaluation), "pixels")
            weights = (work / name / "model.safetensors").stat().st_size
            score = evaluation.scores[evaluation.primary]
            print(f"   {version}: {name}, {weights:,} bytes of weights, {evaluation.primary} {score:.4f} on test rows")

        print("1. the first is promoted, and served from the registry ...")
        registry.promote("pixels", "1")  # nobody serves it yet, so that no server need be told
        serve = [*MAAS, "serve", "--registry", str(registry.path), "pixels@production", "--json"]
        with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
            try:
                server.stdout.readline()  # one line of JSON, once it serves
                with maas.Client("pixels") as client:
                    equal = compare(client, large, test)
                    print("2. the second is promoted")
                    promote("2", registry.path)
                    equal += compare(client, small, test)
                print(f"3. served and in-process answers equal to the last bit: {equal} of {2 * len(test)}")
            finally:
                server.terminate()  # it drains, and ends
        print("4. TorchServe stopped; what was done:")
        for record in registry.history("pixels"):
            print(f"   {record.action} {record.version}" + (f", because {record.why}" if record.why else ""))


def compare(client: maas.Client, model: maas.Model, test: maas.data.Rows) -> int:
    """How many served answers are those of the model in process."""
    served = client.predict(test.to_dicts())
    print(f"   version {served.model['version']} answers")
    return sum(one == other for one, other in zip(served, model.predict(test), strict=True))


if __name__ == "__main__":
    main()
