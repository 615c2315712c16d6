"""How much two groups of numbers differ: the mean change and its 95 % interval.

n values of a group, R resamples. Student's interval is the default: runs are few. The bootstrap
draws runs (or pairs of them) anew; of fewer than some ten its intervals are too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from nccli.errors import UsageError

CONFIDENCE_LEVEL = 0.95
ROUNDING = 1e-13  # of the numbers: their differences are equal within it
RESAMPLES = 10_000  # of some numbers: they cost nothing

SAMPLES = "sample bootstrap"  # as told of an interval that is over samples, not over runs

Kind = Literal["t", "bootstrap"]
KINDS: tuple[Kind, ...] = ("t", "bootstrap")


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How intervals over runs are made."""

    kind: Kind = "t"
    resamples: int = RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise UsageError where there is nothing to resample with."""
        if self.resamples < 1:
            raise UsageError("an interval needs resamples", remedy="--resamples 1000")
        if self.seed < 0:
            raise UsageError(f"a seed is not negative, got {self.seed}")


STUDENT = Method()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The mean change, its interval, and what kind of interval that is; None where undefined."""

    mean: float | None = None
    low: float | None = None
    high: float | None = None
    kind: str | None = None


def change_of_pairs(pairs: Sequence[tuple[float, float]], method: Method = STUDENT) -> Change:
    """Return the mean of second - first over pairs, with its interval over the pairs."""
    values = [two - one for one, two in pairs]
    if not values:
        return Change()
    if _are_equal(values, [value for pair in pairs for value in pair]):
        return Change(mean=fmean(values))
    if method.kind == "bootstrap":
        low, high = _percentiles(method, [values], signs=[1.0])
        return Change(mean=fmean(values), low=low, high=high, kind="paired bootstrap")
    mean, half = fmean(values), _half_width(values)
    return Change(mean=mean, low=mean - half, high=mean + half, kind="paired t")


def change_of_means(
    ones: Sequence[float], twos: Sequence[float], method: Method = STUDENT
) -> Change:
    """Return the difference of the means of two independent groups, second - first.

    Its interval is Welch's (unequal variances; Welch 1947), or the bootstrap's.
    """
    if not ones or not twos:
        return Change()
    mean = fmean(twos) - fmean(ones)
    if min(len(ones), len(twos)) < 2 or (_are_equal(ones, ones) and _are_equal(twos, twos)):
        return Change(mean=mean)
    if method.kind == "bootstrap":
        low, high = _percentiles(method, [ones, twos], signs=[-1.0, 1.0])
        return Change(mean=mean, low=low, high=high, kind="bootstrap")
    shares = [_variance(values) / len(values) for values in (ones, twos)]
    parts = [share / max(shares) for share in shares]  # squares of tiny ones would be zero
    freedom = math.fsum(parts) ** 2 / math.fsum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (ones, twos), strict=True)
    )
    half = _quantile(freedom) * math.sqrt(math.fsum(shares))
    return Change(mean=mean, low=mean - half, high=mean + half, kind="Welch t")


def t_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """95 % Student interval of the mean; (None, None) of fewer than two different values."""
    if not values or _are_equal(values, values):
        return None, None
    mean, half = fmean(values), _half_width(values)
    return mean - half, mean + half


def spread_of(values: Sequence[float]) -> float | None:
    """Return the standard deviation (n - 1) of two values or more."""
    return math.sqrt(_variance(values)) if len(values) > 1 else None


def _are_equal(values: Sequence[float], inputs: Sequence[float]) -> bool:
    """Whether values differ by no more than the rounding of what they are made from."""
    return max(values) - min(values) <= ROUNDING * max(abs(value) for value in inputs)


def _half_width(values: Sequence[float]) -> float:
    return _quantile(len(values) - 1) * math.sqrt(_variance(values) / len(values))


def _variance(values: Sequence[float]) -> float:
    mean = fmean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _quantile(freedom: float) -> float:
    from scipy.special import stdtrit  # half a second, which one run a group need not wait for

    return float(stdtrit(freedom, (1 + CONFIDENCE_LEVEL) / 2))


def _percentiles(
    method: Method, groups: Sequence[Sequence[float]], *, signs: Sequence[float]
) -> tuple[float, float]:
    """Percentile interval of a signed sum of means, each group drawn anew by itself."""
    import numpy as np

    rng = np.random.default_rng(method.seed)
    means_R = np.zeros(method.resamples)
    for values, sign in zip(groups, signs, strict=True):
        drawn_Rn = rng.integers(len(values), size=(method.resamples, len(values)))
        means_R += sign * np.asarray(values)[drawn_Rn].mean(axis=1)
    tail = (1 - CONFIDENCE_LEVEL) / 2
    low, high = np.quantile(means_R, [tail, 1 - tail])
    return float(low), float(high)
