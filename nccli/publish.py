"""Publishing a file: it appears under its name whole, or not at all.

Temporary name in the same directory, fsync, os.replace, fsync of the directory. A reader never
sees half a file, and a kill at any moment leaves what was published before as it was.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nccli.errors import NotFoundError

TEMPORARY_PREFIX = ".nccli-tmp-"

_ASKING = threading.Lock()


def publish_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write `content` to `path` atomically and durably; an OSError leaves no trace."""
    publish(path, lambda file: write_fully(file, content, 0), size=len(content))


def publish(path: Path, write: Callable[[int], None], *, size: int) -> None:
    """Have `write` fill a new file of `size` bytes, given its descriptor, and publish it.

    The room on the disk is taken first, where the system can do so: none is written in vain.
    """
    handle, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    try:
        try:
            _allocate(handle, size)
            write(handle)
            os.fsync(handle)
        finally:
            os.close(handle)
        # mkstemp makes files private; a run on a shared cluster is meant to be read by the group.
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    _sync_directory(path.parent)


def write_fully(descriptor: int, content: bytes | memoryview, offset: int) -> None:
    """Write all of `content` at an offset; raises OSError."""
    view = memoryview(content)
    while view:
        count = os.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count


def _allocate(descriptor: int, size: int) -> None:
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)


def publish_json(path: Path, value: Any) -> None:
    """Write a JSON document atomically, readable by people."""
    publish_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def sweep_temporaries(directory: Path) -> None:
    """Remove what a killed writer left behind under temporary names."""
    for stale in directory.glob(f"{TEMPORARY_PREFIX}*"):
        with contextlib.suppress(OSError):
            stale.unlink()


def _umask() -> int:
    with _ASKING:  # it can only be read by setting it: two threads would leave it at 0
        current = os.umask(0)
        os.umask(current)
    return current


def _sync_directory(directory: Path) -> None:
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except PermissionError:  # it may be written to and not be read: then the file is there
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_folder(folder: Path, *, remedy: str = "choose another") -> None:
    """Raise NotFoundError where no file can be made in a folder; remedy: what to do about it."""
    if not folder.is_dir():
        raise NotFoundError("no such folder", source=folder, remedy="make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NotFoundError("no permission to write there", source=folder, remedy=remedy)
