"""Model as a Service for PyTorch: train a network, measure it honestly, package it and serve it with TorchServe.

>>> import maas
>>> maas.recipe(maas.nn.MLP, hidden=(64, 64))
Recipe(kind='mlp', arguments={'hidden': [64, 64]}, transforms=())
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from maas._version import __version__

if TYPE_CHECKING:
    from maas import compress, data, metrics, nn, preprocess, schema, sklearn, task, training, tuning
    from maas.archive import package, verify
    from maas.client import AsyncClient, Client
    from maas.errors import MaasError
    from maas.exporting import export
    from maas.importing import import_hf
    from maas.metrics import Evaluation
    from maas.model import Model, load
    from maas.nn import Recipe, network, recipe
    from maas.registry import Registry
    from maas.reporting import report
    from maas.serving import serve
    from maas.signing import sign
    from maas.task import Answers
    from maas.training import Run, fit
    from maas.tuning import cross_validate, tune

# Resolved on first use, as are the rooms, so that `import maas` and `from maas import Client` cost no torch.
_WHERE = {
    "Answers": "maas.task",
    "AsyncClient": "maas.client",
    "Client": "maas.client",
    "Evaluation": "maas.metrics",
    "MaasError": "maas.errors",
    "Model": "maas.model",
    "Recipe": "maas.nn",
    "Registry": "maas.registry",
    "Run": "maas.training",
    "cross_validate": "maas.tuning",
    "export": "maas.exporting",
    "fit": "maas.training",
    "import_hf": "maas.importing",
    "load": "maas.model",
    "network": "maas.nn",
    "package": "maas.archive",
    "recipe": "maas.nn",
    "report": "maas.reporting",
    "serve": "maas.serving",
    "sign": "maas.signing",
    "tune": "maas.tuning",
    "verify": "maas.archive",
}

__all__ = [
    "Answers",
    "AsyncClient",
    "Client",
    "Evaluation",
    "MaasError",
    "Model",
    "Recipe",
    "Registry",
    "Run",
    "__version__",
    "compress",
    "cross_validate",
    "data",
    "export",
    "fit",
    "import_hf",
    "load",
    "metrics",
    "network",
    "nn",
    "package",
    "preprocess",
    "recipe",
    "report",
    "schema",
    "serve",
    "sign",
    "sklearn",
    "task",
    "training",
    "tune",
    "tuning",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'maas' has no attribute {name!r}")
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    return import_module(f"maas.{name}")


def __dir__() -> list[str]:
    return __all__
