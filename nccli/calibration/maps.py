"""Recalibration by more than one number: vector scaling, and isotonic regression.

N samples, K classes, F folds. Both need all logits at once, and more samples than a temperature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression, minimize
from scipy.special import logsumexp, softmax

from nccli.calibration.predictions import Predictions, of_arrays
from nccli.errors import ContentError
from nccli.logits import Floats, Integers

LARGEST = 2**26  # logits that are kept, 512 MiB in double; our own limit
STEPS = 500
FAINTEST = 1e-9  # probability that isotonic regression leaves a class that it gave none

Apply = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalibrated:
    """Predictions after a map, and whether every fit came to an end."""

    predictions: Predictions
    converged: bool


def recalibrate(
    method: str, found: Predictions, folds_N: Integers, fitted_on: Predictions | None
) -> Recalibrated:
    """Map each fold by what was fitted on the others, or all by what another split gave.

    method: "vector" or "isotonic". Raises ContentError where the logits are too many to keep.
    """
    for one in (found, fitted_on):
        if one is not None and one.count * one.num_classes > LARGEST:
            raise ContentError(
                f"has {one.count * one.num_classes:.1e} logits, and {method} recalibration keeps "
                f"up to {LARGEST:.1e}",
                remedy="use --recalibrate temperature",
            )
    fit = {"vector": fit_vector, "isotonic": fit_isotonic}[method]
    logits_NK, mapped_NK = found.all_logits(), np.empty((found.count, found.num_classes))
    done = True
    if fitted_on is not None:
        apply, done = fit(fitted_on.all_logits(), fitted_on.labels_N)
        mapped_NK = apply(logits_NK)
    else:
        for fold in np.unique(folds_N):
            inside = folds_N == fold
            apply, ended = fit(logits_NK[~inside], found.labels_N[~inside])
            mapped_NK[inside] = apply(logits_NK[inside])
            done = done and ended
    return Recalibrated(predictions=of_arrays(mapped_NK, found.labels_N), converged=done)


def fit_vector(logits_NK: Floats, labels_N: Integers) -> tuple[Apply, bool]:
    """A factor and an offset for each class, by the mean NLL. Source: Guo et al. 2017."""
    count, classes = logits_NK.shape
    scale = float(np.abs(logits_NK - logits_NK.mean(axis=1, keepdims=True)).mean()) or 1.0
    unit_NK = logits_NK / scale
    rows = np.arange(count)

    def loss(flat: Floats) -> tuple[float, Floats]:
        factors_K, offsets_K = flat[:classes], flat[classes:]
        mapped_NK = unit_NK * factors_K + offsets_K
        error_NK = softmax(mapped_NK, axis=1)
        nll = float((logsumexp(mapped_NK, axis=1) - mapped_NK[rows, labels_N]).mean())
        error_NK[rows, labels_N] -= 1.0
        slope = np.concatenate([(error_NK * unit_NK).sum(axis=0), error_NK.sum(axis=0)])
        return nll, slope / count

    start = np.concatenate([np.full(classes, scale), np.zeros(classes)])
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    factors_K, offsets_K = best.x[:classes] / scale, best.x[classes:]
    return lambda mapped_NK: mapped_NK * factors_K + offsets_K, bool(best.success)


def fit_isotonic(logits_NK: Floats, labels_N: Integers) -> tuple[Apply, bool]:
    """A rising step function of each class's probability, then normalised.

    Source: Zadrozny & Elkan 2002, one class against the rest, as scikit-learn does it.
    """
    p_NK = softmax(logits_NK, axis=1)
    knots = [_knots(p_NK[:, k], labels_N == k) for k in range(p_NK.shape[1])]

    def apply(mapped_NK: Floats) -> Floats:
        probabilities_NK = softmax(mapped_NK, axis=1)
        found = [np.interp(probabilities_NK[:, k], *knots[k]) for k in range(len(knots))]
        raised_NK = np.maximum(np.stack(found, axis=1), FAINTEST)
        logarithms_NK: Floats = np.log(raised_NK / raised_NK.sum(axis=1, keepdims=True))
        return logarithms_NK

    return apply, True


def _knots(p_N: Floats, own_N: np.ndarray) -> tuple[Floats, Floats]:
    values, which_N, counts = np.unique(p_N, return_inverse=True, return_counts=True)
    shares = np.bincount(which_N, weights=own_N) / counts
    return values, isotonic_regression(shares, weights=counts).x
