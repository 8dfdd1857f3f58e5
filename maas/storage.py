"""Files that are either whole or not there: SHA-256, atomic folders and files, locks."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import glob
import hashlib
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_CHUNK_BYTES = 1 << 20


Digest = hashlib.sha256
"""A SHA-256 that is fed piece by piece."""


def sha256(source: bytes | bytearray | BinaryIO) -> str:
    """The SHA-256 of bytes, or of what is left to read in an open binary file, in lower-case hex."""
    digest = Digest()
    if isinstance(source, (bytes, bytearray)):
        digest.update(source)
    else:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; when the block ends well, it becomes `path` in one step.

    A reader of `path` sees the old folder or the new one, whole. A block that raises leaves `path` as it was
    and no orphan behind. What a killed process left behind is removed by the next call for the same `path`.

    Args:
        path: the folder to create or to replace.

    Raises:
        OSError: the disk is full, or the parent cannot be written; `path` is as it was.
    """
    path = Path(os.path.abspath(path))
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise FileExistsError(errno.EEXIST, "is not a folder and will not be replaced", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.parent / f".{path.name}.lock"):
        for orphan in path.parent.glob(f".{glob.escape(path.name)}.tmp-*"):
            shutil.rmtree(orphan, ignore_errors=True)
        fresh = path.parent / f".{path.name}.tmp-{secrets.token_hex(6)}"
        fresh.mkdir()
        try:
            yield fresh
            for file in fresh.iterdir():
                sync(file)
            sync(fresh)
            if path.exists():
                _exchange(fresh, path)  # now `fresh` is the name of the old folder
            else:
                fresh.rename(path)
            sync(path.parent)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old bytes or the new ones, never a part.

    Raises:
        OSError: the disk is full, or the folder cannot be written; `path` is as it was.
    """
    with atomic_file(path) as file:
        file.write(data)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write; when the block ends well, a reader sees it whole as `path`, and until then the old one.

    Raises:
        OSError: the disk is full, or the folder cannot be written; `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.tmp-{secrets.token_hex(6)}")
    try:
        with open(fresh, "wb") as file:
            yield file
        sync(fresh)
        fresh.replace(path)
        sync(path.parent)
    finally:
        fresh.unlink(missing_ok=True)


def create_whole(path: Path, data: bytes) -> bool:
    """Create a file with all of its content, unless there is one; needs no lock, so that many machines may try.

    It is written under another name and linked to its own. A file system without links, as most object stores'
    mounts, creates it exclusively and writes it at once: a writer that dies between the two leaves it empty.

    Returns:
        Whether it was created here; False where there was one.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.tmp-{secrets.token_hex(6)}")
    try:
        fresh.write_bytes(data)
        sync(fresh)
        try:
            os.link(fresh, path)
        except FileExistsError:
            return os.path.samefile(fresh, path)  # NFS may have linked it, and say so of a second try
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL):
                raise
            return _create(path, data)
        sync(path.parent)
        return True
    finally:
        fresh.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file for the length of the block; waits for other processes."""
    import fcntl

    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # The one who held it before us removes it: a lock on a removed file guards nothing.
            with contextlib.suppress(FileNotFoundError):
                if os.fstat(descriptor).st_ino == os.stat(path).st_ino:
                    break
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.close(descriptor)


def _create(path: Path, data: bytes) -> bool:
    try:
        with open(path, "xb", buffering=0) as file:
            file.write(data)
            os.fsync(file.fileno())
    except FileExistsError:
        return False
    return True


def sync(path: Path) -> None:
    """Let a file's bytes, or a folder's names, reach the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(one: Path, other: Path) -> None:
    """Swap two folders in one step where the system can (Linux, macOS); else in two quick ones."""
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        failed = libc.renamex_np(os.fsencode(one), os.fsencode(other), 2)  # RENAME_SWAP
    elif hasattr(libc, "renameat2"):
        failed = libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2)  # AT_FDCWD, RENAME_EXCHANGE
    else:
        failed, _ = -1, ctypes.set_errno(errno.ENOSYS)
    if not failed:
        return
    code = ctypes.get_errno()
    if code not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        raise OSError(code, os.strerror(code), str(other))
    aside = one.with_name(f"{one.name}-old")  # a file system without the exchange: a reader may miss for a moment
    other.rename(aside)
    one.rename(other)
    aside.rename(one)
