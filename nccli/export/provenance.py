"""Where exported numbers come from, so that they can be had again: command, version, files."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from nccli import __version__
from nccli.export.parts import Origin
from nccli.text import visible

BLOCK = 1 << 20  # bytes read at once; our own choice
Watch = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file and the SHA-256 of its bytes; None, and the reason, where it cannot be read."""

    path: str
    sha256: str | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What an export says of itself."""

    title: str
    command: str
    created: datetime  # in UTC
    sources: tuple[Source, ...]

    def lines(self) -> list[str]:
        """Return all of it as harmless lines, one a fact, one a file."""
        facts = {
            "title": self.title,
            "command": self.command,
            "nccli": __version__,
            "created": _iso(self.created),
        }
        words = [f"{name}: {fact}" for name, fact in facts.items()]
        words += [f"file: {one.path}, {_checked(one)}" for one in self.sources]
        return [visible(line) for line in words]

    def record(self) -> dict[str, Any]:
        """Return all but the title as JSON values."""
        return {
            "nccli": __version__,
            "created": _iso(self.created),
            "command": self.command,
            "files": [_file_record(one) for one in self.sources],
        }


def gather(title: str, origin: Origin, *, when: datetime, watch: Watch | None) -> Provenance:
    """Hash the files of an origin, each once; `watch` is told how many are done, of how many."""
    paths = list(dict.fromkeys(origin.files))
    sources = []
    for done, path in enumerate(paths, 1):
        sources.append(hashed(path))
        if watch is not None:
            watch(done, len(paths))
    return Provenance(
        title=title,
        command=origin.command,
        created=when.astimezone(UTC),
        sources=tuple(sources),
    )


def hashed(path: Path) -> Source:
    """Return the SHA-256 of a file's bytes, read block by block; a reason where that fails.

    A file that is as it was is not read again: one command may draw it into many figures.
    """
    # bytes that are no UTF-8 would be lone surrogates, which no JSON, PDF or XML reader takes
    name = os.fsencode(path).decode("utf-8", "backslashreplace")
    try:
        seen = path.stat()
        if not stat.S_ISREG(seen.st_mode):  # a pipe would keep us waiting
            return Source(path=name, sha256=None, reason="not a regular file")
        identity = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
        return Source(path=name, sha256=_digest(path, identity))
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = getattr(error, "strerror", None) or str(error)
        return Source(path=name, sha256=None, reason=reason)


@lru_cache(maxsize=10_000)
def _digest(path: Path, identity: tuple[int, ...]) -> str:
    del identity  # part of what is remembered
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _checked(source: Source) -> str:
    if source.sha256 is None:
        return f"not read: {source.reason}"
    return f"sha256 {source.sha256}"


def _file_record(source: Source) -> dict[str, str | None]:
    found: dict[str, str | None] = {"path": source.path, "sha256": source.sha256}
    return found if source.sha256 is not None else found | {"reason": source.reason}


def _iso(when: datetime) -> str:
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")
