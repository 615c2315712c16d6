"""Which bytes a reader has seen of a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which bytes a reader has seen: a published file never changes, so neither may this."""

    device: int
    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, place: Path | int) -> Identity:
        """Return the identity of the file at a path, or of an open file descriptor."""
        status = os.stat(place)  # noqa: PTH116 - a path or a descriptor
        return cls(
            device=status.st_dev,
            inode=status.st_ino,
            size=status.st_size,
            modified_ns=status.st_mtime_ns,
        )
