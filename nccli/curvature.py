"""The curvature of the softmax, A_i = diag(p_i) - p_i p_i^T, without cancellation.

N samples, K classes, D features. A has the ones vector as its null direction, which lets every
product be gauge-fixed: the top class's entry is subtracted first, and 1 - p_top is the sum of the
others. A confident network (1 - p_top = 1e-12) keeps all its digits.
"""

from __future__ import annotations

import numpy as np

from nccli.logits import Floats, Integers, Softmax


def apply_softmax_curvature(softmax: Softmax, logits_NK: Floats) -> Floats:
    """A_i z_i for every row, gauge-fixed: A 1 = 0 lets the top class's entry be subtracted."""
    top_N1 = np.take_along_axis(logits_NK, softmax.top[:, None], axis=1)
    shifted_NK = logits_NK - top_N1
    probabilities_NK = softmax.probabilities
    mean_N1 = np.einsum("nk,nk->n", probabilities_NK, shifted_NK)[:, None]
    curved: Floats = probabilities_NK * (shifted_NK - mean_N1)
    return curved


def feature_block_eigenvalues(
    weight_KD: Floats, probabilities: Softmax, *, rows: Integers | None = None
) -> Floats:
    """Eigenvalues of W^T A_i W for each sample (of `rows`), largest first: (N, min(K, d)).

    As squared singular values of R B_i, with W^T = Q R and A_i = B_i B_i^T: small eigenvalues
    keep twice the digits that an eigenvalue solver leaves them.
    """
    triangle_RK = np.linalg.qr(weight_KD.T).R
    chosen = np.arange(len(probabilities.top)) if rows is None else rows
    found = np.empty((len(chosen), len(triangle_RK)))
    step = max(1, 2**20 // triangle_RK.size)
    for start in range(0, len(chosen), step):
        block = chosen[start : start + step]
        p_NK = probabilities.probabilities[block]
        factor_NKK = softmax_factor(p_NK, probabilities.complements[block], np.sqrt(p_NK))
        singular = np.linalg.svd(triangle_RK @ factor_NKK, compute_uv=False)
        found[start : start + step] = np.square(singular)
    return found


def centred_rank(weight_KD: Floats) -> int:
    """Rank of the classifier's weight less the mean of its rows: at most min(K - 1, d)."""
    singular = np.linalg.svd(weight_KD - weight_KD.mean(axis=0), compute_uv=False)
    cut = float(np.linalg.norm(weight_KD)) * max(weight_KD.shape) * np.finfo(np.float64).eps
    return int(np.count_nonzero(singular > cut))


def softmax_factor(p_NK: Floats, complement_NK: Floats, root_NK: Floats) -> Floats:
    """B (N, K, K) with A = B B^T: B = diag(sqrt p) - p sqrt(p)^T, its diagonal sqrt(p) (1 - p)."""
    factor_NKK = -p_NK[:, :, None] * root_NK[:, None, :]
    diagonal = np.arange(p_NK.shape[1])
    factor_NKK[:, diagonal, diagonal] = root_NK * complement_NK
    return factor_NKK


def complement_of_ones(num_classes: int) -> Floats:
    """An orthonormal basis of the complement of the ones vector: (K, K - 1)."""
    full = np.linalg.qr(np.column_stack([np.ones(num_classes), np.eye(num_classes)[:, 1:]]))[0]
    complement: Floats = full[:, 1:]
    return complement
