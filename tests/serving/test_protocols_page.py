"""The commands of docs/protocols.md do what the page says."""

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

import maas
from maas.serving import Server, describe, openapi
from maas.serving.protocols import KINDS, MOST_BODY_BYTES, MOST_DEPTH, MOST_ROWS, Identity

PAGE = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_its_commands_are_answered(block: str, server: Server, wine_model: maas.Model, tmp_path: Path) -> None:
    rows = wine_model.preprocess.examples(3)
    np.save(tmp_path / "rows.npy", np.array([list(row.values()) for row in rows]))
    document = openapi(describe(wine_model, Identity("wine", "1.0", "")) | {"example": {"row": rows[0], "answer": {}}})
    infer = document["paths"]["/v2/models/wine/infer"]["post"]["requestBody"]["content"]["application/json"]
    files = {"row.json": rows[0], "rows.json": {"instances": rows}, "v2.json": infer["example"]}
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    environment = {**os.environ, "URL": server.url, "TOKEN": server.token(), "no_proxy": "127.0.0.1"}
    script = "set -e\n" + block.replace("curl ", "curl --silent --show-error --fail ")
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"wine" in done.stdout or (tmp_path / "answers.npy").read_bytes().startswith(b"\x93NUMPY")


def test_it_has_every_kind_of_problem_and_every_limit() -> None:
    lines = [line for line in PAGE.splitlines() if re.match(r"\| \d{3} \|", line)]
    listed = {kind: int(line[2:5]) for line in lines for kind in re.findall(r"`([a-z0-9-]+)`", line.split("|")[2])}
    assert listed == {kind: status for kind, (status, _) in KINDS.items()}
    for limit in (f"{MOST_BODY_BYTES:,}", f"{MOST_ROWS:,}", str(MOST_DEPTH)):
        assert limit in PAGE
