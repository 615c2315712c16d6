"""A checkpoint file without its numbers: everything the HDF5 library writes, and where they go.

The library is given a file in memory that keeps only what is written to it. The numbers are left
out, and written by `nccli.hdf5.writing` with plain system calls: a disk that fills up is then an
OSError, where the library's own writing ends in a crash, and no array is ever copied.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

PAGE = 4096

Layout = Mapping[str, tuple[tuple[int, ...], "np.dtype[Any]"]]  # path: shape and dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class Skeleton:
    """What stands in the file beside the numbers."""

    size: int  # bytes of the whole file
    offsets: Mapping[str, int]  # where the numbers of each path begin
    pieces: tuple[tuple[int, bytes], ...]  # offset and content of all else


def make_skeleton(layout: Layout, attributes: Mapping[str, Any]) -> Skeleton:
    """Have the HDF5 library lay out a file: contiguous, unfiltered, hard links, no variable length.

    ("v108", "v110") keeps it readable by HDF5 1.8 to 1.14, has a checksum in every header, and
    takes attributes above 64 kB: the names of a thousand classes.
    """
    memory = _Memory()
    with h5py.File(memory, "w", libver=("v108", "v110")) as file:
        for name, value in attributes.items():
            file.attrs.create(name, value)
        made = {path: _laid_out(file, path, *what) for path, what in layout.items()}
        offsets = {path: dataset.id.get_offset() for path, dataset in made.items()}
    taken = [(offset, offset + _bytes(*layout[path])) for path, offset in offsets.items() if offset]
    return Skeleton(
        size=memory.size,
        offsets=offsets,
        pieces=tuple(memory.pieces(sorted(taken))),
    )


def _laid_out(
    file: h5py.File, path: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> h5py.Dataset:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.CONTIGUOUS)
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)  # the offsets are wanted now
    plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    plist.set_obj_track_times(False)
    group, name = path.split("/")
    parent = file.require_group(group)
    space = h5py.h5s.create_simple(shape)
    kind = h5py.h5t.py_create(dtype.newbyteorder("<"))
    return h5py.Dataset(h5py.h5d.create(parent.id, name.encode(), kind, space, dcpl=plist))


def _bytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


class _Memory(io.RawIOBase):
    """A file for h5py that holds only the pages that were written."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self._place = 0
        self._pages: dict[int, bytearray] = {}

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = offset + (0, self._place, self.size)[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def truncate(self, size: int | None = None) -> int:
        self.size = self._place if size is None else size
        return self.size

    def write(self, content: ReadableBuffer, /) -> int:
        view = memoryview(content).cast("B")
        for page, start, part in self._parts(len(view)):
            held = self._pages.setdefault(page, bytearray(PAGE))
            held[start : start + len(part)] = view[part.start : part.stop]
        self._place += len(view)
        self.size = max(self.size, self._place)
        return len(view)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        for page, start, part in self._parts(len(view)):
            held = self._pages.get(page, bytes(PAGE))
            view[part.start : part.stop] = held[start : start + len(part)]
        self._place += len(view)
        return len(view)

    def _parts(self, length: int) -> Iterator[tuple[int, int, range]]:
        """Cut `length` bytes from here on where pages end."""
        done = 0
        while done < length:
            page, start = divmod(self._place + done, PAGE)
            count = min(PAGE - start, length - done)
            yield page, start, range(done, done + count)
            done += count

    def pieces(self, taken: list[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
        """What was written, outside the stretches that are taken by numbers."""
        edges = [(0, 0), *taken, (self.size, self.size)]
        for (_, begin), (end, _) in pairwise(edges):
            for page in sorted(self._pages):
                first, last = max(begin, page * PAGE), min(end, (page + 1) * PAGE)
                if first < last:
                    held = self._pages[page]
                    yield first, bytes(held[first - page * PAGE : last - page * PAGE])
