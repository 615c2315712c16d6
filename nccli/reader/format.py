"""The checkpoint format's name and version, and what older versions become in memory.

A file of another major version cannot be read as this one is. A minor version only adds: an older
nccli reads what it knows of it, a newer nccli finds the additions absent.

    1.0   arrays and root attributes as in `nccli.hdf5`
    1.1   root attributes `format_minor` and `content_sha256`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

FORMAT = "nccli-checkpoint"
FORMAT_MAJOR = 1
FORMAT_MINOR = 1

Described = dict[str, Any]
Migration = Callable[[Described], Described]

# From a major version to the next, of what the reader says of a file. There has been only one.
MIGRATIONS: Mapping[int, Migration] = {}


def migrated(described: Described) -> Described:
    """Return what a file of any version that is read describes, as the newest would have it."""
    for major in range(described["format_version"], FORMAT_MAJOR):
        described = MIGRATIONS[major](described)
    return described
