"""Proof that no eigenvalue of W^T A_i W exceeds a ceiling, for many rows at once.

M rows, K classes, R = rank of the centred weight, T (K, R) its factor as in `feature_block`.

With the predicted class t's row taken off every row of T the block is S^T (diag(p) - p p^T) S over
the other classes, and the inverse of what is in brackets is diag(1/p) + 11^T / p_t: it falls when
any p grows. So all rows of a group that predicts t lie below the block of their largest
probabilities q, which need not add to one,

    S^T diag(q) S - m m^T / (q_t + sum q),  m = S^T q

in the order of symmetric matrices. Where the ceiling less that is positive definite, which a
Cholesky factorisation tells, the group is proven; else its parts are tried, down to single rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nccli.hessian.layer import Numbers
from nccli.logits import Floats, Integers

GROUP = 64  # rows that are tried together
PARTS = 4  # of a group that failed
ROUNDING = 1e-5  # of probabilities in single, relative: the largest are taken so much larger


def exceeding(
    p_MK: Numbers, top_M: Integers, factor_KR: Floats, ceiling: float, most: int
) -> tuple[Integers, int]:
    """Return the rows that are not proven to lie below a ceiling, in order, and the tests it took.

    Rows of about the same size should follow each other. most: tests, after which all that is left
    counts as not proven. The ceiling must be above what is asked for by more than rounding.
    """
    groups, left, tests = list(_groups(top_M)), [np.empty(0, np.int64)], 0
    while groups:
        parts: list[Integers] = []
        for group in groups:
            if tests >= most:
                left.append(group)
                continue
            tests += 1
            largest_K = p_MK[group].max(axis=0).astype(np.float64) * (1.0 + ROUNDING)
            if is_below(largest_K, int(top_M[group[0]]), factor_KR, ceiling):
                continue
            if len(group) == 1:
                left.append(group)
            else:
                parts += np.array_split(group, min(PARTS, len(group)))
        groups = parts
    return np.sort(np.concatenate(left)), tests


def _groups(top_M: Integers) -> Iterator[Integers]:
    for top in np.unique(top_M):
        members = np.flatnonzero(top_M == top)
        for start in range(0, len(members), GROUP):
            yield members[start : start + GROUP]


def is_below(largest_K: Floats, top: int, factor_KR: Floats, ceiling: float) -> bool:
    """Whether all eigenvalues of all rows with such probabilities at most are below a ceiling."""
    shifted_KR = factor_KR - factor_KR[top]  # the row of `top` is zero: it takes no part
    mean_R = largest_K @ shifted_KR
    block_RR = (shifted_KR.T * largest_K) @ shifted_KR
    block_RR -= np.outer(mean_R, mean_R) / largest_K.sum()
    try:
        np.linalg.cholesky(ceiling * np.eye(len(block_RR)) - block_RR)
    except np.linalg.LinAlgError:
        return False
    return True
