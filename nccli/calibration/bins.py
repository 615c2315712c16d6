"""Samples in the order of their confidence, and sums over bins of them.

N samples, B bins. Right and wrong predictions are kept apart, each sorted by the odds against it,
so that the most confident comes first; a bin is a stretch of both. A bin's gap, the sum of
confidence - right, is the confidence of the wrong less the doubt of the right: nothing cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nccli.calibration_report import ReliabilityBin
from nccli.logits import Floats, Integers

ON_EDGE = 8 * np.finfo(np.float64).eps  # relative: what lies as close to an edge lies on it
PIECE = 2**16  # samples worked on at a time: temporary arrays stay small


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """Odds against each prediction, ascending: the most confident first."""

    right: Floats
    wrong: Floats

    @property
    def count(self) -> int:
        """N."""
        return len(self.right) + len(self.wrong)

    def above(self, confidence: float) -> tuple[int, int]:
        """How many right and wrong predictions have a confidence above this one."""
        limit = odds_at(confidence)
        return int(self.right.searchsorted(limit)), int(self.wrong.searchsorted(limit))


def ranked(odds_N: Floats) -> Ranked:
    """Sort signed odds (the sign bit set where wrong), in place."""
    wrong = int(np.count_nonzero(np.signbit(odds_N)))
    odds_N.sort()  # zeros of both signs lie in the middle, as many of each as there were
    return Ranked(right=odds_N[wrong:], wrong=-odds_N[:wrong][::-1])


def odds_at(confidence: float) -> float:
    """Odds that belong to a confidence; what lies within rounding of it is not above it."""
    return (1.0 - confidence) / confidence * (1.0 - ON_EDGE) if confidence > 0 else np.inf


def confidences(odds: Floats) -> Floats:
    """1 / (1 + s)."""
    values: Floats = 1.0 / (1.0 + odds)
    return values


def doubts(odds: Floats) -> Floats:
    """1 - confidence, to full relative precision."""
    values: Floats = odds / (1.0 + odds)
    return values


def variances(odds: Floats) -> Floats:
    """confidence (1 - confidence)."""
    values: Floats = odds / (1.0 + odds) ** 2
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class BinSums:
    """Sums over bins, the least confident first."""

    counts_B: Integers
    rights_B: Integers
    confidences_B: Floats
    gaps_B: Floats  # confidence - right
    variances_B: Floats  # confidence (1 - confidence)

    @property
    def error(self) -> float:
        """Sum of the bins' absolute gaps, over N."""
        return float(np.abs(self.gaps_B).sum()) / int(self.counts_B.sum())

    @property
    def noise_floor(self) -> float:
        """Expected error of a calibrated model of these confidences (each gap near normal)."""
        total = np.sqrt(2 / np.pi) * float(np.sqrt(self.variances_B).sum())
        return float(total) / int(self.counts_B.sum())


def width_cuts(samples: Ranked, num_bins: int) -> Integers:
    """Where equal-width bins, (i/B, (i+1)/B], begin in `right` and `wrong`: (B + 1, 2)."""
    inner = bin_edges(num_bins)[1:-1]
    limits = (1.0 - inner) / inner * (1.0 - ON_EDGE)
    return _cuts(samples, samples.right.searchsorted(limits), samples.wrong.searchsorted(limits))


