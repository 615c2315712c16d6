"""Data sets of any HDF5 file, through the process that opens files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nccli.hdf5 import array_at, list_file
from nccli.importing.entry import Entry


def read_hdf5(path: Path) -> dict[str, Entry]:
    """Return the data sets by their paths without the first slash."""
    return {
        found.path.strip("/"): Entry(
            shape=found.shape, dtype=found.dtype or "", load=partial(_load, path, found.path)
        )
        for found in list_file(path).found
        if found.kind == "data set" and found.shape is not None
    }


def _load(path: Path, name: str) -> NDArray[Any]:
    stored = array_at(path, name)
    if stored.offset is not None and 0 not in stored.shape:
        return np.memmap(path, stored.dtype, "r", stored.offset, stored.shape)
    blocks = list(stored.unchecked(0, stored.shape[0], max(stored.shape[0], 1)))
    return blocks[0][1] if blocks else np.empty(stored.shape, stored.dtype)
