"""Looks for what keeps models from being trained and served here: in the machine, and in one archive or artifact.

Nothing in this room imports torch or TorchServe at the top: it must be able to say that they are broken.
"""

from maas.doctor._archive import examine_model
from maas.doctor._finding import Finding
from maas.doctor._machine import examine_machine
from maas.doctor._software import examine_software

__all__ = ["Finding", "examine_machine", "examine_model", "examine_software"]
