"""The names of `maas` itself, and what importing them costs."""

import subprocess
import sys

import pytest

import maas


def test_each_public_name_is_there() -> None:
    assert dir(maas) == maas.__all__
    assert all(getattr(maas, name) is not None for name in maas.__all__)


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'maas' has no attribute 'fti'"):
        maas.fti  # noqa: B018


@pytest.mark.parametrize(
    "statement", ["import maas", "from maas import Client", "import maas.cli._parser as p; p.build_parser()"]
)
def test_light_entry_points_load_nothing_heavy(statement: str) -> None:
    heavy = "{'torch', 'numpy', 'sklearn', 'pyarrow', 'httpx', 'narwhals'} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {statement}; print({heavy})"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_a_worker_loads_neither_scikit_learn_nor_pyarrow() -> None:
    code = "import sys; from maas.serving import Handler; print({'sklearn', 'pyarrow', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
