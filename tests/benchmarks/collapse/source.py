"""A checkpoint file as the yardsticks read it: plain h5py and plain file reads, nothing of nccli.

N samples, K classes, D features, B rows of a block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The train split of an open file; its features are fetched when asked for."""

    path: Path
    features: h5py.Dataset  # (N, D) float32
    labels_N: NDArray[np.int64]
    weight_KD: NDArray[np.float32]
    bias_K: NDArray[np.float32]

    @property
    def block_rows(self) -> int:
        """Rows of 1 MiB of features."""
        return max(1, MEBIBYTE // (4 * int(self.features.shape[1])))

    def copied_blocks(self, rows: int) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield (row slice, block) through h5py into one reused buffer."""
        count, dim = self.features.shape
        buffer_BD = np.empty((rows, dim), np.float32)
        for start in range(0, count, rows):
            block_BD = buffer_BD[: min(rows, count - start)]
            where = slice(start, start + len(block_BD))
            self.features.read_direct(block_BD, source_sel=np.s_[where])
            yield where, block_BD

    def raw_blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield 1 MiB blocks by read(2) into one reused buffer: the least that copying costs."""
        count, dim = self.features.shape
        buffer_BD = np.empty((self.block_rows, dim), np.float32)
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.features.id.get_offset())
            for start in range(0, count, len(buffer_BD)):
                block_BD = buffer_BD[: min(len(buffer_BD), count - start)]
                file.readinto(block_BD.data)
                yield block_BD

    def mapped(self) -> NDArray[np.float32]:
        """The features (N, D) as a fresh memory map."""
        offset = self.features.id.get_offset()
        return np.memmap(self.path, np.float32, "r", offset, self.features.shape)


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Open a checkpoint for the yardsticks."""
    with h5py.File(path, "r", locking=False) as file:
        yield Source(
            path=path,
            features=file["train/features"],
            labels_N=file["train/labels"][:].astype(np.int64),
            weight_KD=file["classifier/weight"][:],
            bias_K=file["classifier/bias"][:],
        )
