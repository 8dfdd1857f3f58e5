"""Mixed rows to answers over HTTP: a photo, a note and readings of each part off a production line.

    python examples/mixed.py                                                                   a table that it makes
    python examples/mixed.py my.csv --target sold --type photo=image --type remark=text        your own

The table has a column of paths of images (scikit-learn's digits: the number stamped on a part), a note of the person
who looked at it, a temperature and a supplier. Whether a part is returned depends on all but the supplier. Prints the
scores of the fused network beside simple baselines on the 20 % of rows held out, and those of networks that see one
kind of field alone, then asks the served model for these rows, and for one sent as a form with a file.

In about 25 seconds on two cores, without a GPU, it prints in short:

    2. Model(fusion, 4 fields -> returned (classification)) of {'photo': 'cnn', 'note': 'text_cnn', 'table': 'mlp'}
    0.7660 temperature and supplier
    0.7187 photo
    0.7604 note
    4. served and in-process answers equal to the last bit: 359 of 359
"""

import argparse
import csv
import tempfile
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import torch

import maas

CALM = ["looks fine", "nothing to report", "clean edges, fine colour", "as it should be"]
ODD = ["a scratch on the back", "smells burnt", "wobbles a little", "colour is off, scratch on an edge"]


def write_table(folder: Path) -> Path:
    """A row for each of scikit-learn's 1,797 digits."""
    from sklearn.datasets import load_digits
    from torchvision.io import write_png

    random, bunch = np.random.default_rng(0), load_digits()
    with open(folder / "parts.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["photo", "note", "temperature", "supplier", "returned"])
        for index, digit in enumerate(bunch.target.tolist()):
            pixels = torch.from_numpy((bunch.images[index] * 255 / 16).round().astype("uint8"))
            write_png(pixels[None], str(folder / f"{index}.png"))
            odd, temperature = bool(random.random() < 0.5), float(random.normal(60, 10))
            note = random.choice(ODD if odd else CALM)
            returned = (digit >= 5) + odd + (temperature > 60) >= 2
            supplier = random.choice(["Ada", "Bo"])
            writer.writerow([f"{index}.png", note, round(temperature, 1), supplier, "yes" if returned else "no"])
    return folder / "parts.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="a .csv, .tsv or .parquet file")
    parser.add_argument("--target", default="returned", help="the column to predict")
    parser.add_argument("--type", action="append", help="NAME=image, NAME=text, NAME=audio: of a column; repeat it")
    options = parser.parse_args()
    types = dict(one.split("=") for one in options.type or ["photo=image", "note=text"])
    with tempfile.TemporaryDirectory(prefix="maas-example-") as folder:
        run(Path(folder), options.data or write_table(Path(folder)), options.target, types)


def run(work: Path, table: str | Path, target: str, types: dict[str, str]) -> None:
    rows = maas.data.read_table(table, target=target, types=types)
    train, test = rows.split(test=0.2, seed=0)
    print(f"1. {rows}")

    cnn = maas.recipe(maas.nn.CNN, filters=(16, 32), padding="same", normalization="batch")
    images = [name for name, kind in types.items() if kind == "image"]
    recipe = maas.recipe(maas.nn.Fusion, parts=dict.fromkeys(images, cnn), width=32, dropout=0.2)
    crop = maas.preprocess.AugmentImages(flip=False, crop=1) if images else None
    model = maas.fit(recipe, train, augment=crop, epochs=10)
    evaluation = model.evaluate(test, baselines_from=train)
    encoders = {name: part["kind"] for name, part in model.recipe.arguments["parts"].items()}
    print(f"2. {model} of {encoders}\n\n{evaluation}\n")

    print(f"   {evaluation.primary} on the same rows of networks that see less:")
    of_kind = {"image": cnn, "text": maas.recipe(maas.nn.TextCNN), "audio": maas.recipe(maas.nn.AudioCNN)}
    seen = {name: of_kind[kind] for name, kind in types.items()}
    for names, recipe in (
        ([name for name in rows.schema.names if name not in types], maas.recipe(maas.nn.MLP)),
        *(([name], recipe) for name, recipe in seen.items()),
    ):
        alone = maas.fit(recipe, seeing(train, names), epochs=6)
        print(f"   {alone.evaluate(seeing(test, names)).scores[evaluation.primary]:.4f} {' and '.join(names)}")

    archive = maas.package(model.save(work / "parts", evaluation=evaluation), store=work / "model_store")
    print(f"3. {archive.name}, {archive.stat().st_size:,} bytes; starting TorchServe ...")
    threads = torch.get_num_threads()  # as many as here: with others, the last bits of sums may differ
    with maas.serve(work / "model_store", models=["parts"], threads=threads) as server:
        served = server.client("parts").predict(test.to_dicts())
        equal = sum(one == other for one, other in zip(served, model.predict(test), strict=True))
        print(f"4. served and in-process answers equal to the last bit: {equal} of {len(test)}")
        send_a_form(server.url, server.token(), test.take([0]))


def seeing(rows: maas.data.Rows, names: list[str]) -> maas.data.Rows:
    """The same rows with some of their fields only."""
    fields = tuple(rows.schema[name] for name in names)
    return replace(rows, schema=maas.schema.Schema(fields), columns={name: rows.columns[name] for name in names})


def send_a_form(url: str, token: str, row: maas.data.Rows) -> None:
    """Send one row as any program can: a form with files."""
    files = {one.name: row.columns[one.name][0] for one in row.schema.fields if one.dtype == "bytes"}
    fields = {name: str(value) for name, value in row.to_dicts()[0].items() if name not in files}
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.post(f"{url}/predictions/parts", data=fields, files=files, headers=headers, timeout=30).json()
    print(f"   one row sent as a form: {row.target_name}? {answer.get('label', answer)}")


if __name__ == "__main__":
    main()
