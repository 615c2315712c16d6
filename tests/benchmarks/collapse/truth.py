"""The float64 values that every contender's error is measured against, streamed in blocks.

N samples, K classes, D features, R directions, B rows of a block. Slow on purpose and written on
its own: sums by ufunc.at, a D-sided SVD, whitened residuals, every distance and every logit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from source import Source, opened
from yardsticks import Metrics, geometry

BLOCK_ROWS = 2_048
Doubles = NDArray[np.float64]


def truth(path: Path) -> Metrics:
    """NC1 to NC4 of the train split in float64."""
    with opened(path) as source:
        means_KD = _means(source)
        centred_KD = means_KD - means_KD.mean(axis=0)
        return {
            "nc1": _nc1(source, means_KD, centred_KD),
            **geometry(source.weight_KD.astype(np.float64), centred_KD),
            "nc4": _nc4(source, means_KD),
        }


def _blocks(source: Source) -> Iterator[tuple[slice, Doubles]]:
    for rows, block_BD in source.copied_blocks(BLOCK_ROWS):
        yield rows, block_BD.astype(np.float64)


def _means(source: Source) -> Doubles:
    totals_KD = np.zeros(source.weight_KD.shape)
    for rows, block_BD in _blocks(source):
        np.add.at(totals_KD, source.labels_N[rows], block_BD)
    return totals_KD / np.bincount(source.labels_N)[:, None]


def _nc1(source: Source, means_KD: Doubles, centred_KD: Doubles) -> float:
    classes, dim = centred_KD.shape
    vectors_DR, singular_R, _ = np.linalg.svd(centred_KD.T, full_matrices=False)
    rank = min(classes - 1, dim)
    whitening_DR = vectors_DR[:, :rank] * (np.sqrt(classes) / singular_R[:rank])
    total = 0.0
    for rows, block_BD in _blocks(source):
        whitened_BR = (block_BD - means_KD[source.labels_N[rows]]) @ whitening_DR
        total += float(np.vdot(whitened_BR, whitened_BR))
    return total / (len(source.labels_N) * int(classes))


def _nc4(source: Source, means_KD: Doubles) -> float:
    weight_KD = source.weight_KD.astype(np.float64)
    squares_K = np.square(means_KD).sum(axis=1)
    differs = 0
    for _, block_BD in _blocks(source):
        nearest_B = (squares_K - 2.0 * (block_BD @ means_KD.T)).argmin(axis=1)
        predicted_B = (block_BD @ weight_KD.T + source.bias_K).argmax(axis=1)
        differs += int(np.count_nonzero(nearest_B != predicted_B))
    return differs / len(source.labels_N)
