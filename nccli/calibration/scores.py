"""From the statistics of one pass to scores. N samples, K classes, B bins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nccli.calibration import smooth
from nccli.calibration.bins import (
    BinSums,
    Ranked,
    confidences,
    doubts,
    mass_cuts,
    pieces,
    reliability,
    sums_between,
    width_cuts,
)
from nccli.calibration.class_cells import ClassCells
from nccli.calibration.statistics import Statistics
from nccli.calibration_report import BinChoice, Scores
from nccli.logits import Floats, Integers

SATURATED = 0.999
CHOICES = (5, 10, 15, 20, 30, 50, 100)  # numbers of bins that are in use


def scores_of(found: Statistics, samples: Ranked, *, num_bins: int) -> Scores:
    """Return all scores; `samples` are those of `found`, ranked."""
    width = sums_between(samples, width_cuts(samples, num_bins))
    mass = sums_between(samples, mass_cuts(samples, num_bins))
    count = samples.count
    doubt = sum(float(doubts(piece).sum()) for piece in pieces(samples.right))
    wrong = sum(float(confidences(piece).sum()) for piece in pieces(samples.wrong))
    brier, calibration = found.brier / count, _brier_calibration(found.cells, count)
    return Scores(
        accuracy=len(samples.right) / count,
        confidence=(len(samples.right) - doubt + wrong) / count,
        confidence_right=1.0 - doubt / len(samples.right) if len(samples.right) else None,
        confidence_wrong=wrong / len(samples.wrong) if len(samples.wrong) else None,
        nll=found.nll / count,
        brier=brier,
        brier_calibration=calibration,
        brier_refinement=None if calibration is None else brier - calibration,
        ece=width.error,
        ece_equal_mass=mass.error,
        ece_classwise=_classwise(found.cells, count),
        mce=largest_gap(width.gaps_B, width.counts_B),
        ece_squared_debiased=debiased_square(mass.gaps_B, mass.counts_B, mass.rights_B),
        ece_smooth=float(smooth.smooth_error(smooth.residuals(samples)[None])[0]),
        ece_noise_floor=width.noise_floor,
        overconfidence=(wrong - doubt) / count,
        ece_over=float(np.maximum(width.gaps_B, 0.0).sum()) / count,
        ece_under=float(np.maximum(-width.gaps_B, 0.0).sum()) / count,
        saturated=smooth.share_above(samples, SATURATED),
        aurc=smooth.risk_coverage(samples),
        bins=reliability(width),
    )


def bin_sums(samples: Ranked, num_bins: int) -> BinSums:
    """Sums over equal-width bins."""
    return sums_between(samples, width_cuts(samples, num_bins))


def bin_sensitivity(samples: Ranked, choices: Sequence[int] = CHOICES) -> tuple[BinChoice, ...]:
    """The ECE with other numbers of bins: a difference between models that hangs on it is none."""
    found = [(bins, bin_sums(samples, bins)) for bins in choices]
    return tuple(
        BinChoice(bins=bins, ece=sums.error, ece_noise_floor=sums.noise_floor)
        for bins, sums in found
    )


def largest_gap(gaps_B: Floats, counts_B: Integers) -> float:
    """MCE: the largest absolute gap of a bin that holds samples."""
    held = counts_B > 0
    return float((np.abs(gaps_B[held]) / counts_B[held]).max())


def debiased_square(gaps_B: Floats, counts_B: Integers, rights_B: Integers) -> float:
    """Squared error over bins less the variance of each bin's accuracy."""
    held = counts_B > 1  # a single sample has no variance to take off, and says nothing
    counts, accuracy = counts_B[held], rights_B[held] / counts_B[held]
    squares = np.square(gaps_B[held] / counts) - accuracy * (1.0 - accuracy) / (counts - 1)
    return float((counts * squares).sum()) / float(counts_B.sum())


def _classwise(cells: ClassCells | None, count: int) -> float | None:
    if cells is None:
        return None
    return float(np.abs(cells.gaps_KB).sum()) / (count * len(cells.gaps_KB))


def _brier_calibration(cells: ClassCells | None, count: int) -> float | None:
    if cells is None:
        return None
    squares = np.square(cells.gaps_KB) / np.maximum(cells.counts_KB, 1.0)
    return float(squares.sum()) / count
