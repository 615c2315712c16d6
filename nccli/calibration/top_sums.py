"""What belongs to the top label, summed over groups of samples; its scores for any draw of them.

N samples, G groups, R resamples, B bins, M and C cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nccli.calibration.bins import PIECE, Ranked, mass_cuts
from nccli.calibration.consistency import bins_below, width_bins
from nccli.calibration.noise import noise_of, unfolded_bias
from nccli.calibration.scores import SATURATED
from nccli.calibration.smooth import cell_of, smooth_error
from nccli.logits import Floats, Integers

SMOOTH_CELLS, RANK_CELLS = 256, 256

Part = tuple[dict[str, Floats], dict[str, Floats], dict[str, float]]  # values, nulls, biases


@dataclass(frozen=True, slots=True, kw_only=True)
class TopSums:
    """What belongs to the top label, summed over groups: (G, cells) each."""

    totals_GC: Floats  # count, wrong, gap, confidence of the wrong, saturated
    width_3GB: Floats  # count, gap, wrong by equal-width bin
    mass_3GB: Floats
    residuals_GM: Floats
    ranks_2GC: Floats  # count, wrong by rank, the most confident first

    @classmethod
    def of(
        cls, groups_N: Integers, groups: int, odds_N: Floats, samples: Ranked, num_bins: int
    ) -> TopSums:
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

    def scores(self, weights_RG: Floats) -> Part:
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
