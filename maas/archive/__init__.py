"""An artifact as a TorchServe archive (`.mar`) and back, with nothing trusted on the way.

The archive is what `torch-model-archiver` makes of the same files, but deterministic: same artifact, same bytes.
"""

from maas.archive._archive import copy_archive, package, read_archive, read_archived, verify
from maas.archive._deployment import CONFIG, Deployment, deployment_keys, read_deployment
from maas.archive._layout import ARCHIVER_VERSION, GENERATE, HANDLER, MANIFEST, Archive, handler_path
from maas.archive._names import check_name, check_version

__all__ = [
    "ARCHIVER_VERSION",
    "CONFIG",
    "GENERATE",
    "HANDLER",
    "MANIFEST",
    "Archive",
    "Deployment",
    "check_name",
    "check_version",
    "copy_archive",
    "deployment_keys",
    "handler_path",
    "package",
    "read_archive",
    "read_archived",
    "read_deployment",
    "verify",
]
