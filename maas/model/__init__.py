"""Model: the one inference path, and its way to an artifact and back."""

from maas.model._model import Model, load
from maas.model._prepared import Prepared

__all__ = ["Model", "Prepared", "load"]
