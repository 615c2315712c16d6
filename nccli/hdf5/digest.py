"""A checkpoint's content hash: over everything that nccli reads of it, and nothing else.

    sha256 of the JSON text {"attributes": {...}, "data": [[path, dtype, shape, sha256], ...]}
    with sorted keys, no spaces and ASCII escapes; `data` in the order of the paths, each with the
    sha256 of its numbers in C order, lowest byte first

Each array is hashed on its own, so that a writer may do so as it streams them. Where things stand
in the file, and what else may stand there, does not count.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nccli.checkpoint import Metadata
from nccli.reader.format import FORMAT

Entry = tuple[str, str, tuple[int, ...], str]  # path, dtype, shape, sha256 of the numbers

PIECE_BYTES = 2**20


def entry(path: str, dtype: np.dtype[Any], shape: tuple[int, ...], sha256: str) -> Entry:
    """Return what stands for an array in the hash."""
    return path, dtype.newbyteorder("<").str, shape, sha256


def hash_numbers(blocks: Iterable[NDArray[Any]]) -> str:
    """Return the sha256 of an array that comes in blocks of rows."""
    running = hashlib.sha256()
    for block in blocks:
        plain = np.ascontiguousarray(block, block.dtype.newbyteorder("<"))
        running.update(plain.reshape(-1).view(np.uint8).data)
    return running.hexdigest()


def content_hash(metadata: Metadata, minor: int, entries: Iterable[Entry]) -> str:
    """Return the hash of a checkpoint, as 64 hexadecimal digits.

    metadata: as it is read, or as `nccli.hdf5.said.as_written` has it: 0 and 0.0 hash differently.
    """
    said = {
        name: value for name, value in dataclasses.asdict(metadata).items() if value is not None
    }
    content = {
        "attributes": said | {"format": FORMAT, "format_version": 1, "format_minor": minor},
        "data": sorted(entries),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
