"""What a perfectly calibrated model of the same confidences would show by chance.

N samples, B bins, C cells of samples of like confidence, R simulations. Each sample is right with
the probability that its confidence says; the confidences stay. The wrong ones are drawn, as a
confidence that rounds to one still has a doubt.

Source: consistency resampling, Broecker & Smith 2007; Vaicenavicius et al. 2019 (arXiv 1902.06977).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nccli.calibration.bins import ON_EDGE, BinSums, Ranked, bin_edges, doubts, pieces
from nccli.calibration_report import ReliabilityBin
from nccli.logits import Floats, Integers

CELLS = 1024  # over all bins; up to so many samples each has its own
DRAWN = 2**20  # numbers drawn at a time
LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """Errors and accuracies of calibrated models."""

    p_value: float  # share of them whose ECE is at least the one that was found
    error_95: float  # their ECE's 95th percentile
    low_B: Floats  # of each bin's accuracy; NaN where it is empty
    high_B: Floats


def by_chance(samples: Ranked, sums: BinSums, *, simulations: int, seed: int) -> Chance:
    """Simulate; `sums` are those over equal-width bins."""
    cells = _cells(samples, sums)
    rng = np.random.default_rng([seed, 1])
    expected_B = np.bincount(cells.bins_C, cells.counts_C * cells.doubts_C, len(sums.counts_B))
    wrongs = []
    step = max(1, DRAWN // len(cells.bins_C))
    for start in range(0, simulations, step):
        size = (min(step, simulations - start), len(cells.bins_C))
        drawn_RC = rng.binomial(cells.counts_C, cells.doubts_C, size=size)
        wrongs.append(np.add.reduceat(drawn_RC, cells.starts, axis=1))
    held = np.flatnonzero(sums.counts_B)
    wrongs_RB = np.concatenate(wrongs)
    errors_R = np.abs(wrongs_RB - expected_B[held]).sum(axis=1) / samples.count
    tail = (1.0 - LEVEL) / 2
    low_B, high_B = np.full((2, len(sums.counts_B)), np.nan)
    accuracy_RB = 1.0 - wrongs_RB / sums.counts_B[held]
    low_B[held], high_B[held] = np.quantile(accuracy_RB, [tail, 1.0 - tail], axis=0)
    as_large = int(np.count_nonzero(errors_R >= sums.error * (1.0 - 1e-12)))
    return Chance(
        p_value=(1 + as_large) / (1 + simulations),
        error_95=float(np.quantile(errors_R, LEVEL)),
        low_B=low_B,
        high_B=high_B,
    )


def with_bands(bins: tuple[ReliabilityBin, ...], chance: Chance) -> tuple[ReliabilityBin, ...]:
    """Bins with the band that a calibrated model's accuracy lies in."""
    return tuple(
        replace(one, band_low=float(low), band_high=float(high)) if one.count else one
        for one, low, high in zip(bins, chance.low_B, chance.high_B, strict=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cells:
    """Samples of like confidence, by bin."""

    bins_C: Integers
    counts_C: Integers
    doubts_C: Floats  # their mean doubt
    starts: Integers  # where each bin that holds samples begins


def _cells(samples: Ranked, sums: BinSums) -> _Cells:
    odds_N = np.sort(np.concatenate([samples.right, samples.wrong]))[::-1]
    ends_B = np.cumsum(sums.counts_B)
    cuts, bins, starts = [np.zeros(0, np.int64)], [], []
    for place, (end, count) in enumerate(zip(ends_B, sums.counts_B, strict=True)):
        if count:
            parts = min(int(count), 1 + (CELLS - 1) * int(count) // samples.count)
            starts.append(sum(map(len, cuts)))
            cuts.append(end - count + np.arange(parts) * count // parts)
            bins.append(np.full(parts, place))
    begins = np.concatenate(cuts)
    counts = np.diff(np.append(begins, samples.count))
    doubts_N = np.concatenate([doubts(piece) for piece in pieces(odds_N)])
    return _Cells(
        bins_C=np.concatenate(bins),
        counts_C=counts,
        doubts_C=np.add.reduceat(doubts_N, begins) / counts,
        starts=np.array(starts),
    )


def width_bins(odds_N: Floats, num_bins: int) -> Integers:
    """The equal-width bin of each sample, by its odds."""
    inner = bin_edges(num_bins)[1:-1]
    limits = (1.0 - inner) / inner * (1.0 - ON_EDGE)
    return bins_below(odds_N, limits)


def bins_below(odds_N: Floats, limits: Floats) -> Integers:
    """How many of the falling limits each sample's odds lie below."""
    places: Integers = len(limits) - np.searchsorted(limits[::-1], odds_N, side="right")
    return places
