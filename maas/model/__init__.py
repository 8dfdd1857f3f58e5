"""Model: the one inference path, and its way to an artifact and back."""

from maas.model._model import Model, Prepared, load

__all__ = ["Model", "Prepared", "load"]
