"""The softmax of a block of logits without its cancellations, fast.

n rows of the block, K classes. With e_k = exp(z_k - max z), s the sum of e_k without the top's
(the odds against the prediction):

    confidence 1/(1 + s), its complement s/(1 + s), NLL log1p(s) + max z - z_y

so that a confidence that rounds to one still tells how far from one it is. Few classes are worked
on class by class, (K, n): sums over ten numbers in a row are slow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nccli.calibration.predictions import Numbers
from nccli.logits import Floats, Integers

FEW_CLASSES = 48  # up to which classes are rows; measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax:
    """A block after its exponentials; sums over classes are in double."""

    exponentials: Numbers  # e, zero at the top: (K, n) where axis is 0, (n, K) where it is 1
    axis: int  # of the classes
    odds_N: Floats  # s
    top_N: Integers  # predicted class, the first one on ties
    right_N: NDArray[np.bool_]
    own_N: Floats  # e of the label; 0 where it is predicted
    margin_N: Floats  # max z - z_y

    def along(self, values_N: Numbers) -> Numbers:
        """A number a row, shaped so that it meets each of its classes."""
        return values_N if self.axis == 0 else values_N[:, None]

    def places(self, flat: Integers) -> tuple[Integers, Integers]:
        """Row and class of places in the flattened exponentials."""
        first, second = np.divmod(flat, self.exponentials.shape[1])
        return (second, first) if self.axis == 0 else (first, second)


def relative(logits_NK: Numbers, scale_N: Numbers | None = None) -> tuple[Numbers, Numbers, int]:
    """z - max z, the maxima, and the axis of the classes; scale_N multiplies the rows' logits."""
    axis = 0 if logits_NK.shape[1] <= FEW_CLASSES else 1
    values = np.ascontiguousarray(logits_NK.T) if axis == 0 else logits_NK
    peaks_N = values.max(axis=axis)
    shifted = values - (peaks_N if axis == 0 else peaks_N[:, None])
    if scale_N is not None:
        shifted *= scale_N if axis == 0 else scale_N[:, None]
        peaks_N = peaks_N * scale_N
    return shifted, peaks_N, axis


def own_of(values: Numbers, labels_N: Integers, axis: int) -> Numbers:
    """The entry of each row's label (n,)."""
    rows = np.arange(len(labels_N))
    entries: Numbers = values[labels_N, rows] if axis == 0 else values[rows, labels_N]
    return entries


def softmax_block(
    logits_NK: Numbers, labels_N: Integers, scale_N: Numbers | None = None
) -> Softmax:
    """Return the softmax of scale * z, in the precision of the logits."""
    shifted, _, axis = relative(logits_NK, scale_N)
    margin_N = -own_of(shifted, labels_N, axis).astype(np.float64)
    top_flat = np.flatnonzero(shifted == 0)
    exponentials = np.exp(shifted, out=shifted)
    first, second = np.divmod(top_flat, shifted.shape[1])
    rows, classes = (second, first) if axis == 0 else (first, second)
    top_N = np.empty(len(labels_N), np.int64)
    top_N[rows[::-1]] = classes[::-1]  # the first of a tie is written last
    single = np.arange(len(labels_N))
    exponentials[(top_N, single) if axis == 0 else (single, top_N)] = 0.0
    return Softmax(
        exponentials=exponentials,
        axis=axis,
        odds_N=exponentials.sum(axis=axis).astype(np.float64),
        top_N=top_N,
        right_N=top_N == labels_N,
        own_N=own_of(exponentials, labels_N, axis).astype(np.float64),
        margin_N=margin_N,
    )


def squares(exponentials: Numbers, axis: int) -> Floats:
    """Sum over classes of e^2 (n,), the top left out as it is zero there."""
    subscripts = "kn,kn->n" if axis == 0 else "nk,nk->n"
    sums_N: Floats = np.einsum(subscripts, exponentials, exponentials).astype(np.float64)
    return sums_N


def brier_rows(block: Softmax) -> Floats:
    """sum_k (p_k - [k = y])^2 of each row (n,), every term a square of its own."""
    squares_N, odds_N = squares(block.exponentials, block.axis), block.odds_N
    # 1 for the top, where it is wrong, and (1 - p_y)^2 in place of p_y^2
    others_N = np.maximum(squares_N - block.own_N**2, 0.0) + (1.0 + odds_N - block.own_N) ** 2 + 1.0
    rows_N: Floats = np.where(block.right_N, squares_N + odds_N**2, others_N) / (1.0 + odds_N) ** 2
    return rows_N
