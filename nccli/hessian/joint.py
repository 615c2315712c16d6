"""The joint Hessian in (W, H), K X + N D variables, through a problem in W alone.

N samples, K classes, X variables of a class, D features, B vectors, S of a search space. In blocks
(loss only)

    [ G    C ]     G the W block; F block diagonal, F_i = (1/N) W^T A_i W;
    [ C^T  F ]     C_i s = (1/N) [A_i W s h_i^T + g_i s^T],  g_i = p_i - y_i^delta.

Eliminating H: lambda above all eigenvalues of F is an eigenvalue if and only if it is one of

    T(lambda) = G + C (lambda - F)^{-1} C^T                                    (K X) x (K X),

a decreasing function of lambda, and then of the same rank from above. T is a power series in
1 / lambda, whose terms times a search space are kept: all wanted eigenvalues, each at its own
lambda, come from that one space, and a step costs one pass over the rows.

Source: nccli; checked against dense Hessians in the tests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from nccli.hessian.davidson import BASIS_BYTES, orthonormal
from nccli.hessian.elimination import Eliminated
from nccli.hessian.layer import LastLayer
from nccli.hessian.weight_block import SALT, TOLERANCE_DOUBLE, TOLERANCE_SINGLE, Solved
from nccli.logits import Floats

MAX_RATIO = 0.5  # of the largest eigenvalue of F to lambda: a term of the series is half the last
MAX_PASSES = 60
SEARCH_BYTES = 2**30  # of a search space and its terms; our own limit
NEWTON_STEPS = 100
ENOUGH = 1e-14  # relative, of a Newton step in the search space


def largest_joint(
    layer: LastLayer,
    start: Solved,
    *,
    label_smoothing: float,
    bound_h: float,
    wanted: int = 1,
    penalty_w: float = 0.0,
    penalty_h: float = 0.0,
    guess: Solved | None = None,
) -> Solved | None:
    """Return the largest eigenvalues of the joint Hessian, each certified in double.

    start: those of the W block, as many; bound_h: upper bound of the eigenvalues of F (loss only).
    guess: the answer without penalties, where that is known.
    None where F is not small beside the largest lambda, so that eliminating H would not converge;
    fewer than wanted where it is not small beside the later ones, or their search would take too
    much memory.
    """
    problem = Eliminated(
        layer=layer,
        label_smoothing=label_smoothing,
        bound_h=bound_h,
        penalty_w=penalty_w,
        penalty_h=penalty_h,
    )
    # interlacing: the W block is a part of the joint Hessian
    lows_B = [float(value) + penalty_w for value in start.values[:wanted]]
    lows_B = [low for low in lows_B if problem.ratio(low) <= MAX_RATIO]
    if not lows_B:
        return None
    tolerance = TOLERANCE_SINGLE if layer.dtype == np.float32 else 10 * TOLERANCE_DOUBLE
    kept = (_order(problem.ratio(lows_B[-1]), tolerance) + 2) * start.vectors_BKX[0].nbytes
    lows_B = lows_B[: max(1, SEARCH_BYTES // (3 * kept))]
    first = start if guess is None else guess
    # at a symmetric point the largest may lie where no product with these vectors leads
    random_BKX = np.random.default_rng(0).standard_normal(first.vectors_BKX.shape)
    vectors_BKX = first.vectors_BKX + SALT * random_BKX / math.sqrt(random_BKX[0].size)
    found = _search(problem, lows_B, vectors_BKX, tolerance)
    return _certified(replace(problem, layer=layer.precise), found, 10 * tolerance)


def _order(ratio: float, tolerance: float) -> int:
    """How many terms of the series count, where each is so much smaller than the last."""
    return 1 + (math.ceil(math.log(tolerance / 100) / math.log(ratio)) if ratio > 0 else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pairs:
    """Approximate eigenvalues of the joint Hessian and their part in W, largest first."""

    values_B: Floats
    vectors_BKX: Floats
    passes: int


def _search(
    problem: Eliminated, lows_B: list[float], vectors_BKX: Floats, tolerance: float
) -> _Pairs:
    """Block Davidson with T(lambda) as a series: the space grows by the residuals at each lambda.

    tolerance: of the residuals, relative to each eigenvalue.
    """
    shape, wanted, lowest = vectors_BKX.shape[1:], len(lows_B), lows_B[-1]
    order = _order(problem.ratio(lowest), tolerance)
    basis_SM = orthonormal(
        vectors_BKX.reshape(len(vectors_BKX), -1), np.zeros((0, math.prod(shape)))
    )
    series_TSM = problem.moments(basis_SM.reshape(-1, *shape), lowest, order).reshape(
        order + 1, *basis_SM.shape
    )
    most = max(3 * wanted + 2, BASIS_BYTES // ((order + 2) * basis_SM[0].nbytes))
    values_B = np.array(lows_B)
    for passes in range(1, MAX_PASSES + 1):
        small_TSS = series_TSM @ basis_SM.T
        small_TSS = (small_TSS + small_TSS.transpose(0, 2, 1)) / 2
        powers = _Powers(lowest=lowest, penalty_h=problem.penalty_h, order=order)
        turns_SB = np.empty((len(basis_SM), wanted))
        for rank in range(wanted):
            values_B[rank], turns_SB[:, rank] = _nonlinear(small_TSS, powers, rank, values_B[rank])
        terms_TB = np.stack([powers.at(value) for value in values_B], axis=1)
        images_BM = np.einsum("tb,sb,tsm->bm", terms_TB, turns_SB, series_TSM, optimize=True)
        found_BM = turns_SB.T @ basis_SM
        residuals_BM = images_BM - values_B[:, None] * found_BM
        open_B = np.linalg.norm(residuals_BM, axis=1) > tolerance * values_B
        new_SM = orthonormal(residuals_BM[open_B], basis_SM)
        if not len(new_SM) or passes == MAX_PASSES:
            break
        if len(basis_SM) + len(new_SM) > most:  # a new search space, of the best of the old
            kept_ZS = orthonormal(turns_SB.T, np.zeros((0, len(basis_SM))))
            basis_SM, series_TSM = kept_ZS @ basis_SM, kept_ZS @ series_TSM
            new_SM = orthonormal(new_SM, basis_SM)
        more_TSM = problem.moments(new_SM.reshape(-1, *shape), lowest, order)
        basis_SM = np.concatenate([basis_SM, new_SM])
        series_TSM = np.concatenate(
            [series_TSM, more_TSM.reshape(order + 1, *new_SM.shape)], axis=1
        )
    return _Pairs(values_B=values_B, vectors_BKX=found_BM.reshape(-1, *shape), passes=passes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Powers:
    """The powers of mu_lowest / mu, what the terms of T are multiplied by, and their derivative."""

    lowest: float
    penalty_h: float
    order: int

    def at(self, value: float) -> Floats:
        base = (self.lowest - self.penalty_h) / (value - self.penalty_h)
        powers_T: Floats = np.power(base, np.arange(self.order + 1.0))
        return powers_T

    def slope(self, value: float) -> Floats:
        slope_T: Floats = -np.arange(self.order + 1) * self.at(value) / (value - self.penalty_h)
        return slope_T


def _nonlinear(small_TSS: Floats, powers: _Powers, rank: int, value: float) -> tuple[float, Floats]:
    """The lambda that is the eigenvalue of its rank of T(lambda) on the space, by Newton steps."""
    for _ in range(NEWTON_STEPS):
        thetas_S, turns_SS = np.linalg.eigh(np.tensordot(powers.at(value), small_TSS, 1))
        theta, turn_S = float(thetas_S[-1 - rank]), turns_SS[:, -1 - rank]
        slope = float(turn_S @ np.tensordot(powers.slope(value), small_TSS, 1) @ turn_S)
        # theta' = -sum |s|^2: the Rayleigh quotient of (u, s)
        moved = (theta - value) / (1.0 - min(slope, 0.0))
        if moved > value:  # far off, where each step would only double it: theta is c^2 / lambda
            moved = math.sqrt(value * theta) - value
        # below the lowest the series has not been cut where it should
        moved = max(value + moved, powers.lowest) - value
        value += moved
        if abs(moved) <= ENOUGH * value:
            break
    return value, turn_S


def _certified(problem: Eliminated, found: _Pairs, tolerance: float) -> Solved:
    """The Rayleigh quotients and the residuals of the whole vectors (u, s), in double."""
    values_B, vectors_BKX = found.values_B, found.vectors_BKX
    image = problem.image(vectors_BKX, values_B)
    residuals_BKX = image.images_BKX - values_B[:, None, None] * vectors_BKX
    lengths_B = 1.0 + image.squares_B
    changes_B = (residuals_BKX * vectors_BKX).sum(axis=(1, 2)) / lengths_B
    # the residual belongs to the value; moving to the Rayleigh quotient can only make it smaller
    squares_B = np.square(residuals_BKX).sum(axis=(1, 2)) + image.lost_B
    errors_B = np.sqrt(squares_B / lengths_B) + 4 * np.finfo(np.float64).eps * values_B
    order = np.argsort(-(values_B + changes_B), kind="stable")
    return Solved(
        values=(values_B + changes_B)[order],
        errors=errors_B[order],
        vectors_BKX=vectors_BKX[order],
        passes=found.passes + 1,
        converged=bool(np.all(errors_B <= tolerance * values_B)),
    )
