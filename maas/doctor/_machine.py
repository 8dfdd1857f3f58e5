"""Checks of the machine: ports, disk, shared memory, open files, what runs already."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from pathlib import Path

from maas.client import LocalServer, folder_of_servers, running_servers
from maas.doctor._finding import Check, Finding, guarded
from maas.errors import ClientError
from maas.serving._ports import free_ports, is_free

PORT = 8080
_STOCK_PORTS = (8081, 8082, 7070, 7071)
_LEAST_DISK, _LITTLE_DISK = 100_000_000, 2_000_000_000
_LEAST_SHARED = 256_000_000
_LEAST_FILES = 1024
_SHARED = Path("/dev/shm")


def examine_machine(store: str | Path = "model_store", port: int = PORT) -> list[Finding]:
    """Look at the machine that models are to be trained and served on.

    Args:
        store: the folder that archives go to.
        port: of inference.
    """
    checks = {
        "ports": lambda: ports(port),
        "temporary folder": temporary,
        "model store": lambda: disk("model store", Path(store)),
        "shared memory": shared_memory,
        "open files": open_files,
        "servers": servers,
    }
    return [finding for subject, check in checks.items() for finding in guarded(subject, check)]


def ports(port: int = PORT) -> Check:
    """The port of inference, loopback itself, and what TorchServe would take without maas."""
    show = f"ss -ltnp 'sport = :{port}'   (shows who has it), or maas serve --port N"
    if is_free(port):
        yield Finding("ok", f"port {port}", "is free, on 127.0.0.1")
    elif mine := [one for one in running_servers() if one.url.endswith(f":{port}")]:
        yield Finding("ok", f"port {port}", f"serves {', '.join(mine[-1].models)}, by maas serve")
    elif port == PORT:
        detail = "is taken by another program; `maas serve` takes a free port instead, and says which"
        yield Finding("warning", f"port {port}", detail, show)
    else:
        yield Finding("error", f"port {port}", f"is taken, and `maas serve --port {port}` refuses it", show)
    free_ports(4)
    yield Finding("ok", "further ports", "four are free on 127.0.0.1, for metrics, gRPC and its management")
    if taken := [str(one) for one in _STOCK_PORTS if not is_free(one)]:
        detail = f"{', '.join(taken)} taken: `maas serve` does not need them, `torchserve --start` by itself does"
        yield Finding("ok", "TorchServe's own ports", detail)


def temporary() -> Check:
    """Where a server keeps its sockets, copies of archives and logs."""
    try:
        folder = folder_of_servers()
    except (ClientError, OSError) as error:
        remedy = "export TMPDIR=/another/short/folder   (that you own)"
        yield Finding("error", "temporary folder", str(error), remedy)
        return
    yield from disk("temporary folder", folder)
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        detail = f"{folder} is mounted noexec: TorchServe's Java loads the library of its sockets from there"
        yield Finding("error", "temporary folder", detail, "export TMPDIR=/a/short/folder   (without noexec)")
    given = Path(tempfile.gettempdir())
    if folder.parent != given:
        detail = f"{folder} is used: {given} is too long for a socket, or has characters that TorchServe cannot bear"
        yield Finding("ok", "temporary folder", detail)


def disk(subject: str, folder: Path, least: int = _LEAST_DISK, little: int = _LITTLE_DISK) -> Check:
    """Whether a folder can be written, or made, and has room.

    Args:
        subject: what the folder is.
        folder: it need not be there yet.
        least: bytes below which it is an error.
        little: bytes below which it is a warning.
    """
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"maas doctor")
    except OSError as error:
        remedy = f"ls -ld {there}; choose another folder, or make this one writable"
        yield Finding("error", subject, f"{folder}: nothing can be written in {there}: {error.strerror}", remedy)
        return
    free = shutil.disk_usage(there).free
    said = f"{folder} can be written, {free / 1e9:,.1f} GB free"
    remedy = f"df -h {there}; remove what is not needed, or choose another disk"
    if free < least:
        yield Finding("error", subject, f"{said}; an archive needs more", remedy)
    elif free < little:
        yield Finding("warning", subject, f"{said}; archives and logs fill that soon", remedy)
    else:
        yield Finding("ok", subject, said)


def shared_memory(folder: Path = _SHARED, least: int = _LEAST_SHARED) -> Check:
    """/dev/shm, through which loading processes hand tensors to training."""
    if not folder.is_dir():
        yield Finding("not checked", "shared memory", f"there is no {folder}")
        return
    size, free = shutil.disk_usage(folder).total, shutil.disk_usage(folder).free
    said = f"{folder} has {size / 1e6:,.0f} MB, {free / 1e6:,.0f} MB free"
    if free < least:
        detail = f"{said}; `maas fit --workers` and torch's data loaders die of 'Bus error' when it is full"
        yield Finding("warning", "shared memory", detail, "docker run --shm-size=1g, or train with --workers 0")
    else:
        yield Finding("ok", "shared memory", said)


def open_files(least: int = _LEAST_FILES) -> Check:
    """How many files and connections a process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    said = f"a process may open {soft:,}" if soft != resource.RLIM_INFINITY else "a process may open any number"
    if 0 <= soft < least:
        detail = f"{said}; each client of a server takes one"
        yield Finding("warning", "open files", detail, f"ulimit -n {65536 if hard < 0 else min(hard, 65536)}")
    else:
        yield Finding("ok", "open files", said)


def servers() -> Check:
    """What `maas serve` runs here already."""
    found: list[LocalServer] = running_servers()
    names = "; ".join(f"{', '.join(one.models)} on {one.url}" for one in found)
    yield Finding("ok", "servers", names or "none of this user runs here")
