"""Errors that need no bins: the smooth ECE, and the risk-coverage curve.

N samples, M cells of confidence, B sets of samples.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from nccli.calibration.bins import Ranked, confidences, doubts, odds_at, pieces
from nccli.calibration_report import Coverage
from nccli.logits import Floats

CELLS = 2**13  # of confidence; the error is right to the square of a cell's width
STEPS = 60  # in search of the width; some ten are enough
SHARES = (0.5, 0.8, 0.9, 0.95, 1.0)


def residuals(samples: Ranked, cells: int = CELLS) -> Floats:
    """right - confidence in cells of confidence, over N (M,): each split between two cells."""
    found = np.zeros(cells)
    for sorted_M, residual in ((samples.right, doubts), (samples.wrong, _negative)):
        for odds in pieces(sorted_M):
            _spread(found, confidences(odds), residual(odds))
    return found / samples.count


def _negative(odds: Floats) -> Floats:
    return -confidences(odds)


def _spread(cells_M: Floats, positions: Floats, weights: Floats) -> None:
    """Add weights at positions in [0, 1]: cells have their middles at (m + 1/2) / M."""
    places, share = cell_of(positions, len(cells_M))
    cells_M += np.bincount(places, weights=weights * (1.0 - share), minlength=len(cells_M))
    cells_M += np.bincount(places + 1, weights=weights * share, minlength=len(cells_M))


def cell_of(positions: Floats, cells: int) -> tuple[np.ndarray, Floats]:
    """The cell at or below each position, and the share that the next one gets."""
    exact = np.clip(positions * cells - 0.5, 0.0, cells - 1.0)
    places = np.minimum(exact.astype(np.int64), cells - 2)
    return places, exact - places


def smooth_error(residuals_BM: Floats, *, tolerance: float = 1e-12) -> Floats:
    """The smooth ECE of sets of residuals (B,): the width of the kernel that equals its error.

    The kernel is a Gaussian on [0, 1], reflected at both ends: on residuals and their mirror image,
    put on a circle, a product of Fourier transforms. The error falls as the width grows, so that
    there is one width to find.
    tolerance: of the width. Source: Blasiok & Nakkiran 2023 (arXiv 2309.12236), definition 1.
    """
    cells = residuals_BM.shape[1]
    waves_BW = np.fft.rfft(np.concatenate([residuals_BM, residuals_BM[:, ::-1]], axis=1))
    exponents_W = -0.5 * np.square(math.pi * np.arange(cells + 1))

    def excess(width_B: Floats) -> Floats:
        damping_BW = np.exp(exponents_W * np.square(width_B)[:, None])
        smoothed_BM = np.fft.irfft(waves_BW * damping_BW, n=2 * cells)[:, :cells]
        errors_B: Floats = np.abs(smoothed_BM).sum(axis=1) - width_B
        return errors_B

    # false position, with the end that stays halved (Illinois): the excess falls nearly linearly
    low_B, high_B = np.zeros(len(residuals_BM)), np.ones(len(residuals_BM))
    over_B, under_B = np.abs(residuals_BM).sum(axis=1), excess(high_B)
    width_B = low_B
    for _ in range(STEPS):
        previous_B = width_B
        width_B = low_B + (high_B - low_B) * over_B / np.maximum(over_B - under_B, 1e-300)
        if (np.abs(width_B - previous_B) <= tolerance).all():
            break
        found_B = excess(width_B)
        above_B = found_B > 0
        under_B = np.where(above_B, np.where(previous_B == low_B, under_B / 2, under_B), found_B)
        over_B = np.where(above_B, found_B, np.where(previous_B == high_B, over_B / 2, over_B))
        low_B = np.where(above_B, width_B, low_B)
        high_B = np.where(above_B, high_B, width_B)
    return width_B


def risk_coverage(samples: Ranked) -> float:
    """AURC: the mean over i of the error rate of the i most confident, ties in random order.

    A wrong sample of rank r counts 1/i for every i >= r: a difference of harmonic numbers. Among
    `ties` of equal confidence, of which L come before, it counts on average
    (1/ties) sum_i (i - L)/i for the i of the ties.
    """
    total, last = 0.0, harmonic(np.array([float(samples.count)]))
    for odds in pieces(samples.wrong):
        before, after = _up_to(samples, odds, "left"), _up_to(samples, odds, "right")
        ties, end = after - before, harmonic(after)
        inside = 1.0 - before / ties * (end - harmonic(before))
        total += float((inside + last - end).sum())
    return total / samples.count


def _up_to(samples: Ranked, odds: Floats, side: Literal["left", "right"]) -> Floats:
    """How many samples are more confident, or as confident too, than each."""
    found = np.searchsorted(samples.right, odds, side) + np.searchsorted(samples.wrong, odds, side)
    return found.astype(np.float64)


def harmonic(numbers: Floats) -> Floats:
    """1 + 1/2 + ... + 1/n of each n: a table below 64, its asymptotic series (1e-16) from there."""
    large = np.maximum(numbers, 64.0)
    series = np.log(large) + np.euler_gamma + 0.5 / large - 1 / (12 * large**2)
    series += 1 / (120 * large**4) - 1 / (252 * large**6)
    table = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, 64))])
    small = np.minimum(numbers, 63).astype(np.int64)
    sums: Floats = np.where(numbers < 64, table[small], series)
    return sums


def coverages(samples: Ranked) -> tuple[Coverage, ...]:
    """Accuracy on the most confident shares; all ties of the last sample are covered."""
    order = np.sort(np.concatenate([samples.right, samples.wrong]))
    found = []
    for share in SHARES:
        odds = float(order[max(1, math.ceil(share * samples.count)) - 1])
        right = int(samples.right.searchsorted(odds, "right"))
        wrong = int(samples.wrong.searchsorted(odds, "right"))
        found.append(
            Coverage(
                coverage=(right + wrong) / samples.count,
                accuracy=right / (right + wrong),
                threshold=1.0 / (1.0 + odds),
            )
        )
    return tuple(found)


def share_above(samples: Ranked, confidence: float) -> float:
    """Share of the samples with a confidence above this one."""
    right, wrong = (
        int(side.searchsorted(odds_at(confidence))) for side in (samples.right, samples.wrong)
    )
    return (right + wrong) / samples.count
