"""A user's own network and own preprocessing, in a package of theirs, from fit to TorchServe; maas is not touched."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import maas
from maas.errors import ServingError

PACKAGE = '''
    """Logarithms of numbers, and a linear network over them."""

    import numpy as np
    import torch

    import maas
    from maas.schema import TensorSpec


    @maas.network("logs.line")
    class Line(torch.nn.Linear):
        @classmethod
        def sizes(cls, inputs, num_outputs):
            return {"in_features": inputs["logs"].shape[0], "out_features": num_outputs}

        def forward(self, logs):
            return super().forward(logs)


    @maas.preprocess.preprocess("logs.logs")
    class Logs:
        def __init__(self, schema, mean):
            self.schema, self.mean = schema, mean

        @classmethod
        def takes(cls, schema):
            return all(field.kind == "numeric" for field in schema.fields)

        @classmethod
        def learn(cls, schema, columns):
            return cls(schema, np.array([np.log1p(columns[name]).mean() for name in schema.names]))

        @property
        def outputs(self):
            return {"logs": TensorSpec((len(self.mean),), "float32")}

        def apply(self, columns):
            logs = np.stack([np.log1p(columns[name]) for name in self.schema.names], axis=1) - self.mean
            return {"logs": torch.from_numpy(logs.astype(np.float32))}, {}

        def examples(self, count):
            return [{name: 1.0 + row + place for place, name in enumerate(self.schema.names)} for row in range(count)]

        def state(self):
            return {}, {"mean": self.mean}

        @classmethod
        def from_state(cls, schema, state, arrays):
            return cls(schema, arrays["mean"])
'''
FIT = """
    import maas
    from logs_of_mine import Logs

    train, test = maas.data.read_table({table!r}, target="cultivar").split(0.2, seed=0)
    model = maas.fit(maas.recipe("logs.line"), train, preprocess=Logs, epochs=3, device="cpu", progress=False)
    assert (model.recipe.kind, model.preprocess.kind) == ("logs.line", "logs.logs")
    maas.package(model.save("logs"))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As pip would install it: a module, and beside it what it registers."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "logs_of_mine.py").write_text(textwrap.dedent(PACKAGE))
    info = folder / "logs_of_mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: logs-of-mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[maas.networks]\nlogs.line = logs_of_mine:Line\n[maas.preprocess]\nlogs.logs = logs_of_mine:Logs\n"
    )
    return folder


@pytest.fixture(scope="module")
def work(package: Path, wine_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the user works: an artifact and a model store."""
    folder = tmp_path_factory.mktemp("work")
    script = textwrap.dedent(FIT).format(table=str(wine_csv))
    subprocess.run([sys.executable, "-c", script], cwd=folder, env={**os.environ, **_path(package)}, check=True)
    return folder


def _path(package: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))}


def test_it_is_served_without_a_word_about_what_to_import(
    package: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", _path(package)["PYTHONPATH"])
    with maas.serve(work / "model_store", ["logs"]) as server, server.client("logs") as client:
        described = client.describe()
        answer = client.predict(described["example"]["row"])
    assert answer["probabilities"] == pytest.approx(described["example"]["answer"]["probabilities"], abs=1e-5)


def test_a_worker_that_lacks_the_package_fails_with_its_own_traceback(work: Path) -> None:
    with pytest.raises(ServingError, match=r"(?s)could not load its model.*Traceback.*unknown preprocessing 'logs\.l"):
        maas.serve(work / "model_store", ["logs"])