def mass_cuts(samples: Ranked, num_bins: int) -> Integers:
    """The same for bins of equal counts; equal confidences share one: that of their middle."""
    count, cuts = samples.count, []
    for place in range(1, num_bins):
        # from the least confident: `place` of `num_bins` equal parts lie below
        above = count - -(-count * place // num_bins)
        cuts.append(_cut_near(samples, above, place, num_bins))
    found = np.array(cuts, dtype=np.int64).reshape(-1, 2)
    return _cuts(samples, found[:, 0], found[:, 1])


def _cut_near(samples: Ranked, above: int, place: int, num_bins: int) -> tuple[int, int]:
    """Cut before or after the ties that the sample of this rank belongs to."""
    value = _value_at(samples, min(above, samples.count - 1))
    arrays = (samples.right, samples.wrong)
    more = [int(array.searchsorted(value, side="left")) for array in arrays]
    least = [int(array.searchsorted(value, side="right")) for array in arrays]
    ties = sum(least) - sum(more)
    # in the order from the least confident, counted from 0
    middle = samples.count - sum(least) + (ties - 1) / 2
    # in the bin `place` or above it: then the bin begins below the ties
    inside = num_bins * middle >= place * samples.count
    return (least[0], least[1]) if inside else (more[0], more[1])


def _value_at(samples: Ranked, rank: int) -> float:
    """The odds at a rank of right and wrong together, the most confident being 0."""
    low, high = 0, len(samples.right)
    while low < high:  # how many of the right ones come before it
        middle = (low + high) // 2
        others = rank - middle - 1
        if others < 0 or (
            others < len(samples.wrong) and samples.right[middle] > samples.wrong[others]
        ):
            high = middle
        elif others >= len(samples.wrong) or samples.right[middle] <= samples.wrong[others]:
            low = middle + 1
    candidates = []
    if low < len(samples.right):
        candidates.append(float(samples.right[low]))
    if 0 <= rank - low < len(samples.wrong):
        candidates.append(float(samples.wrong[rank - low]))
    return min(candidates)


def _cuts(samples: Ranked, right: Integers, wrong: Integers) -> Integers:
    """Inner cuts, from the least confident on, with both ends."""
    ends = np.array([[len(samples.right), len(samples.wrong)]])
    inner = np.stack([right, wrong], axis=1)
    cuts: Integers = np.concatenate([ends, inner, np.zeros((1, 2), dtype=np.int64)])
    return cuts


def sums_between(samples: Ranked, cuts: Integers) -> BinSums:
    """Sums over the stretches between cuts."""
    right, wrong = cuts[:, 0], cuts[:, 1]
    rights_B, wrongs_B = right[:-1] - right[1:], wrong[:-1] - wrong[1:]
    doubt_B = _totals(samples.right, right, doubts)
    wrong_B = _totals(samples.wrong, wrong, confidences)
    return BinSums(
        counts_B=rights_B + wrongs_B,
        rights_B=rights_B,
        confidences_B=rights_B - doubt_B + wrong_B,
        gaps_B=wrong_B - doubt_B,
        variances_B=_totals(samples.right, right, variances)
        + _totals(samples.wrong, wrong, variances),
    )


def _totals(sorted_M: Floats, cuts: Integers, function: Callable[[Floats], Floats]) -> Floats:
    """Sum of the function over sorted_M[cuts[b + 1] : cuts[b]]."""
    if len(sorted_M) <= PIECE:
        values = np.append(function(sorted_M), 0.0)
        starts, stops = cuts[1:], cuts[:-1]
        sums = np.add.reduceat(values, np.stack([starts, stops], axis=1).ravel())[::2]
        return np.where(starts < stops, sums, 0.0)
    return np.array(
        [
            sum(float(function(piece).sum()) for piece in pieces(sorted_M[stop:start]))
            for start, stop in pairwise(cuts)
        ]
    )


def pieces(values: Floats) -> Iterator[Floats]:
    """Cut an array into stretches that are small enough to make copies of."""
    for start in range(0, len(values), PIECE):
        yield values[start : start + PIECE]


def reliability(sums: BinSums) -> tuple[ReliabilityBin, ...]:
    """The reliability diagram of equal-width bins."""
    num_bins = len(sums.counts_B)
    edges = bin_edges(num_bins)
    return tuple(
        ReliabilityBin(
            lower=float(edges[i]),
            upper=float(edges[i + 1]),
            count=int(sums.counts_B[i]),
            confidence=_share(sums.confidences_B[i], sums.counts_B[i]),
            accuracy=_share(sums.rights_B[i], sums.counts_B[i]),
        )
        for i in range(num_bins)
    )


def _share(total: float, count: int) -> float | None:
    return float(total / count) if count else None


def bin_edges(num_bins: int) -> Floats:
    """The edges i/B, each the nearest double (linspace is off by one unit in places)."""
    edges: Floats = np.arange(num_bins + 1) / num_bins
    return edges
