"""Temperature scaling: one number T divides all logits so that the confidence fits.

N samples, K classes. The negative log-likelihood is convex in the inverse temperature b = 1/T, so
its optimum is found by a safeguarded Newton iteration in u = log b; whether an optimum exists is
decided exactly before searching, not by running to a bound. Source: Guo et al. 2017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nccli.logits import Floats, Integers, softmax

FOLDS = 5  # five folds: common practice for cross-validation, no deeper source
MAX_STEPS = 200
ROUNDING = 1e-13  # a mean of numbers up to 1 is no signal below this

IDENTIFIED = "identified"
ALL_RIGHT = "not identified: every sample is right, so the NLL falls for ever as T goes to 0"
NO_SIGNAL = "not identified: the labels favour no logit, so the NLL falls as T goes to infinity"
NOT_CONVERGED = "not identified: the search did not converge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """An optimal temperature, or why there is none."""

    value: float | None  # T
    standard_error: float | None  # of T, from the sandwich of score and curvature
    status: str


def fit_temperature(logits_NK: Floats, labels_N: Integers) -> Temperature:
    """Return the T > 0 that minimises the mean NLL of softmax(z / T)."""
    own_N1 = np.take_along_axis(logits_NK, labels_N[:, None], axis=1)
    # Logits measured from the target's own, in units of the largest: T scales with them, and the
    # search meets the same numbers whether they are 1e-80 or 1e80.
    relative_NK = logits_NK - own_N1
    scale = float(np.abs(relative_NK).max())
    if np.all(relative_NK <= 0) and scale > 0:
        return Temperature(value=None, standard_error=None, status=ALL_RIGHT)
    if scale == 0 or not math.isfinite(scale):
        return Temperature(value=None, standard_error=None, status=NO_SIGNAL)
    relative_NK = relative_NK / scale
    if -float(relative_NK.mean()) <= ROUNDING:
        return Temperature(value=None, standard_error=None, status=NO_SIGNAL)
    log_inverse = _newton(relative_NK)
    if log_inverse is None:
        return Temperature(value=None, standard_error=None, status=NOT_CONVERGED)
    return _described(relative_NK, log_inverse, scale)


def _newton(relative_NK: Floats) -> float | None:
    """The root u of the score; `low` and `high` bracket it once both signs were seen."""
    low, high = -math.inf, math.inf
    position = 0.0
    for _ in range(MAX_STEPS):
        score_N, curvature_N = _derivatives(relative_NK, position)
        score, curvature = float(score_N.mean()), float(curvature_N.mean())
        if score > 0:
            high = position
        else:
            low = position
        # d/du of b * score(b): b * score + b^2 * curvature, here already in u
        step = -score / (score + curvature) if score + curvature > 0 else -math.copysign(1, score)
        following = position + max(-2.0, min(2.0, step))
        if abs(following - position) <= 1e-14 * max(1.0, abs(position)):
            return following
        if not low < following < high:
            following = (low + high) / 2
        position = following
    return None


def _derivatives(relative_NK: Floats, log_inverse: float) -> tuple[Floats, Floats]:
    """Per sample: b * dNLL/db and b^2 * d2NLL/db2 at b = exp(log_inverse)."""
    scaled_NK = math.exp(log_inverse) * relative_NK
    probabilities_NK = softmax(scaled_NK).probabilities
    # the mean of logits measured from the target's own is the score itself, uncancelled
    score_N = np.einsum("nk,nk->n", probabilities_NK, scaled_NK)
    variance_N = np.einsum("nk,nk->n", probabilities_NK, (scaled_NK - score_N[:, None]) ** 2)
    return score_N, variance_N


def _described(relative_NK: Floats, log_inverse: float, scale: float) -> Temperature:
    score_N, curvature_N = _derivatives(relative_NK, log_inverse)
    value, curvature = scale * math.exp(-log_inverse), float(curvature_N.sum())
    if curvature <= 0 or not 0 < value < math.inf:
        return Temperature(value=None, standard_error=None, status=NOT_CONVERGED)
    spread = math.sqrt(float(np.square(score_N).sum())) / curvature
    return Temperature(value=value, standard_error=value * spread, status=IDENTIFIED)


def stratified_folds(labels_N: Integers, *, folds: int = FOLDS, seed: int = 0) -> Integers:
    """Return the fold (0..folds-1) of each sample, every class spread evenly over the folds."""
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(labels_N))
    by_class = shuffled[np.argsort(labels_N[shuffled], kind="stable")]
    fold_N = np.empty(len(labels_N), dtype=np.int64)
    fold_N[by_class] = np.arange(len(labels_N)) % folds
    return fold_N


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossFit:
    """Logits divided by temperatures that were fitted without them."""

    logits_NK: Floats | None  # None where a fold's temperature is not identified
    temperatures: tuple[float | None, ...]  # of each fold: fitted on the other folds
    status: str


def cross_fit(
    logits_NK: Floats, labels_N: Integers, *, folds: int = FOLDS, seed: int = 0
) -> CrossFit:
    """Scale each fold's logits by the temperature fitted on the other folds.

    No sample is ever scored with a temperature that it helped to choose.
    """
    fold_N = stratified_folds(labels_N, folds=folds, seed=seed)
    scaled_NK = np.empty_like(logits_NK)
    fitted: list[Temperature] = []
    for fold in range(folds):
        inside = fold_N == fold
        found = fit_temperature(logits_NK[~inside], labels_N[~inside])
        fitted.append(found)
        if found.value is not None:
            scaled_NK[inside] = logits_NK[inside] / found.value
    failed = [found.status for found in fitted if found.value is None]
    return CrossFit(
        logits_NK=None if failed else scaled_NK,
        temperatures=tuple(found.value for found in fitted),
        status=failed[0] if failed else IDENTIFIED,
    )
