"""Results kept beside the run, so that a second call need not read the checkpoints again.

    RUN/.nccli-cache/NAME-ANALYSIS-DIGEST.json    for RUN/checkpoints/NAME.h5
    DIR/.nccli-cache/NAME-ANALYSIS-DIGEST.json    for any other DIR/NAME.h5

A cache may be lost, never wrong. An entry counts only if it says exactly what is asked for: the
file's identity, the analysis, split and options, the versions, and a checksum of its results.
Anything else (torn, edited, foreign, older) is passed over and written anew; a folder that cannot
be read or written means no cache, not an error. The folders may be deleted at any time. Nothing
is unpickled.

A file is known by name, size, inode, and the times of its last change: the modification time,
which a copy may set back, and the status change time, which nothing can. Not by device, whose
number differs between the nodes of a cluster.

The racy file: one that is changed in the very tick of the clock in which it was read keeps its
times, and the entry would be wrong for ever. So a file that was modified less than two seconds
before it was looked at is not kept. The clock is that of the file system, taken from the entry as
it is written: the clock of a file server need not be ours. Two seconds are the coarsest stamp in
use (FAT); ext4 and NFS have milliseconds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import stat
import time
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nccli import __version__
from nccli.publish import TEMPORARY_PREFIX
from nccli.result import columns
from nccli.runs import CHECKPOINT_FOLDER
from nccli.work import ANALYSES, Work

FOLDER = ".nccli-cache"
FORMAT_VERSION = 1
# Raise the number of an analysis with EVERY change of a number that it gives, of the meaning of
# an option, or of its notes: what is in people's caches then no longer counts. A new field needs
# no such care: the fields are part of the key.
METRIC_VERSIONS = {
    "collapse": 1, "sampled": 1, "classes": 1, "gram": 1, "calibration": 2, "class_calibration": 1,
    "paired_calibration": 1, "relations": 1, "hessian": 7,
    "observation": 2,
}  # fmt: skip
PARTS = {"observation": ("collapse", "calibration", "hessian")}  # whose numbers are within it

RACY_NS = 2 * 10**9
MAX_ENTRY_BYTES = 16 * 2**20  # our own limit: a larger file here is not one of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of a file before it was read."""

    identity: dict[str, Any]
    modified_ns: int
    moment_ns: int  # of a clock that only tells how long ago


