"""One data set of a checkpoint file: its rows, fetched when asked for, and checked.

Contiguous little-endian data are read straight from the file at the offset that HDF5 names, into
one buffer that fits a core's cache: as fast as a memory map to within a few percent of an
analysis, and a file cut short while it is being read is an error, where a map kills the process
(SIGBUS). It needs no address space of the file's size either. Chunked or compressed data go
through HDF5, whole rows of chunks at a time, so that no chunk is unpacked twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nccli.checkpoint import LazyArray
from nccli.errors import ContentError, FormatError, locate_errors
from nccli.identity import Identity
from nccli.text import plural

LARGEST_VALUE = 1e140  # sums of squares of anything larger overflow a double
SLAB_BYTES = 32 * 2**20  # at most this much of a chunked data set is unpacked at once

Opener = Callable[[Path], AbstractContextManager[h5py.File]]

_STRAIGHT = (h5py.h5t.IEEE_F16LE, h5py.h5t.IEEE_F32LE, h5py.h5t.IEEE_F64LE)


def lazy_array(dataset: h5py.Dataset, path: Path, identity: Identity, opener: Opener) -> LazyArray:
    """Return a data set's rows as a LazyArray that opens the file anew for each reading."""
    stored = _Stored(
        path=path,
        name=dataset.name.strip("/"),
        identity=identity,
        shape=dataset.shape,
        dtype=dataset.dtype,
        offset=_straight_offset(dataset, identity),
        chunk_rows=dataset.chunks[0] if dataset.chunks else 1,
        opener=opener,
    )
    return LazyArray(
        shape=stored.shape,
        dtype=stored.dtype,
        reader=stored.rows,
        streamer=stored.stream,
        chunk_rows=stored.slab_rows(1) if dataset.chunks else 1,
    )


def _straight_offset(dataset: h5py.Dataset, identity: Identity) -> int | None:
    """Where the numbers of a contiguous data set begin in the file; None where HDF5 must read."""
    kind = dataset.id.get_type()
    if dataset.chunks is not None or not any(kind.equal(one) for one in _STRAIGHT):
        return None
    offset: int | None = dataset.id.get_offset()
    if offset is None or offset + dataset.nbytes > identity.size:
        return None
    return offset


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    path: Path
    name: str
    identity: Identity
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int | None
    chunk_rows: int
    opener: Opener

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        with locate_errors(self.path):
            with self.opener(self.path) as file:
                self._check_identity(self.path)
                values: NDArray[Any] = file[self.name][start:stop]
            check_finite(values, self.name, start)
        return values

    def stream(self, start: int, stop: int, step: int) -> Iterator[tuple[int, NDArray[Any]]]:
        blocks = self._unpacked if self.offset is None else self._straight
        with locate_errors(self.path):
            for first, values in blocks(start, stop, step):
                check_finite(values, self.name, first)
                yield first, values

    def _straight(self, start: int, stop: int, step: int) -> Iterator[tuple[int, NDArray[Any]]]:
        buffer = np.empty((min(step, stop - start), *self.shape[1:]), self.dtype)
        row_bytes = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise FormatError(f"vanished while it was being read ({error.strerror})") from None
        try:
            self._check_identity(descriptor)
            for first in range(start, stop, step):
                values = buffer[: min(step, stop - first)]
                assert self.offset is not None
                _read_fully(descriptor, values, self.offset + first * row_bytes)
                yield first, values
            self._check_identity(descriptor)
        finally:
            os.close(descriptor)

    def _unpacked(self, start: int, stop: int, step: int) -> Iterator[tuple[int, NDArray[Any]]]:
        with self.opener(self.path) as file:
            self._check_identity(self.path)
            slabs = self._slabs(file[self.name], start, stop, self.slab_rows(step))
            slab = next(slabs)
            for first in range(start, stop, step):
                missing = min(step, stop - first)
                pieces = [slab[:missing]]
                slab = slab[missing:]
                while (missing := missing - len(pieces[-1])) > 0:
                    slab = next(slabs)
                    pieces.append(slab[:missing])
                    slab = slab[missing:]
                yield first, pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
            self._check_identity(self.path)

    @staticmethod
    def _slabs(dataset: h5py.Dataset, start: int, stop: int, height: int) -> Iterator[NDArray[Any]]:
        while start < stop:
            last = min((start // height + 1) * height, stop)  # slabs end where chunks end
            yield dataset[start:last]
            start = last

    def slab_rows(self, step: int) -> int:
        """How many rows to unpack at once: whole chunks, as far as memory allows."""
        row_bytes = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
        limit = max(1, SLAB_BYTES // max(row_bytes, 1))
        if self.chunk_rows > limit:
            return limit  # chunks as tall as this are unpacked more than once
        return max(self.chunk_rows, min(step, limit) // self.chunk_rows * self.chunk_rows)

    def _check_identity(self, place: Path | int) -> None:
        if Identity.of(place) != self.identity:
            raise FormatError("changed while it was being read", remedy="run it again")


def _read_fully(descriptor: int, values: NDArray[Any], offset: int) -> None:
    view = values.reshape(-1).view(np.uint8).data
    done = 0
    while done < len(view):
        count = os.preadv(descriptor, [view[done:]], offset + done)
        if count == 0:
            raise FormatError("was cut short while it was being read", remedy="run it again")
        done += count


def check_finite(values: NDArray[Any], name: str, first_row: int) -> None:
    """Raise ContentError where floats are NaN or infinite, or too large to be squared."""
    if values.dtype.kind != "f" or _surely_finite(values):
        return
    if np.isfinite(values).all():
        if values.dtype.itemsize == 8 and np.abs(values).max(initial=0.0) > LARGEST_VALUE:
            raise ContentError(
                f"{name} holds values above {LARGEST_VALUE:.0e}, whose squares overflow",
                remedy="the network diverged: look at an earlier epoch",
            )
        return
    wrong = ~np.isfinite(values)
    row = first_row + int(np.argwhere(wrong)[0][0])
    what = "NaN" if np.isnan(values[wrong]).all() else "NaN or Inf"
    raise ContentError(
        f"{name} holds {what} ({plural(int(wrong.sum()), 'value')}, first in row {row})",
        remedy="the network diverged or its features overflowed: look at an earlier epoch",
    )


def _surely_finite(values: NDArray[Any]) -> bool:
    # One dot product reads each number once and keeps nothing; NaN and Inf survive in it.
    if values.dtype.itemsize < 4 or not values.flags.c_contiguous:
        return False
    flat = values.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(np.dot(flat, flat))
    return bool(total < LARGEST_VALUE**2) if values.dtype.itemsize == 8 else bool(total < np.inf)
