"""Mixed rows to answers over HTTP: a photo, a note and readings of each part off a production line.

    python examples/mixed.py

Makes a table with a column of paths of images (scikit-learn's digits: the number stamped on a part), a note of the
person who looked at it, a temperature and a supplier. Whether a part is returned depends on all but the supplier.
Prints the scores of the fused network beside simple baselines on the 20 % of rows held out, and those of networks that
see one kind of field alone, then asks the served model for these rows, and for one sent as a form with a file, and
compares its answers with those given in process. Half a minute on two quiet cores, without a GPU.
"""

import csv
import tempfile
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np

import maas

CALM = ["looks fine", "nothing to report", "clean edges, fine colour", "as it should be"]
ODD = ["a scratch on the back", "smells burnt", "wobbles a little", "colour is off, scratch on an edge"]
TYPES = {"photo": "image", "note": "text"}


def write_table(folder: Path) -> Path:
    """A row for each of scikit-learn's 1,797 digits."""
    import torch
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
    with tempfile.TemporaryDirectory(prefix="maas-example-") as folder:
        run(Path(folder))


def run(work: Path) -> None:
    table = write_table(work)
    rows = maas.data.read_table(table, target="returned", types=TYPES)
    train, test = rows.split(test=0.2, seed=0)
    print(f"1. {rows}")

    recipe = maas.recipe(
        maas.nn.Fusion,
        parts={"photo": maas.recipe(maas.nn.CNN, filters=(16, 32), padding="same", normalization="batch")},
        width=32,
        dropout=0.2,
    )
    crop = maas.preprocess.AugmentImages(flip=False, crop=1)
    model = maas.fit(recipe, train, augment=crop, epochs=10)
    evaluation = model.evaluate(test, baselines_from=train)
    encoders = {name: part["kind"] for name, part in model.recipe.arguments["parts"].items()}
    print(f"2. {model} of {encoders}\n\n{evaluation}\n")

    print("   accuracy on the same rows of networks that see less:")
    for recipe, names in (
        (maas.recipe(maas.nn.MLP), ["temperature", "supplier"]),
        (maas.recipe(maas.nn.CNN), ["photo"]),
        (maas.recipe(maas.nn.TextCNN), ["note"]),
    ):
        alone = maas.fit(recipe, seeing(train, names), epochs=6)
        accuracy = alone.evaluate(seeing(test, names)).scores["accuracy"]
        print(f"   {accuracy:.4f} {' and '.join(names)}")

    archive = maas.package(model.save(work / "parts", evaluation=evaluation), store=work / "model_store")
    print(f"3. {archive.name}, {archive.stat().st_size:,} bytes; starting TorchServe ...")
    with maas.serve(work / "model_store", models=["parts"]) as server:
        served = server.client("parts").predict(test.to_dicts())
        equal = sum(one == other for one, other in zip(served, model.predict(test), strict=True))
        print(f"4. served and in-process answers equal to the last bit: {equal} of {len(test)}")
        send_a_form(server.url, server.token(), work / "0.png")


def seeing(rows: maas.data.Rows, names: list[str]) -> maas.data.Rows:
    """The same rows with some of their fields only."""
    fields = tuple(rows.schema[name] for name in names)
    return replace(rows, schema=maas.schema.Schema(fields), columns={name: rows.columns[name] for name in names})


def send_a_form(url: str, token: str, photo: Path) -> None:
    """Send one row as any program can: a form with a file."""
    fields = {"note": "a scratch on the back", "temperature": "71.5", "supplier": "Ada"}
    answer = httpx.post(
        f"{url}/predictions/parts",
        data=fields,
        files={"photo": photo.read_bytes()},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    print(f"   one row sent as a form: returned? {answer.json()['label']}")


if __name__ == "__main__":
    main()
