"""Bootstrap of every score, from sums over groups of samples.

N samples, G groups, R resamples, B bins, K classes. Up to G samples each is a group of its own:
the ordinary bootstrap. More are dealt into groups by a fixed shuffle of their rows, and groups are
drawn: the variance of every sum stays right, and a resample costs no pass over the samples. Two
models of the same test set get the same groups and the same draws: differences are paired.
Equal-mass bins keep the limits that the data have.

Means get the basic (reversed) interval. An error that sums absolute gaps is biased upwards by
sampling noise, and near calibration resamples see less than half of that bias. So each bin's gap is
unfolded: g such that |g + noise| has on average the size that was found. And where the error is no
larger than noise makes it (its null: resamples about the bins' own gaps), the interval begins at 0.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nccli.calibration.bins import PIECE, Ranked, mass_cuts
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
TABLE = 2 * 2**20  # numbers in the sums of one kind over all groups, or over all resamples
FEWEST_TOGETHER = 64
TOGETHER = 128  # resamples of the class cells at a time

SHARES = {"accuracy", "saturated"}
FEW = 10
UNBOUNDED = {"nll", "brier", "brier_calibration"}  # above one
UNBIASED = {"ece_squared_debiased"}
FREE = {"overconfidence", "ece_squared_debiased", "brier_refinement"}  # may be negative


def group_count(count: int, cells: int) -> int:
    """How many groups: fewer where each has sums over very many cells."""
    return max(1, min(count, GROUPS, TABLE // cells))


def can_group(cells: int) -> bool:
    """Whether class cells are few enough for groups that tell a spread."""
    return TABLE // cells >= FEWEST_GROUPS


def group_of(rows: Integers, groups: int, count: int, seed: int) -> Integers:
    """The group of each row, a fixed function of its number."""
    if count <= groups:
        return rows
    mixed = (rows.astype(np.uint64) + np.uint64((seed * 2**32 + 1) % 2**64)) * np.uint64(
        0x9E3779B97F4A7C15
    )
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicates:
    """Each score of the data (first) and of each resample, (1 + R,), and what noise does to it."""

    values: dict[str, Floats]
    null_95: dict[str, float]  # of errors: what noise alone exceeds 5 times of 100
    biases: dict[str, float]  # of sums of absolute gaps: how far noise lifts them, unfolded


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
) -> Replicates:
    """Draw resamples; odds_N in the order of the rows."""
    cells = num_bins * (found.num_classes if classwise else 1)
    groups = group_count(found.count, cells)
    weights_RG = draws(groups, resamples, seed)
    groups_N = group_of(np.arange(found.count), groups, found.count, seed)
    top = _TopLabel.of(groups_N, groups, odds_N, samples, num_bins)
    step = max(FEWEST_TOGETHER, TABLE // max(num_bins, SMOOTH_CELLS))
    parts = [
        top.scores(np.concatenate([weights_RG[:1], weights_RG[start : start + step]]))
        for start in range(1, len(weights_RG), step)
    ]
    values, nulls, biases = _joined(parts)
    count_R = values.pop("count")
    sums = _every_class(found, groups_N, groups, num_bins, classwise, scaling)
    nll_R, brier_R = sums.linear_2G @ weights_RG.T / count_R
    values |= {"nll": nll_R, "brier": brier_R}
    if classwise:
        more, null, bias = _cell_scores(weights_RG, sums, count_R)
        values |= more
        values["brier_refinement"] = brier_R - values["brier_calibration"]
        nulls["ece_classwise"], biases["ece_classwise"] = null, bias
    null_95 = {name: float(np.quantile(null_R, LEVEL)) for name, null_R in nulls.items()}
    return Replicates(values=values, null_95=null_95, biases=biases)


_Part = tuple[dict[str, Floats], dict[str, Floats], dict[str, float]]


def _joined(parts: list[_Part]) -> _Part:
    """Chunks of resamples together; each begins with the data themselves."""
    values = {
        name: np.concatenate(
            [values[name][min(place, 1) :] for place, (values, *_) in enumerate(parts)]
        )
        for name in parts[0][0]
    }
    nulls = {name: np.concatenate([null[name] for _, null, _ in parts]) for name in parts[0][1]}
    biases = {name: float(np.mean([bias[name] for *_, bias in parts])) for name in parts[0][2]}
    return values, nulls, biases


@dataclass(frozen=True, slots=True, kw_only=True)
class _TopLabel:
    """What belongs to the top label, summed over groups: (G, cells) each."""

    totals_GC: Floats  # count, wrong, gap, confidence of the wrong, saturated
    width_3GB: Floats  # count, gap, wrong by equal-width bin
    mass_3GB: Floats
    residuals_GM: Floats
    ranks_2GC: Floats  # count, wrong by rank, the most confident first

    @classmethod
    def of(
        cls, groups_N: Integers, groups: int, odds_N: Floats, samples: Ranked, num_bins: int
    ) -> _TopLabel:
        """Sum signed odds, in pieces: what is made of them is several times as large."""
        rank_limits = np.unique(_limits(samples, RANK_CELLS))[::-1]
        mass_limits = _limits(samples, num_bins)
        cells = len(rank_limits) + 1
        made = cls(
            totals_GC=np.zeros((groups, 5)),
            width_3GB=np.zeros((3, groups, num_bins)),
            mass_3GB=np.zeros((3, groups, num_bins)),
            residuals_GM=np.zeros((groups, SMOOTH_CELLS)),
            ranks_2GC=np.zeros((2, groups, cells)),
        )
        for start in range(0, len(odds_N), PIECE):
            rows = slice(start, start + PIECE)
            made._add(groups_N[rows], odds_N[rows], mass_limits, rank_limits)
        return made

    def _add(self, own: Integers, signed: Floats, mass_limits: Floats, rank_limits: Floats) -> None:
        wrong, odds = np.signbit(signed).astype(np.float64), np.abs(signed)
        confidence = 1.0 / (1.0 + odds)
        gaps = np.where(wrong > 0, confidence, -odds * confidence)
        saturated = odds < (1.0 - SATURATED) / SATURATED
        columns = (None, wrong, gaps, wrong * confidence, saturated)
        for place, weights in enumerate(columns):
            self.totals_GC[:, place] += np.bincount(own, weights, len(self.totals_GC))
        for sums, bins in (
            (self.width_3GB, width_bins(odds, self.width_3GB.shape[2])),
            (self.mass_3GB, bins_below(odds, mass_limits)),
        ):
            _add_at(sums[0], own, bins, None)
            _add_at(sums[1], own, bins, gaps)
            _add_at(sums[2], own, bins, wrong)
        cells, share = cell_of(confidence, SMOOTH_CELLS)
        _add_at(self.residuals_GM, own, cells, -gaps * (1.0 - share))
        _add_at(self.residuals_GM, own, cells + 1, -gaps * share)
        ranks = self.ranks_2GC.shape[2] - 1 - bins_below(odds, rank_limits)
        _add_at(self.ranks_2GC[0], own, ranks, None)
        _add_at(self.ranks_2GC[1], own, ranks, wrong)

    def scores(self, weights_RG: Floats) -> _Part:
        """Scores of the data (first) and of resamples, the errors' nulls, and biases."""
        count_R, wrong_R, gap_R, sure_R, saturated_R = (weights_RG @ self.totals_GC).T
        right_R = count_R - wrong_R
        values = {
            "count": count_R,
            "accuracy": right_R / count_R,
            "confidence": (right_R + gap_R) / count_R,
            "overconfidence": gap_R / count_R,
            "confidence_right": _over(right_R + gap_R - sure_R, right_R),
            "confidence_wrong": _over(sure_R, wrong_R),
            "saturated": saturated_R / count_R,
            "aurc": _risk_coverage(weights_RG @ self.ranks_2GC[0], weights_RG @ self.ranks_2GC[1]),
        }
        counts_RB, gaps_RB = weights_RG @ self.width_3GB[0], weights_RG @ self.width_3GB[1]
        noise_RB = noise_of(gaps_RB, counts_RB)
        values |= _errors(gaps_RB, counts_RB, count_R)
        nulls = _errors(noise_RB, counts_RB[1:], count_R[1:])
        biases = {"ece": unfolded_bias(gaps_RB[0], noise_RB) / count_R[0]}
        mass_RB, gaps_RB = weights_RG @ self.mass_3GB[0], weights_RG @ self.mass_3GB[1]
        noise_RB = noise_of(gaps_RB, mass_RB)
        values["ece_equal_mass"] = np.abs(gaps_RB).sum(axis=1) / count_R
        values["ece_squared_debiased"] = _debiased(
            gaps_RB, mass_RB, weights_RG @ self.mass_3GB[2], count_R
        )
        nulls["ece_equal_mass"] = np.abs(noise_RB).sum(axis=1) / count_R[1:]
        biases["ece_equal_mass"] = unfolded_bias(gaps_RB[0], noise_RB) / count_R[0]
        residuals_RM = weights_RG @ self.residuals_GM / count_R[:, None]
        values["ece_smooth"] = smooth_error(residuals_RM, tolerance=1e-6)
        nulls["ece_smooth"] = smooth_error(residuals_RM[1:] - residuals_RM[0], tolerance=1e-6)
        return values, nulls, biases


