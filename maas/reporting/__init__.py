"""Pages that people look at: an evaluation as one self-contained HTML file."""

from maas.reporting._report import report

__all__ = ["report"]
