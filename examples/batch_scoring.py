"""A Parquet file of any size scored to another one, a chunk at a time, with the answers that a server would give.

    python examples/batch_scoring.py                                     a model of wines, and 100,000 bottles it makes
    python examples/batch_scoring.py new.parquet --model artifacts/churn --output scored.parquet     your own

Batch scoring needs no server: a saved model answers a table in process, faster than over HTTP, and exactly as it is
served, which is checked here for the first rows. (Where the model is only at hand as a service, `maas.Client` takes
the same tables: `client.predict(chunk).to_frame()`.) Memory is that of one chunk, however long the file: it is read,
answered and written by 10,000 rows.

In about 15 seconds on two cores, without a GPU, it prints in short:

    1. Model(mlp, 13 fields -> cultivar (classification)) answered 100,000 rows, from 13.0 MB of Parquet
    959 MB of memory after the first of 10 chunks, 964 at the most
    4. served answers and those in the file, equal to the last bit: 500 of 500
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import psutil  # comes with TorchServe
import pyarrow
import pyarrow.parquet

import maas

CHUNK = 10_000


def score(model: maas.Model, source: Path, target: Path) -> tuple[int, list[float]]:
    """Write the answers to the rows of a file, beside the rows; gives their number, and MB of memory at each chunk."""
    rows, memory, writer = 0, [], None
    with pyarrow.parquet.ParquetFile(source) as file:
        for batch in file.iter_batches(CHUNK):
            table = pyarrow.Table.from_batches([batch])
            answers = model.predict(table).to_frame()  # a row that cannot be answered raises, and says which and why
            for name in answers.column_names:
                table = table.append_column(f"answer.{name}", answers[name])
            writer = writer or pyarrow.parquet.ParquetWriter(target, table.schema)
            writer.write_table(table)
            rows += len(table)
            memory.append(psutil.Process().memory_info().rss / 1e6)
    if writer is not None:
        writer.close()
    return rows, memory


def learn(work: Path) -> tuple[Path, Path]:
    """A model of scikit-learn's wines, and a file of bottles like them."""
    rows = maas.data.read_table(maas.data.write_sample("wine", work / "wine.csv"), target="cultivar")
    train, test = rows.split(test=0.25, seed=0)
    model = maas.fit(maas.recipe(maas.nn.MLP, hidden=(64, 64)), train, epochs=30)
    random = np.random.default_rng(0)
    chosen = random.integers(0, len(rows), 100_000)
    bottles = {name: column[chosen] * random.normal(1, 0.02, len(chosen)) for name, column in rows.columns.items()}
    pyarrow.parquet.write_table(pyarrow.table(bottles), work / "bottles.parquet")
    return model.save(work / "wines", evaluation=model.evaluate(test)), work / "bottles.parquet"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, help="a .parquet file with the columns that the model wants")
    parser.add_argument("--model", type=Path, help="the folder of a saved model")
    parser.add_argument("--output", type=Path, help="the .parquet file to write")
    options = parser.parse_args()
    if (options.data is None) != (options.model is None):
        parser.error("give both a file and --model, or neither")

    with tempfile.TemporaryDirectory(prefix="maas-example-") as folder:
        work = Path(folder)
        artifact, source = (options.model, options.data) if options.data else learn(work)
        model, target = maas.load(artifact), options.output or work / "scored.parquet"
        rows, memory = score(model, source, target)
        print(f"1. {model} answered {rows:,} rows, from {source.stat().st_size / 1e6:.1f} MB of Parquet")
        print(f"   {memory[0]:.0f} MB of memory after the first of {len(memory)} chunks, {max(memory):.0f} at the most")
        first = next(pyarrow.parquet.ParquetFile(target).iter_batches(500))
        print(f"2. {', '.join(first.schema.names[-4:])} are the last columns of {target.name}")

        archive = maas.package(artifact, store=work / "model_store", name="scored")
        print(f"3. {archive.name}, {archive.stat().st_size:,} bytes; starting TorchServe ...")
        with maas.serve(archive.parent, models=["scored"]) as server:
            asked = first.select(list(model.schema.names)).to_pylist()
            served = server.client("scored").predict(asked).to_frame().to_pylist()
            found = first.select([name for name in first.schema.names if name.startswith("answer.")]).to_pylist()
            equal = sum(
                {f"answer.{name}": value for name, value in one.items()} == other
                for one, other in zip(served, found, strict=True)
            )
            print(f"4. served answers and those in the file, equal to the last bit: {equal} of {len(found)}")
        print("5. TorchServe stopped")


if __name__ == "__main__":
    main()
