"""Pages and pictures that people look at: an evaluation as one HTML file, a search for compressions as an SVG."""

from maas.reporting._pareto import pareto
from maas.reporting._report import report

__all__ = ["pareto", "report"]