def _add_at(
    sums_GC: Floats, groups: Integers, cells: Integers, weights: NDArray[Any] | None
) -> None:
    flat = groups * sums_GC.shape[1] + cells
    sums_GC += np.bincount(flat, weights, sums_GC.size).reshape(sums_GC.shape)


def noise_of(gaps_RB: Floats, counts_RB: Floats) -> Floats:
    """Each bin's gap less the share of the data's own (first) that so many samples have: (R, B)."""
    shares_B = gaps_RB[0] / np.maximum(counts_RB[0], 1.0)
    noise_RB: Floats = gaps_RB[1:] - counts_RB[1:] * shares_B
    return noise_RB


def unfolded_bias(gaps_B: Floats, noise_RB: Floats) -> float:
    """By how much the sum of |gap| exceeds that of the gaps of which noise would make it."""
    deviation_B = np.sqrt(np.mean(np.square(noise_RB), axis=0))
    sizes_B = np.abs(gaps_B)
    sizes, gaps = _unfolding()
    near = (deviation_B > 0) & (sizes_B < sizes[-1] * deviation_B)  # far off, noise adds nothing
    found_B = sizes_B.copy()
    found_B[near] = deviation_B[near] * np.interp(sizes_B[near] / deviation_B[near], sizes, gaps)
    return float((sizes_B - found_B).sum())