def look(path: Path) -> Seen | None:
    """Return what a file looks like now, to be handed to `store` after reading it."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    identity = {
        "name": path.name,
        "size": status.st_size,
        "inode": status.st_ino,
        "modified_ns": status.st_mtime_ns,
        "changed_ns": status.st_ctime_ns,
    }
    return Seen(identity=identity, modified_ns=status.st_mtime_ns, moment_ns=time.monotonic_ns())


def recall(path: Path, work: Work) -> list[Any] | None:
    """Return the results of `work` on the file as it is now, or None where they are not kept."""
    seen = look(path)
    if seen is None:
        return None
    try:
        entry = json.loads(_read(_place(path, work)))
        if entry["key"] != _key(seen, work) or entry["checksum"] != _checksum(entry["results"]):
            return None
        kind = work.description.result_type()
        build = _builder(kind)
        return [build(values | {"path": str(path)}) for values in entry["results"]]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None  # not an entry of ours, or of another version: it will be written anew


def store(path: Path, work: Work, results: Sequence[Any], *, seen: Seen) -> None:
    """Keep results that were computed after `seen`, unless the file has changed since, or may have.

    Never raises because of the disk: where nothing can be written, nothing is kept.
    """
    now = look(path)
    if now is None or now.identity != seen.identity:
        return
    values = [_plain(result) | {"path": None} for result in results]
    entry = {"key": _key(seen, work), "checksum": _checksum(values), "results": values}
    text = json.dumps(entry)
    if len(text) > MAX_ENTRY_BYTES:
        return
    with contextlib.suppress(OSError):
        _publish(_place(path, work), text, lambda status: _is_racy(seen, status))


def _is_racy(seen: Seen, entry: os.stat_result) -> bool:
    """Whether a file was modified so late before it was seen that a change might not show."""
    seen_ns = entry.st_mtime_ns - (time.monotonic_ns() - seen.moment_ns)
    return seen.modified_ns > seen_ns - RACY_NS


def _key(seen: Seen, work: Work) -> dict[str, Any]:
    key = {
        "format_version": FORMAT_VERSION,
        "nccli": __version__,
        "metrics": [
            METRIC_VERSIONS[name] for name in (work.analysis, *PARTS.get(work.analysis, ()))
        ],
        "fields": _fields(work.analysis),
        "file": seen.identity,
        "analysis": work.analysis,
        "split": work.split,
        "options": dict(work.options),
    }
    read_back: dict[str, Any] = json.loads(json.dumps(key))  # a tuple comes back as a list
    return read_back


@functools.lru_cache
def _fields(analysis: str) -> str:
    """A checksum of the fields that the results have: one that is new was not measured before."""
    names = (analysis, *PARTS.get(analysis, ()))
    return _checksum([columns(ANALYSES[name].result_type()) for name in names])


def _place(path: Path, work: Work) -> Path:
    folder = path.absolute().parent
    in_run = folder.name == CHECKPOINT_FOLDER
    asked = [in_run, path.name, work.analysis, work.split, dict(work.options)]
    digest = _checksum(asked)[:16]
    # the name is for people, and short: a file name has 255 bytes at most
    name = f"{path.stem[:40]}-{work.analysis}-{digest}.json"
    return (folder.parent if in_run else folder) / FOLDER / name


def _checksum(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()


# --- the disk -----------------------------------------------------------------------------------


def _read(place: Path) -> bytes:
    # Not blocking: a name that leads to a pipe must not make a batch wait for ever.
    descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_ENTRY_BYTES:
            raise OSError("not a cache entry")
        return file.read(MAX_ENTRY_BYTES)


def _publish(place: Path, text: str, refused: Callable[[os.stat_result], bool]) -> None:
    """Write an entry whole or not at all, but without fsync: the checksum tells a torn one."""
    temporary = place.parent / f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}"
    try:
        place.parent.mkdir(exist_ok=True)
        with temporary.open("x", encoding="ascii") as file:
            file.write(text)
            file.flush()
            status = os.fstat(file.fileno())
        if not refused(status):
            temporary.replace(place)
            return
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    temporary.unlink()


# --- results as JSON, and back ------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Return a result as JSON can hold it; unlike a rendered one, it comes back as it was."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: _plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.item() if hasattr(value, "item") else value  # a numpy scalar


Build = Callable[[Any], Any]  # the value of a type from JSON; ValueError where it cannot be one


@functools.cache
def _builder(kind: Any) -> Build:
    """Return what makes a value of a type from what `_plain` gave; made once for each type."""
    if dataclasses.is_dataclass(kind):
        return _dataclass_builder(typing.cast(type, kind))
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        (choice,) = (one for one in arguments if one is not types.NoneType)
        some = _builder(choice)
        return lambda value: None if value is None else some(value)
    if origin in (tuple, list):
        return _sequence_builder(origin, arguments)
    if origin is dict:
        item = _builder(arguments[1])
        checked = _checked(dict)
        return lambda value: {str(key): item(one) for key, one in checked(value).items()}
    return _checked((int, float) if kind is float else object if kind is Any else kind)


def _checked(kind: Any) -> Build:
    def check(value: Any) -> Any:
        if not isinstance(value, kind):
            raise ValueError(f"{value!r} is no {kind}")
        return value

    return check


def _dataclass_builder(kind: type) -> Build:
    parts = [(name, _builder(hint)) for name, hint in typing.get_type_hints(kind).items()]
    names = {name for name, _ in parts}

    def build(value: Any) -> Any:
        if not isinstance(value, dict) or value.keys() != names:
            raise ValueError(f"not the fields of {kind}")
        return kind(**{name: make(value[name]) for name, make in parts})

    return build


def _sequence_builder(origin: Any, arguments: tuple[Any, ...]) -> Build:
    if origin is tuple and arguments[-1] is not Ellipsis:
        items = [_builder(argument) for argument in arguments]
        return lambda value: tuple(
            make(one) for make, one in zip(items, _checked(list)(value), strict=True)
        )
    item = _builder(arguments[0])
    return lambda value: origin(map(item, _checked(list)(value)))
