"""From resamples to 95 % intervals of scores and of their differences.

R resamples. Means get the basic (reversed) interval. Errors that sum absolute gaps are biased
upwards by sampling noise, and near calibration resamples see less than half of that bias: theirs is
unfolded bin by bin (`noise`). Where an error is no larger than noise makes it, its interval begins
at 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from nccli.calibration.resample import LEVEL, Replicates
from nccli.calibration_report import INTERVALS, Interval, ScoreIntervals, Scores
from nccli.logits import Floats

SHARES = {"accuracy", "saturated"}
FEW = 10
UNBOUNDED = {"nll", "brier", "brier_calibration"}  # above one
UNBIASED = {"ece_squared_debiased"}
FREE = {"overconfidence", "ece_squared_debiased", "brier_refinement"}  # may be negative


def intervals(scores: Scores, found: Replicates, count: int) -> ScoreIntervals:
    """The 95 % interval of each score, within the range that the score has.

    Of a share that fewer than ten samples make up, or fall short of, resamples know too little:
    it gets Wilson's interval.
    """

    def one(name: str) -> Interval | None:
        value = getattr(scores, name)
        if name in SHARES and min(value, 1.0 - value) * count < FEW:
            return _wilson(value, count)
        if value is None or name not in found.values or count < 2:
            return None
        made = shifted_interval(value, found.values[name], bias_of(name, found))
        if made is None or made.low is None or made.high is None:
            return None
        low, high = made.low, made.high
        if name in found.null_95 and value <= found.null_95[name]:
            low = 0.0
        if name not in FREE:
            top = np.inf if name in UNBOUNDED else 1.0
            low, high = min(max(low, 0.0), top), min(max(high, 0.0), top)
        return replace(made, low=low, high=high)

    return _each(one)


def bias_of(name: str, found: Replicates) -> float | None:
    """How far a score lies above truth, where that is known; None: what resamples show."""
    return 0.0 if name in UNBIASED else found.biases.get(name)


def _wilson(share: float, count: int) -> Interval:
    """Source: Wilson 1927."""
    z = 1.959963984540054  # of 95 %
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1.0 - share) / count + z * z / (4 * count * count))
    low, high = ((middle + side * half) / (1 + z * z / count) for side in (-1, 1))
    # at 0 and 1 an end is the share itself, but for rounding
    return Interval(low=low if share > 0 else 0.0, high=high if share < 1 else 1.0, bias=0.0)


def change_intervals(
    before: Scores, after: Scores, old: Replicates, new: Replicates
) -> ScoreIntervals:
    """Intervals of `after` minus `before`, both scored on the same resamples."""
    return _each(lambda name: difference(name, before, after, old, new))


def difference(
    name: str, before: Any, after: Any, old: Replicates, new: Replicates
) -> Interval | None:
    """The interval of one score's difference, on the same resamples of the same samples."""
    first, second = getattr(before, name), getattr(after, name)
    if first is None or second is None or name not in old.values or name not in new.values:
        return None
    biases = bias_of(name, old), bias_of(name, new)
    bias = None if None in biases else float(biases[1] or 0.0) - float(biases[0] or 0.0)
    return shifted_interval(second - first, new.values[name] - old.values[name], bias)


def _each(one: Callable[[str], Interval | None]) -> ScoreIntervals:
    return ScoreIntervals(**{name: one(name) for name in INTERVALS})


def shifted_interval(value: float, values_R: Floats, bias: float | None) -> Interval | None:
    """value - bias - (quantiles of the resamples about their mean); values_R begins with the data.

    bias: None for the mean of the resamples less what they are drawn from: the basic interval.
    """
    moved = values_R[1:] - values_R[0]
    moved = moved[np.isfinite(moved)]
    if not len(moved):
        return None
    mean, tail = float(moved.mean()), (1.0 - LEVEL) / 2
    low, high = np.quantile(moved - mean, [tail, 1.0 - tail])
    bias = mean if bias is None else bias
    return Interval(low=float(value - bias - high), high=float(value - bias - low), bias=bias)