@functools.cache
def _unfolding() -> tuple[Floats, Floats]:
    """Mean sizes |x + Z|, Z standard normal, and their x; below that of noise alone x is 0."""
    x = np.linspace(0.0, 8.0, 1601)
    erf = np.array([math.erf(value / math.sqrt(2)) for value in x])
    return x * erf + math.sqrt(2 / math.pi) * np.exp(-0.5 * x**2), x


def _over(sums_R: Floats, counts_R: Floats) -> Floats:
    shares_R = np.full(len(sums_R), np.nan)
    np.divide(sums_R, counts_R, out=shares_R, where=counts_R > 0)
    return shares_R


def _errors(gaps_RB: Floats, counts_RB: Floats, count_R: Floats) -> dict[str, Floats]:
    shares_RB = np.abs(gaps_RB) / np.maximum(counts_RB, 1.0)
    return {
        "ece": np.abs(gaps_RB).sum(axis=1) / count_R,
        "ece_over": np.maximum(gaps_RB, 0.0).sum(axis=1) / count_R,
        "ece_under": np.maximum(-gaps_RB, 0.0).sum(axis=1) / count_R,
        "mce": shares_RB.max(axis=1),
    }


def _debiased(gaps_RB: Floats, counts_RB: Floats, wrongs_RB: Floats, count_R: Floats) -> Floats:
    safe_RB = np.maximum(counts_RB, 2.0)
    accuracy_RB = 1.0 - wrongs_RB / safe_RB
    squares_RB = np.square(gaps_RB / safe_RB) - accuracy_RB * (1.0 - accuracy_RB) / (safe_RB - 1)
    squares_RB[counts_RB < 2] = 0.0
    scores_R: Floats = (counts_RB * squares_RB).sum(axis=1) / count_R
    return scores_R


def _limits(samples: Ranked, num_bins: int) -> Floats:
    """The odds from which on samples lie below each cut of the equal-mass bins, falling."""
    cuts = mass_cuts(samples, num_bins)[1:-1]
    limits = np.full(len(cuts), np.inf)
    for side, places in ((samples.right, cuts[:, 0]), (samples.wrong, cuts[:, 1])):
        inside = places < len(side)
        limits[inside] = np.minimum(limits[inside], side[places[inside]])
    return limits


def _risk_coverage(counts_RC: Floats, wrongs_RC: Floats) -> Floats:
    """AURC over cells of rank: within a cell, the order is taken to be random."""
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
    groups_N: Integers,
    groups: int,
    num_bins: int,
    classwise: bool,
    scaling: Scaling | None,
) -> _ClassSums:
    sums = _ClassSums.zeros(groups, found.num_classes * classwise, num_bins)
    arguments = (groups_N, groups, num_bins, classwise, scaling)
    for part in found.over(found.spans(2 * sums.gaps_GKB.nbytes), _class_part, *arguments):
        sums.add(part)
    return sums


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


def _cell_scores(
    weights_RG: Floats, sums: _ClassSums, count_R: Floats
) -> tuple[dict[str, Floats], Floats, float]:
    """Classwise ECE and the calibration part of the Brier score; the first's null, and its bias."""
    groups, classes, _ = sums.gaps_GKB.shape
    gaps_GC, counts_GC = (one.reshape(groups, -1) for one in (sums.gaps_GKB, sums.counts_GKB))
    found_C, held_C = gaps_GC.sum(axis=0), counts_GC.sum(axis=0)
    shares_C = found_C / np.maximum(held_C, 1.0)
    errors, squares, nulls, deviations_C = [], [], [], np.zeros(len(found_C))
    for start in range(0, len(weights_RG), TOGETHER):
        weights = weights_RG[start : start + TOGETHER]
        gaps, held = weights @ gaps_GC, weights @ counts_GC
        noise = gaps - held * shares_C
        errors.append(np.abs(gaps).sum(axis=1))
        squares.append((np.square(gaps) / np.maximum(held, 1.0)).sum(axis=1))
        nulls.append(np.abs(noise).sum(axis=1))
        deviations_C += np.square(noise).sum(axis=0)
    deviations_C = np.sqrt(deviations_C / (len(weights_RG) - 1))
    values = {
        "ece_classwise": np.concatenate(errors) / (count_R * classes),
        "brier_calibration": np.concatenate(squares) / count_R,
    }
    total = float(count_R[0]) * classes
    null_R = np.concatenate(nulls)[1:] / (count_R[1:] * classes)
    return values, null_R, unfolded_bias(found_C, deviations_C[None]) / total


# --- intervals ----------------------------------------------------------------------------------


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
    return Interval(low=max(low, 0.0), high=min(high, 1.0), bias=0.0)


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
