"""Language models brought from elsewhere: their files become an artifact, and nothing in them is run."""

from maas.importing._import import import_hf

__all__ = ["import_hf"]
