"""How small a metric could come out of these data at all, and how much of it is sampling noise.

C classes of the network, K of them present, R directions of the centred class means.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nccli.collapse.measurement import Measurement

NEAR_ROUNDING = 10.0  # times the floor; the estimate is good to a factor of a few
MUCH_NOISE = 0.25  # moves NC1 by as much

Floats = NDArray[np.float64]


def rounding_floor(found: Measurement, dtype: np.dtype[np.generic]) -> float | None:
    """NC1 of features that would be perfectly collapsed but for the rounding to their dtype.

    A rounded number is off by up to u |x| (u: unit roundoff), evenly: its square by u^2 x^2 / 3 on
    average; spread over d directions, sum_j (u^2 / 3) (mean |h|^2 / d) / lambda_j / K.
    """
    variances_R = found.own.variances_R
    if not len(variances_R):
        return None
    unit = float(np.finfo(dtype.type).eps) / 2.0  # type: ignore[type-var]
    each = unit**2 / 3.0 * float(found.sums.norms[1]) / found.count / found.own.means_CD.shape[1]
    return float(each * np.reciprocal(variances_R).sum()) / len(found.own.present)


def between_noise(found: Measurement) -> float | None:
    """Share of tr(Sigma_B) that class means drawn from so few samples have by chance.

    A mean of n_c samples is off by v_c / (n_c - 1) in square (v_c / n_c with the variance's own
    correction); of K such means about their average, (1 - 1/K) of it is left.
    """
    own = found.own
    scatter = len(own.present) * float(own.variances_R.sum())
    counts_K = own.counts_C[own.present].astype(np.float64)
    spare_K = counts_K - 1.0
    if scatter <= 0 or not spare_K.any():
        return None
    squares_K = found.squares_C[own.present]
    pooled = float(squares_K.sum() / spare_K.sum())  # what a class of one sample cannot tell itself
    variances_K = np.divide(
        squares_K, spare_K, out=np.full(len(counts_K), pooled), where=spare_K > 0
    )
    noise = float((variances_K / counts_K).sum()) * (1.0 - 1.0 / len(counts_K))
    return float(min(noise / scatter, 1.0))


def floor_notes(nc1: float | None, floor: float | None, noise: float | None) -> list[str]:
    """Return warnings where a metric is no longer about the network."""
    notes = []
    if nc1 is not None and floor is not None and nc1 < NEAR_ROUNDING * floor:
        notes.append(
            f"nc1 is near the rounding floor of the stored features ({floor:.1e}): save them in a "
            "wider type"
        )
    if noise is not None and noise > MUCH_NOISE:
        notes.append(
            f"sampling noise makes up {noise:.0%} of the spread of the class means: too few "
            "samples for nc1, nc2 and nc3"
        )
    return notes
