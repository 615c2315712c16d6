"""Bootstrap of every score, from sums over groups of samples.

N samples, G groups, R resamples, B bins, K classes. Up to G samples each is a group of its own:
the ordinary bootstrap. More are dealt into groups by a fixed shuffle of their rows, and groups are
drawn: the variance of every sum stays right, and a resample costs no pass over the samples. Two
models of the same test set get the same groups and the same draws: differences are paired.

Resampling adds as much noise to a binned error as sampling did, so that its resamples lie above it
by about its own bias. Intervals are therefore the basic (reversed) ones, which take it off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from nccli.calibration.bins import Ranked, mass_cuts
from nccli.calibration.consistency import bins_below, width_bins
from nccli.calibration.kernel import Softmax, brier_rows
from nccli.calibration.predictions import Predictions
from nccli.calibration.scores import SATURATED
from nccli.calibration.smooth import cell_of, smooth_error
from nccli.calibration.statistics import (
    Scaling,
    class_places,
    first_bin_rest,
    nll_rows,
    softmax_blocks,
)
from nccli.calibration_report import INTERVALS, Interval, ScoreIntervals, Scores
from nccli.collapse.spans import Span
from nccli.logits import Floats, Integers

RESAMPLES = 1000  # 25 of them lie beyond each end of a 95 % interval
GROUPS, FEWEST_GROUPS = 1000, 100  # the spread that they show is right to 1/sqrt(2 G): 2 to 7 %
LEVEL = 0.95
SMOOTH_CELLS, RANK_CELLS = 256, 256
TABLE = 4 * 2**20  # numbers in the sums of one kind over all groups
TOGETHER = 128  # resamples of the class cells at a time

SHARES = {"accuracy", "saturated"}
FEW = 10
UNBOUNDED = {"nll", "brier", "brier_calibration"}  # above one
FREE = {"overconfidence", "ece_squared_debiased", "brier_refinement"}  # may be negative


def group_count(count: int, cells: int) -> int:
    """How many groups: fewer where each has sums over very many cells."""
    return max(1, min(count, GROUPS, max(FEWEST_GROUPS, TABLE // cells)))


def group_of(rows: Integers, groups: int, count: int, seed: int) -> Integers:
    """The group of each row, a fixed function of its number."""
    if count <= groups:
        return rows
    mixed = (rows.astype(np.uint64) + np.uint64(seed * 2**32 + 1)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return (mixed % np.uint64(groups)).astype(np.int64)


def draws(groups: int, resamples: int, seed: int) -> Floats:
    """How often each group is drawn; the first row is the data themselves: (1 + R, G)."""
    rng = np.random.default_rng([seed, 2])
    chosen = rng.integers(0, groups, size=(resamples, groups))
    flat = (chosen + groups * np.arange(resamples)[:, None]).ravel()
    counts_RG = np.bincount(flat, minlength=resamples * groups).reshape(resamples, groups)
    return np.concatenate([np.ones((1, groups)), counts_RG])


def replicates(
    found: Predictions,
    odds_N: Floats,
    samples: Ranked,
    *,
    num_bins: int,
    classwise: bool,
    resamples: int,
    seed: int,
    scaling: Scaling | None = None,
) -> dict[str, Floats]:
    """Each score of the data and of each resample, (1 + R,); odds_N in the order of the rows."""
    cells = num_bins * (found.num_classes if classwise else 1)
    groups = group_count(found.count, cells)
    weights_RG = draws(groups, resamples, seed)
    groups_N = group_of(np.arange(found.count), groups, found.count, seed)
    table = _Table(groups_N=groups_N, groups=groups, weights_RG=weights_RG)
    values = _top_label(table, odds_N, samples, num_bins)
    values |= _every_class(found, table, num_bins, classwise, scaling, values.pop("count"))
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """Sums over groups, and over resamples of groups."""

    groups_N: Integers
    groups: int
    weights_RG: Floats

    def sums(self, cells_N: Integers, cells: int, weights_N: Floats | None = None) -> Floats:
        """Sum of the weights in each cell, for every resample: (R, cells)."""
        flat_N = self.groups_N * cells + cells_N
        found = np.bincount(flat_N, weights=weights_N, minlength=self.groups * cells)
        summed: Floats = self.weights_RG @ found.reshape(self.groups, cells)
        return summed

    def totals(self, weights_N: Floats | None = None) -> Floats:
        """The same of all samples: (R,)."""
        return self.sums(np.zeros(len(self.groups_N), np.int64), 1, weights_N)[:, 0]


def _top_label(table: _Table, odds_N: Floats, samples: Ranked, num_bins: int) -> dict[str, Floats]:
    wrong_N, odds_N = np.signbit(odds_N), np.abs(odds_N)
    confidence_N = 1.0 / (1.0 + odds_N)
    gaps_N = np.where(wrong_N, confidence_N, -odds_N * confidence_N)
    count_R, wrong_R = table.totals(), table.totals(wrong_N)
    gap_R = table.totals(gaps_N)
    sure_R = table.totals(np.where(wrong_N, confidence_N, 0.0))
    right_R = count_R - wrong_R
    saturated_N = odds_N < (1.0 - SATURATED) / SATURATED
    values = {
        "count": count_R,
        "accuracy": right_R / count_R,
        "confidence": (right_R + gap_R) / count_R,
        "overconfidence": gap_R / count_R,
        "confidence_right": _over(right_R + gap_R - sure_R, right_R),
        "confidence_wrong": _over(sure_R, wrong_R),
        "saturated": table.totals(saturated_N.astype(np.float64)) / count_R,
    }
    values |= _binned(table, width_bins(odds_N, num_bins), num_bins, gaps_N, count_R)
    mass_N = bins_below(odds_N, _limits(samples, num_bins))
    values |= _equal_mass(table, mass_N, num_bins, gaps_N, wrong_N, count_R)
    values["ece_smooth"] = _smooth(table, confidence_N, gaps_N, count_R)
    values["aurc"] = _risk_coverage(table, odds_N, samples, wrong_N)
    return values


def _over(sums_R: Floats, counts_R: Floats) -> Floats:
    shares_R = np.full(len(sums_R), np.nan)
    np.divide(sums_R, counts_R, out=shares_R, where=counts_R > 0)
    return shares_R


def _binned(
    table: _Table, bins_N: Integers, num_bins: int, gaps_N: Floats, count_R: Floats
) -> dict[str, Floats]:
    gaps_RB, counts_RB = table.sums(bins_N, num_bins, gaps_N), table.sums(bins_N, num_bins)
    shares_RB = np.abs(gaps_RB) / np.maximum(counts_RB, 1.0)
    return {
        "ece": np.abs(gaps_RB).sum(axis=1) / count_R,
        "ece_over": np.maximum(gaps_RB, 0.0).sum(axis=1) / count_R,
        "ece_under": np.maximum(-gaps_RB, 0.0).sum(axis=1) / count_R,
        "mce": shares_RB.max(axis=1),
    }


def _equal_mass(
    table: _Table,
    bins_N: Integers,
    num_bins: int,
    gaps_N: Floats,
    wrong_N: Floats,
    count_R: Floats,
) -> dict[str, Floats]:
    gaps_RB, counts_RB = table.sums(bins_N, num_bins, gaps_N), table.sums(bins_N, num_bins)
    safe_RB = np.maximum(counts_RB, 2.0)
    accuracy_RB = 1.0 - table.sums(bins_N, num_bins, wrong_N) / safe_RB
    squares_RB = np.square(gaps_RB / safe_RB) - accuracy_RB * (1.0 - accuracy_RB) / (safe_RB - 1)
    squares_RB[counts_RB < 2] = 0.0
    return {
        "ece_equal_mass": np.abs(gaps_RB).sum(axis=1) / count_R,
        "ece_squared_debiased": (counts_RB * squares_RB).sum(axis=1) / count_R,
    }


def _limits(samples: Ranked, num_bins: int) -> Floats:
    """The odds from which on samples lie below each cut of the equal-mass bins, falling."""
    cuts = mass_cuts(samples, num_bins)[1:-1]
    limits = np.full(len(cuts), np.inf)
    for side, places in ((samples.right, cuts[:, 0]), (samples.wrong, cuts[:, 1])):
        inside = places < len(side)
        limits[inside] = np.minimum(limits[inside], side[places[inside]])
    return limits


def _smooth(table: _Table, confidence_N: Floats, gaps_N: Floats, count_R: Floats) -> Floats:
    cells_N, share_N = cell_of(confidence_N, SMOOTH_CELLS)
    residuals_RM = table.sums(cells_N, SMOOTH_CELLS, -gaps_N * (1.0 - share_N))
    residuals_RM += table.sums(cells_N + 1, SMOOTH_CELLS, -gaps_N * share_N)
    return smooth_error(residuals_RM / count_R[:, None], tolerance=1e-6)


def _risk_coverage(table: _Table, odds_N: Floats, samples: Ranked, wrong_N: np.ndarray) -> Floats:
    """AURC over cells of rank: within a cell, the order is taken to be random."""
    limits = np.unique(_limits(samples, RANK_CELLS))[::-1]
    cells = len(limits) + 1
    ranks_N = cells - 1 - bins_below(odds_N, limits)  # the most confident first
    counts_RC = table.sums(ranks_N, cells)
    wrongs_RC = table.sums(ranks_N, cells, wrong_N)
    ends_RC = np.cumsum(counts_RC, axis=1)
    before_RC = ends_RC - counts_RC
    errors_RC = np.cumsum(wrongs_RC, axis=1) - wrongs_RC
    rate_RC = wrongs_RC / np.maximum(counts_RC, 1.0)
    # the integral of (errors + rate (i - before)) / i over the ranks of the cell
    logs_RC = np.log((ends_RC + 0.5) / (before_RC + 0.5))
    area_RC = (errors_RC - rate_RC * before_RC) * logs_RC + rate_RC * counts_RC
    area_R: Floats = area_RC.sum(axis=1) / ends_RC[:, -1]
    return area_R


# --- what every class has a part in -------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _ClassSums:
    """Sums over groups: NLL and Brier (2, G); by class and bin, where wanted, (G, K, B)."""

    linear_2G: Floats
    gaps_GKB: Floats
    counts_GKB: Floats

    @classmethod
    def zeros(cls, groups: int, classes: int, num_bins: int) -> _ClassSums:
        """Nothing summed yet; classes: 0 where no class cells are wanted."""
        return cls(
            linear_2G=np.zeros((2, groups)),
            gaps_GKB=np.zeros((groups, classes, num_bins)),
            counts_GKB=np.zeros((groups, classes, num_bins)),
        )

    def add(self, other: _ClassSums) -> None:
        """Take what another span has."""
        self.linear_2G[:] += other.linear_2G
        self.gaps_GKB[:] += other.gaps_GKB
        self.counts_GKB[:] += other.counts_GKB


def _every_class(
    found: Predictions,
    table: _Table,
    num_bins: int,
    classwise: bool,
    scaling: Scaling | None,
    count_R: Floats,
) -> dict[str, Floats]:
    sums = _ClassSums.zeros(table.groups, found.num_classes * classwise, num_bins)
    arguments = (table.groups_N, table.groups, num_bins, classwise, scaling)
    for part in found.over(found.spans(2 * sums.gaps_GKB.nbytes), _class_part, *arguments):
        sums.add(part)
    nll_R, brier_R = sums.linear_2G @ table.weights_RG.T / count_R
    values = {"nll": nll_R, "brier": brier_R}
    if classwise:
        errors, squares = _cell_scores(table.weights_RG, sums)
        values["ece_classwise"] = errors / (count_R * found.num_classes)
        values["brier_calibration"] = squares / count_R
        values["brier_refinement"] = brier_R - values["brier_calibration"]
    return values


def _class_part(
    found: Predictions,
    span: Span,
    groups_N: Integers,
    groups: int,
    num_bins: int,
    classwise: bool,
    scaling: Scaling | None,
) -> _ClassSums:
    sums = _ClassSums.zeros(groups, found.num_classes * classwise, num_bins)
    for rows, block in softmax_blocks(found, span, scaling):
        own_N = groups_N[rows]
        losses = (nll_rows(block), brier_rows(block))
        for sums_G, rows_N in zip(sums.linear_2G, losses, strict=True):
            sums_G += np.bincount(own_N, weights=rows_N, minlength=groups)
        if classwise:
            _add_cells(sums, block, found.labels_N[rows], own_N)
    return sums


def _add_cells(sums: _ClassSums, block: Softmax, labels_N: Integers, own_N: Integers) -> None:
    gaps_GKB, counts_GKB = sums.gaps_GKB, sums.counts_GKB
    places = class_places(block, labels_N, gaps_GKB.shape[2])
    _add_first(gaps_GKB, block, own_N)
    rest_rows, rest_classes, rest = first_bin_rest(places, labels_N, block.top_N)
    np.add.at(gaps_GKB[:, :, 0], (own_N[rest_rows], rest_classes), rest)
    counts_GKB[:, :, 0] += np.bincount(own_N, minlength=len(counts_GKB))[:, None]
    own_M = own_N[places.rows_M]
    np.add.at(counts_GKB[:, :, 0], (own_M, places.classes_M), -1.0)
    listed = (own_M, places.classes_M, places.bins_M)
    np.add.at(gaps_GKB, listed, places.gaps_M)
    np.add.at(counts_GKB, listed, 1.0)


def _add_first(gaps_GKB: Floats, block: Softmax, own_N: Integers) -> None:
    """Add p of every row to the first bin of its group, the tops left out."""
    order = np.argsort(own_N, kind="stable")
    starts = np.flatnonzero(np.diff(own_N[order], prepend=-1))
    by_row = block.exponentials.T if block.axis == 0 else block.exponentials
    p_NK = by_row[order] * (1.0 / (1.0 + block.odds_N[order]))[:, None]
    gaps_GKB[own_N[order[starts]], :, 0] += np.add.reduceat(p_NK, starts, axis=0)


def _cell_scores(weights_RG: Floats, sums: _ClassSums) -> tuple[Floats, Floats]:
    """Sum over class cells of |gap|, and of gap^2 / count, for every resample: (R,) each."""
    groups = weights_RG.shape[1]
    gaps_GC, counts_GC = (one.reshape(groups, -1) for one in (sums.gaps_GKB, sums.counts_GKB))
    errors, squares = [], []
    for start in range(0, len(weights_RG), TOGETHER):
        weights = weights_RG[start : start + TOGETHER]
        gaps, held = weights @ gaps_GC, weights @ counts_GC
        errors.append(np.abs(gaps).sum(axis=1))
        squares.append((np.square(gaps) / np.maximum(held, 1.0)).sum(axis=1))
    return np.concatenate(errors), np.concatenate(squares)


# --- intervals ----------------------------------------------------------------------------------


def intervals(scores: Scores, values: Mapping[str, Floats], count: int) -> ScoreIntervals:
    """The basic bootstrap interval of each score, within the range that the score has.

    Of a share that fewer than ten samples make up, or fall short of, resamples know too little:
    it gets Wilson's interval.
    """

    def one(name: str) -> Interval | None:
        value = getattr(scores, name)
        if name in SHARES and min(value, 1.0 - value) * count < FEW:
            return _wilson(value, count)
        return _basic(name, value, values.get(name))

    return _each(one)


def _wilson(share: float, count: int) -> Interval:
    """Source: Wilson 1927."""
    z = 1.959963984540054  # of 95 %
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1.0 - share) / count + z * z / (4 * count * count))
    low, high = ((middle + side * half) / (1 + z * z / count) for side in (-1, 1))
    return Interval(low=max(low, 0.0), high=min(high, 1.0), bias=0.0)


def change_intervals(
    before: Scores, after: Scores, values: Mapping[str, Floats], changed: Mapping[str, Floats]
) -> ScoreIntervals:
    """Intervals of `after` minus `before`, both scored on the same resamples."""

    def one(name: str) -> Interval | None:
        first, second = getattr(before, name), getattr(after, name)
        if first is None or second is None or name not in values or name not in changed:
            return None
        return basic_interval(second - first, changed[name] - values[name])

    return _each(one)


def _each(one: Callable[[str], Interval | None]) -> ScoreIntervals:
    return ScoreIntervals(**{name: one(name) for name in INTERVALS})


def _basic(name: str, value: float | None, values_R: Floats | None) -> Interval | None:
    if value is None or values_R is None:
        return None
    found = basic_interval(value, values_R)
    if found is None or name in FREE:
        return found
    top = np.inf if name in UNBOUNDED else 1.0
    assert found.low is not None
    assert found.high is not None
    return replace(found, low=min(max(found.low, 0.0), top), high=min(max(found.high, 0.0), top))


def basic_interval(value: float, values_R: Floats) -> Interval | None:
    """value - (quantiles of resamples - what they are drawn from), the latter first in values_R."""
    moved = values_R[1:] - values_R[0]
    moved = moved[np.isfinite(moved)]
    if not len(moved):
        return None
    tail = (1.0 - LEVEL) / 2
    low, high = np.quantile(moved, [tail, 1.0 - tail])
    return Interval(low=float(value - high), high=float(value - low), bias=float(moved.mean()))
