"""Caddy before instances that give certain answers."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from maas.client import folder_of_servers
from maas.serving._ports import free_ports
from maas.serving.front import _caddy
from maas.serving.front._config import FrontSettings
from maas.serving.front._slots import Slots, spread

from .upstream import KEY, Answer, Run, Upstream, Write


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Run]:
    """Starts Caddy before instances that give certain answers."""
    ends: list[Callable[[], Any]] = []

    def run(*answers: Answer | Write | None, **more: Any) -> tuple[httpx.Client, Path, list[Upstream]]:
        upstreams = [Upstream(answer) for answer in answers]
        ends.extend(one.close for one in upstreams)
        port, *dead = free_ports(2)
        ports = [one.port for one in upstreams] or dead
        folder = folder_of_servers() / f"front-{os.getpid()}-test"
        folder.mkdir(mode=0o700)
        ends.append(lambda: subprocess.run(["rm", "-r", str(folder)], check=True))
        slots = Slots(folder)
        slots.make()
        slots.point(spread(ports, {}))
        for number, one in enumerate(ports):
            slots.put_token(one, f"token-{number}")
        settings = FrontSettings(folder, tmp_path, "127.0.0.1", port, ports, 5, **more)
        (folder / _caddy.CONFIG).write_text(settings.to_json([KEY, "other" * 5]))
        process = _caddy.start_caddy(_caddy.find_caddy(), folder, tmp_path)
        ends.append(lambda: (process.terminate(), process.wait()))
        verify = ssl.create_default_context(cafile=settings.certificate)
        headers = {"Authorization": f"Bearer {KEY}"}
        http = httpx.Client(base_url=settings.url, headers=headers, trust_env=False, timeout=20, verify=verify)
        ends.append(http.close)
        return http, folder, upstreams

    yield run
    for end in reversed(ends):
        end()
