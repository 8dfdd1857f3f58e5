"""Networks for use elsewhere: as ONNX or as a torch.export program, with all that others need to know beside.

It is not a second way to serve: what is served is always the `maas.Model` of an artifact. See `docs/export.md`.
"""

from maas.exporting._export import FORMATS, export

__all__ = ["FORMATS", "export"]
