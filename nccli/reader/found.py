"""One name of an HDF5 file, as the process that opens files tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "group", "data set", "soft link", "external link", "virtual data set", "external storage",
    "other",
]  # fmt: skip
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One name in a file and what it stands for."""

    path: str  # "/train/features"
    name: str  # its last component
    kind: Kind
    depth: int  # 0 is what stands in the root
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    layout: str | None = None  # "contiguous", "chunked 512x64, gzip", "compact", "never written"
    size: int | None = None  # bytes stored
    note: str | None = None
    same_as: str | None = None  # the path of the same object, listed before
    attributes: Pairs = ()
    present: tuple[str, ...] = ()  # of a group: the names of the format that stand in it
