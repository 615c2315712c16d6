"""The softmax of a block of logits without its cancellations, fast.

n rows of the block, K classes. With e_k = exp(z_k - max z), s the sum of e_k without the top's
(the odds against the prediction):

    confidence 1/(1 + s), its complement s/(1 + s), NLL log1p(s) + max z - z_y

so that a confidence that rounds to one still tells how far from one it is. Few classes are worked
on class by class, (K, n): sums over ten numbers in a row are slow.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any

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


class Room:
    """Memory for the arrays of one block after the other: fresh pages cost as much as the sums."""

    def __init__(self) -> None:
        self._kept: dict[str, Numbers] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: Any) -> Numbers:
        """An array of the kind that was asked for before under this name, its numbers undefined."""
        size = math.prod(shape)
        kept = self._kept.get(name)
        if kept is None or kept.size < size or kept.dtype != dtype:
            kept = self._kept[name] = np.empty(size, dtype)
        return kept[:size].reshape(shape)


_ROOMS = threading.local()


def own_room() -> Room:
    """The room of this thread: it outlives a pass, as a small file is run through many times."""
    if not hasattr(_ROOMS, "room"):
        _ROOMS.room = Room()
    room: Room = _ROOMS.room
    return room


def relative(logits_NK: Numbers, room: Room) -> tuple[Numbers, int]:
    """z - max z, and the axis of the classes."""
    axis = 0 if logits_NK.shape[1] <= FEW_CLASSES else 1
    shape = logits_NK.shape[::-1] if axis == 0 else logits_NK.shape
    shifted = room.array("logits", shape, logits_NK.dtype)
    if axis == 0:
        np.copyto(shifted, logits_NK.T)
        peaks_N = shifted.max(axis=0)
        np.subtract(shifted, peaks_N, out=shifted)
    else:
        peaks_N = logits_NK.max(axis=1)
        np.subtract(logits_NK, peaks_N[:, None], out=shifted)
    return shifted, axis


def own_places(classes_N: Integers, shape: tuple[int, ...], axis: int) -> Integers:
    """Where the entry of each row's class lies in the flattened array (n,)."""
    rows = np.arange(len(classes_N))
    return classes_N * shape[1] + rows if axis == 0 else rows * shape[1] + classes_N


def softmax_block(
    logits_NK: Numbers, labels_N: Integers, room: Room, scale_N: Numbers | None = None
) -> Softmax:
    """Return the softmax of scale * z, in the precision of the logits; it lies in the room."""
    shifted, axis = relative(logits_NK, room)
    own = own_places(labels_N, shifted.shape, axis)
    top_N = _tops(shifted, axis, room)
    if scale_N is not None:  # not before: what underflows would tie with the top
        shifted *= scale_N if axis == 0 else scale_N[:, None]
    margin_N = -shifted.ravel()[own].astype(np.float64)
    exponentials = np.exp(shifted, out=shifted)
    flat = exponentials.ravel()
    flat[own_places(top_N, shifted.shape, axis)] = 0.0
    return Softmax(
        exponentials=exponentials,
        axis=axis,
        odds_N=exponentials.sum(axis=axis).astype(np.float64),
        top_N=top_N,
        right_N=top_N == labels_N,
        own_N=flat[own].astype(np.float64),
        margin_N=margin_N,
    )


def _tops(shifted: Numbers, axis: int, room: Room) -> Integers:
    """The first class whose logit is the largest (n,)."""
    if axis == 0:
        # how many tops a row has and, where it is one, which: a small product
        tops = np.equal(shifted, 0, out=room.array("tops", shifted.shape, np.float32))
        numbers = np.stack([np.ones(len(tops)), np.arange(len(tops))]).astype(np.float32)
        counts_N, sums_N = numbers @ tops
        single: Integers = sums_N.astype(np.int64)
        return single if counts_N.max() == 1 else shifted.argmax(axis=0)
    tops = np.equal(shifted, 0, out=room.array("tops", shifted.shape, np.bool_))
    # flat: numpy looks for true entries many times faster in one dimension
    rows, classes = np.divmod(np.flatnonzero(tops), shifted.shape[1])
    top_N = np.empty(len(shifted), np.int64)
    top_N[rows[::-1]] = classes[::-1]  # the first of a tie is written last
    return top_N


def dots(first: Numbers, second: Numbers, axis: int) -> Floats:
    """Sum of products over the classes of each row (n,)."""
    sums_N: Floats = np.einsum("kn,kn->n" if axis == 0 else "nk,nk->n", first, second)
    return sums_N.astype(np.float64)


def brier_rows(block: Softmax) -> Floats:
    """sum_k (p_k - [k = y])^2 of each row (n,), every term a square of its own."""
    squares_N = dots(block.exponentials, block.exponentials, block.axis)
    odds_N = block.odds_N
    # 1 for the top, where it is wrong, and (1 - p_y)^2 in place of p_y^2
    others_N = np.maximum(squares_N - block.own_N**2, 0.0) + (1.0 + odds_N - block.own_N) ** 2 + 1.0
    rows_N: Floats = np.where(block.right_N, squares_N + odds_N**2, others_N) / (1.0 + odds_N) ** 2
    return rows_N
