"""A matrix of cosines cut down to what fits, and the pair of classes that stands out in it.

K classes, B blocks of classes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def as_cosines(matrix: Any) -> Floats:
    """A square (K, K) matrix as floats in [-1, 1]; None and what is not finite become NaN."""
    cosines_KK: Floats = np.array(matrix, dtype=np.float64)
    if cosines_KK.size == 0:
        return np.zeros((0, 0))
    if cosines_KK.ndim != 2 or cosines_KK.shape[0] != cosines_KK.shape[1]:
        raise ValueError(f"a Gram matrix must be square (K, K), got shape {cosines_KK.shape}")
    if not np.isfinite(cosines_KK).all():
        cosines_KK[~np.isfinite(cosines_KK)] = np.nan
    return np.clip(cosines_KK, -1.0, 1.0, out=cosines_KK)


def averaged(cosines_KK: Floats, size: int) -> Floats:
    """Means over blocks of `size` x `size` classes (the last ones may be smaller), shape (B, B).

    Only pairs of two classes count: the ones on the diagonal say nothing, and would drown what
    the pairs of a block have in common. A block without a known pair is NaN.
    """
    if size == 1 or not len(cosines_KK):
        return cosines_KK
    if np.isfinite(cosines_KK).all():  # no mask of the size of the matrix is needed
        sizes_B = np.add.reduceat(np.ones(len(cosines_KK)), np.arange(0, len(cosines_KK), size))
        diagonal_B = np.add.reduceat(cosines_KK.diagonal(), np.arange(0, len(cosines_KK), size))
        counts_BB = np.outer(sizes_B, sizes_B) - np.diag(sizes_B)
        sums_BB = _block_sums(cosines_KK, size) - np.diag(diagonal_B)
    else:
        known_KK = np.isfinite(cosines_KK)
        np.fill_diagonal(known_KK, val=False)
        counts_BB = _block_sums(known_KK.astype(np.float64), size)
        sums_BB = _block_sums(np.where(known_KK, cosines_KK, 0.0), size)
    means_BB = np.full(sums_BB.shape, np.nan)
    np.divide(sums_BB, counts_BB, out=means_BB, where=counts_BB > 0)
    return means_BB


def worst_pair(cosines_KK: Floats) -> tuple[int, int, float] | None:
    """The two rows with the largest cosine, the lower one first; None where no pair is known."""
    if len(cosines_KK) < 2:
        return None
    known_KK = np.isfinite(cosines_KK)
    pairs_KK = cosines_KK.copy() if known_KK.all() else np.where(known_KK, cosines_KK, -np.inf)
    np.fill_diagonal(pairs_KK, -np.inf)
    row, column = divmod(int(pairs_KK.argmax()), len(pairs_KK))
    cosine = float(pairs_KK[row, column])
    return (min(row, column), max(row, column), cosine) if cosine > -np.inf else None


def largest_size(cosines_KK: Floats) -> float:
    """The largest |cosine| of a pair; 0 where none is known."""
    known_KK = np.isfinite(cosines_KK)
    np.fill_diagonal(known_KK, val=False)
    return float(np.abs(cosines_KK[known_KK]).max(initial=0.0))


def _block_sums(values_KK: Floats, size: int) -> Floats:
    starts = np.arange(0, len(values_KK), size)
    sums: Floats = np.add.reduceat(np.add.reduceat(values_KK, starts, axis=0), starts, axis=1)
    return sums
