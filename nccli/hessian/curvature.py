"""The curvature of the softmax, A_i = diag(p_i) - p_i p_i^T, without cancellation.

N samples, K classes, B right-hand sides. A has the ones vector as its null direction, which lets
every product be gauge-fixed: the top class's entry is subtracted first, and 1 - p_top is the sum
of the others. A confident network (1 - p_top = 1e-12) keeps all its digits, in single too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nccli.logits import Floats, Integers

Numbers = NDArray[Any]


def curve(
    probabilities_NK: Numbers, top_N: Integers, changes_NBK: Numbers, *, out: Numbers | None = None
) -> Numbers:
    """A_i z_i for B changes of the logits of every row, in place unless `out` is given."""
    top_NB: Numbers = changes_NBK[np.arange(len(top_N)), :, top_N]
    shifted_NBK: Numbers = np.subtract(
        changes_NBK, top_NB[:, :, None], out=changes_NBK if out is None else out
    )
    mean_NB = np.einsum("nbk,nk->nb", shifted_NBK, probabilities_NK)
    shifted_NBK -= mean_NB[:, :, None]
    shifted_NBK *= probabilities_NK[:, None, :]
    return shifted_NBK


def gradients(
    probabilities_NK: Numbers, top_N: Integers, labels_N: Integers, label_smoothing: float
) -> Numbers:
    """p - y^delta (N, K); where the label is the top class, its entry is minus the others' sum."""
    rows = np.arange(len(top_N))
    classes, dtype = probabilities_NK.shape[1], probabilities_NK.dtype
    others_NK = probabilities_NK.copy()
    others_NK[rows, top_N] = 0.0
    found_NK: Numbers = probabilities_NK - dtype.type(label_smoothing / classes)
    missing_N = np.where(
        top_N == labels_N, others_NK.sum(axis=1), 1 - probabilities_NK[rows, labels_N]
    )
    found_NK[rows, labels_N] = dtype.type(label_smoothing * (1 - 1 / classes)) - missing_N
    return found_NK


def complement_of_ones(num_classes: int) -> Floats:
    """An orthonormal basis of the complement of the ones vector: (K, K - 1)."""
    full = np.linalg.qr(np.column_stack([np.ones(num_classes), np.eye(num_classes)[:, 1:]]))[0]
    complement: Floats = full[:, 1:]
    return complement
