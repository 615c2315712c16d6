"""One data set of a checkpoint file: its rows, fetched when asked for, and checked.

Contiguous little-endian data are read straight from the file at the offset that HDF5 names, into
one buffer that fits a core's cache: as fast as a memory map to within a few percent of an
analysis, and a file cut short while it is being read is an error, where a map kills the process
(SIGBUS). It needs no address space of the file's size either. Chunked or compressed data are
fetched by the process that opens files, whole rows of chunks at a time, so that no chunk is
unpacked twice.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nccli.checkpoint import LazyArray
from nccli.errors import ContentError, FormatError, locate_errors
from nccli.identity import Identity
from nccli.reader.asking import ask
from nccli.text import plural

LARGEST_VALUE = 1e140  # sums of squares of anything larger overflow a double
SLAB_BYTES = 32 * 2**20  # at most this much of a chunked data set is unpacked at once


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArray:
    """Where an array stands, as the process that opens files tells it."""

    path: Path
    name: str  # "train/features"
    identity: Identity
    shape: tuple[int, ...]
    dtype: np.dtype[Any]  # in the machine's byte order
    offset: int | None  # where the numbers begin in the file; None where HDF5 must fetch them
    chunk_rows: int | None  # None: not chunked

    @classmethod
    def of(cls, told: Mapping[str, Any], path: Path, identity: Identity) -> StoredArray:
        """Return what is told of an array. Raises FormatError where the file is too short."""
        stored = cls(
            path=path,
            name=told["name"],
            identity=identity,
            shape=tuple(told["shape"]),
            dtype=np.dtype(told["dtype"]),
            offset=told["offset"],
            chunk_rows=told["chunk_rows"],
        )
        end = None if stored.offset is None else stored.offset + stored.row_bytes * stored.shape[0]
        if end is not None and end > identity.size:
            raise FormatError(
                f"{stored.name} ends at byte {end:,} of {identity.size:,}",
                remedy="the file was cut short: copy it again, or delete it",
            )
        return stored

    def lazy(self) -> LazyArray:
        """Return its rows as a LazyArray that opens the file anew for each reading."""
        return LazyArray(
            shape=self.shape,
            dtype=self.dtype,
            reader=self.rows,
            streamer=self.stream,
            chunk_rows=self.slab_rows(1) if self.chunk_rows is not None else 1,
        )

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.dtype.itemsize * math.prod(self.shape[1:])

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows start..stop-1, checked."""
        stop = max(start, min(stop, self.shape[0]))
        whole = np.empty((stop - start, *self.shape[1:]), self.dtype)
        step = max(1, SLAB_BYTES // max(self.row_bytes, 1))
        for first, values in self.stream(start, stop, step):
            whole[first - start : first - start + len(values)] = values
        return whole

    def stream(self, start: int, stop: int, step: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (first row, at most `step` rows), checked; a block is valid until the next one."""
        for first, values in self.unchecked(start, stop, step):
            with locate_errors(self.path):
                check_finite(values, self.name, first)
            yield first, values

    def unchecked(self, start: int, stop: int, step: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield blocks as they stand in the file, be they finite or not."""
        blocks = self._unpacked if self.offset is None else self._straight
        with locate_errors(self.path):
            yield from blocks(start, stop, step)

    def _straight(self, start: int, stop: int, step: int) -> Iterator[tuple[int, NDArray[Any]]]:
        buffer = np.empty((min(step, stop - start), *self.shape[1:]), self.dtype)
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise FormatError(f"vanished while it was being read ({error.strerror})") from None
        try:
            self._check_identity(descriptor)
            for first in range(start, stop, step):
                values = buffer[: min(step, stop - first)]
                assert self.offset is not None
                _read_fully(descriptor, values, self.offset + first * self.row_bytes)
                yield first, values
            self._check_identity(descriptor)
        finally:
            os.close(descriptor)

    def _unpacked(self, start: int, stop: int, step: int) -> Iterator[tuple[int, NDArray[Any]]]:
        slabs = self._slabs(start, stop, self.slab_rows(step))
        slab = next(slabs, None)
        for first in range(start, stop, step):
            assert slab is not None
            missing = min(step, stop - first)
            pieces = [slab[:missing]]
            slab = slab[missing:]
            while (missing := missing - len(pieces[-1])) > 0:
                slab = next(slabs)
                pieces.append(slab[:missing])
                slab = slab[missing:]
            yield first, pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _slabs(self, start: int, stop: int, height: int) -> Iterator[NDArray[Any]]:
        while start < stop:
            last = min((start // height + 1) * height, stop)  # slabs end where chunks end
            yield self._slab(start, last)
            start = last

    def _slab(self, start: int, stop: int) -> NDArray[Any]:
        values = np.empty((stop - start, *self.shape[1:]), self.dtype)
        ask(
            "rows",
            self.path,
            into=values.reshape(-1).view(np.uint8).data,
            name=self.name,
            start=start,
            stop=stop,
            identity=asdict(self.identity),
            size=values.nbytes,
        )
        return values

    def slab_rows(self, step: int) -> int:
        """How many rows to unpack at once: whole chunks, as far as memory allows."""
        height = self.chunk_rows or 1
        limit = max(1, SLAB_BYTES // max(self.row_bytes, 1))
        if height > limit:
            return limit  # chunks as tall as this are unpacked more than once
        return max(height, min(step, limit) // height * height)

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
