"""Which class centre is nearest, and which logit is largest, without computing most of them.

N samples of a block, C classes of the network, K of them present, D features, R directions.

A residual r = h - mu_y that is short beside the distance from mu_y to every rival decides both
questions by itself: that proves most rows of a network that has begun to collapse. The others are
decided by a product in the working precision where it leaves no doubt, and in double where the
first two come within its rounding error of each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nccli.collapse.centres import Centres, squared_distances
from nccli.logits import Floats, Integers

Numbers = NDArray[Any]

_CACHED_BYTES = 2**20
_SLACK = 1e-4  # proofs must hold with this to spare: norms are rounded, too


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """A block of rows seen from (rounded) class centres."""

    features_ND: Numbers
    labels_N: Integers
    residuals_ND: Numbers
    norms_N: Floats  # of the residuals
    projected_NR: Numbers  # residuals in the scaled basis
    projected_norms_N: Floats
    weights_N: Floats  # how often each row counts

    def rows(self, picked_N: Integers | slice) -> Residuals:
        """Return some of the rows."""
        return Residuals(
            **{field.name: getattr(self, field.name)[picked_N] for field in fields(self)}
        )

    @classmethod
    def joined(cls, blocks: list[Residuals]) -> Residuals:
        """Put blocks together."""
        return cls(
            **{
                field.name: np.concatenate([getattr(block, field.name) for block in blocks])
                for field in fields(cls)
            }
        )


def few_rows(count: int, num_classes: int) -> Iterator[slice]:
    """Cut rows so that a number for each class of each of them stays in a core's cache."""
    step = max(1, _CACHED_BYTES // (8 * num_classes))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _rounding(dtype: np.dtype[Any], length: int) -> float:
    """Bound of the relative error of a dot product: length times the machine epsilon."""
    return float((length + 8) * np.finfo(dtype).eps)


def _crossing(centres: Centres) -> float:
    """How much an error of each projection, in its own scale, can count in any direction."""
    if not len(centres.variances_R):
        return 1.0
    squash = np.sqrt(centres.variances_R[0] / centres.variances_R[-1])
    return float(squash * np.sqrt(len(centres.variances_R)))


def _pairwise_squares(rows_KD: Floats) -> Floats:
    """Squared distances between all pairs of rows, never too small: bounds need no more digits."""
    scale = float(np.abs(rows_KD).max(initial=0.0)) or 1.0
    single_KD = (rows_KD / scale).astype(np.float32)
    squares_K = np.vecdot(single_KD, single_KD)
    distances_KK = single_KD @ single_KD.T
    distances_KK *= -2.0
    distances_KK += squares_K[:, None]
    distances_KK += squares_K[None, :]
    distances_KK += _rounding(single_KD.dtype, single_KD.shape[1]) * squares_K.max(initial=0.0)
    squares_KK: Floats = np.maximum(distances_KK, 0.0).astype(np.float64)
    with np.errstate(over="ignore"):  # infinite bounds prove nothing
        return squares_KK * scale * scale


# --- the nearest class centre -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """Finds the nearest of the class centres of a frame."""

    present: Integers
    centred_KD: Floats
    grand_mean_D: Floats
    weights_RK: Numbers  # centred means in the basis: products with projections give c_k . r
    table_CK: Numbers  # |mu_y - mu_k|^2 / 2; from mu_G for a class y without a centre
    rounded_C: Floats  # how far the rounded centres are from mu_y
    reach_C: Floats  # residuals shorter than this, within the span, stay nearest to their mean
    size: float  # the largest norm of a centred mean
    stretch: float  # square root of the largest eigenvalue of Sigma_B
    crossing: float  # how much the rounding of projections can count

    @classmethod
    def of(cls, centres: Centres, rounded_C: Floats, dtype: np.dtype[Any]) -> Nearest:
        """Prepare for the centres of a split, rounded by `rounded_C` to the working precision."""
        centred_KD, grand_mean_D = centres.centred_KD, centres.grand_mean_D
        root_R = np.sqrt(centres.variances_R)
        table_CK = _half_squares(centres, centred_KD)
        return cls(
            present=centres.present,
            centred_KD=centred_KD,
            grand_mean_D=grand_mean_D,
            weights_RK=np.ascontiguousarray((centred_KD @ centres.basis_DR * root_R).T, dtype),
            table_CK=table_CK.astype(dtype),
            rounded_C=rounded_C,
            reach_C=_reach(centres.present, table_CK) - rounded_C,
            size=float(np.linalg.norm(centred_KD, axis=1).max()),
            stretch=float(root_R[0]) if len(root_R) else 0.0,
            crossing=_crossing(centres),
        )

    def find(self, block: Residuals) -> Integers:
        """Return the class of the nearest centre of each row; the first one where two are equal."""
        nearest_N = block.labels_N.copy()
        open_N = np.flatnonzero(~self.proven(block))
        for part in few_rows(len(open_N), len(self.present)):
            nearest_N[open_N[part]] = self._computed(block.rows(open_N[part]))
        return nearest_N

    def proven(self, block: Residuals) -> NDArray[np.bool_]:
        """Tell of which rows it is certain that the nearest centre is that of their own class."""
        error = 2 * _rounding(self.weights_RK.dtype, block.features_ND.shape[1]) * self.crossing
        within_N = self.stretch * block.projected_norms_N + error * block.norms_N
        proven: NDArray[np.bool_] = (
            np.minimum(within_N, block.norms_N) * (1 + _SLACK) < self.reach_C[block.labels_N]
        )
        return proven

    def _computed(self, block: Residuals) -> Integers:
        scores_NK = block.projected_NR @ self.weights_RK
        own_NK = self.table_CK[block.labels_N]
        largest_N = own_NK.max(axis=1).astype(np.float64)
        scores_NK -= own_NK
        rounding = _rounding(scores_NK.dtype, block.features_ND.shape[1])
        crossing = 1.0 + np.sqrt(len(self.weights_RK))
        error_N = 2.0 * rounding * crossing * self.size * block.norms_N
        error_N += 2.0 * self.size * self.rounded_C[block.labels_N]
        error_N += 8.0 * np.finfo(scores_NK.dtype).eps * largest_N
        best_N, gaps_N = _two_best(scores_NK)
        doubtful = np.flatnonzero(~(gaps_N > 2.0 * error_N))
        if len(doubtful):
            best_N[doubtful] = self._exact(block.features_ND[doubtful])
        found: Integers = self.present[best_N]
        return found

    def _exact(self, features_ND: Numbers) -> Integers:
        # argmin of norm(h - mu_k)^2 / 2, less norm(h)^2 / 2, measured from the mean of the centres
        half_K = 0.5 * np.einsum("kd,kd->k", self.centred_KD, self.centred_KD)
        centred_ND = features_ND.astype(np.float64) - self.grand_mean_D
        nearest: Integers = (half_K - centred_ND @ self.centred_KD.T).argmin(axis=1)
        return nearest


def _half_squares(centres: Centres, centred_KD: Floats) -> Floats:
    halves_CK = np.empty((len(centres.counts_C), len(centred_KD)))
    halves_CK[centres.present] = 0.5 * squared_distances(centred_KD)
    absent_C = centres.counts_C == 0  # their rows are seen from the mean of the centres
    halves_CK[absent_C] = 0.5 * np.einsum("kd,kd->k", centred_KD, centred_KD)
    return halves_CK


def _reach(present: Integers, table_CK: Floats) -> Floats:
    """How far a residual may lead from each centre: half way to the nearest other one."""
    reach_C = np.full(len(table_CK), -np.inf)  # a class without a centre proves nothing
    halves_KK = table_CK[present]
    np.fill_diagonal(halves_KK, np.inf)
    # what the table has lost to rounding must not prove anything either
    doubt = 64 * np.finfo(np.float64).eps * float(table_CK.max())
    reach_C[present] = np.sqrt(0.5 * np.maximum(halves_KK.min(axis=1) - doubt, 0.0))
    return reach_C


def _two_best(scores_NK: Numbers) -> tuple[Integers, Floats]:
    """The largest score of each row, and how far it is above the second; the scores are used up."""
    best_N = scores_NK.argmax(axis=1)
    rows = np.arange(len(best_N))
    top_N = scores_NK[rows, best_N]
    scores_NK[rows, best_N] = -np.inf
    return best_N, (top_N - scores_NK.max(axis=1)).astype(np.float64)


# --- the largest logit --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """The classifier, seen from the class centres of a frame: z = W mu_y + b + W r."""

    weight_CD: Floats
    bias_C: Floats
    rounded_DC: Numbers  # its transpose in the working precision
    size: float  # the largest norm of its rows
    at_centres_CC: Floats  # row y: the logits at the (rounded) centre of class y
    largest_C: Floats  # and the largest size of one of them
    slope_C: Floats  # the argmax stays y while slope |projection| + tilt |residual| < 1
    tilt_C: Floats
    steep_C: Floats  # and while steep |residual| < 1: the better proof where Sigma_B is uneven

    @classmethod
    def of(
        cls, weight_CD: Floats, bias_C: Floats, centres_CD: Numbers, centres: Centres
    ) -> Predictor:
        """Prepare for a classifier and the (rounded) centres of a frame."""
        at_centres_CC = centres_CD.astype(np.float64) @ weight_CD.T + bias_C
        inside_CR = weight_CD @ centres.basis_DR
        outside_CD = weight_CD - inside_CR @ centres.basis_DR.T
        margins_CC = at_centres_CC.diagonal()[:, None] - at_centres_CC
        np.fill_diagonal(margins_CC, np.inf)
        largest_C = np.abs(at_centres_CC).max(axis=1)
        # the others are not predicted at their own centre, or only as far as rounding can tell
        led_C = margins_CC.min(axis=1) > 64 * np.finfo(np.float64).eps * largest_C
        margins_CC[~led_C] = 1.0
        outside_CC = _pairwise_squares(outside_CD)
        slope_C = _steepest(_pairwise_squares(inside_CR * np.sqrt(centres.variances_R)), margins_CC)
        tilt_C = _steepest(outside_CC, margins_CC)
        rounding = 2 * _rounding(centres_CD.dtype, centres_CD.shape[1]) * _crossing(centres)
        steep_C = _steepest(outside_CC + _pairwise_squares(inside_CR), margins_CC)
        tilt_C += rounding * steep_C
        slope_C[~led_C] = np.inf
        steep_C[~led_C] = np.inf
        return cls(
            weight_CD=weight_CD,
            bias_C=bias_C,
            rounded_DC=np.ascontiguousarray(weight_CD.T, centres_CD.dtype),
            size=float(np.linalg.norm(weight_CD, axis=1).max()),
            at_centres_CC=at_centres_CC,
            largest_C=largest_C,
            slope_C=slope_C,
            tilt_C=tilt_C,
            steep_C=steep_C,
        )

    def logits(self, block: Residuals) -> Floats:
        """Return the logits (N, C) of a block."""
        logits_NC: Floats = self.at_centres_CC[block.labels_N]
        logits_NC += block.residuals_ND @ self.rounded_DC
        return logits_NC

    def predict(self, block: Residuals) -> Integers:
        """Return the class of the largest logit; the first one where two are equal."""
        predicted_N = block.labels_N.copy()
        open_N = np.flatnonzero(~self.proven(block))
        for part in few_rows(len(open_N), len(self.bias_C)):
            rows = block.rows(open_N[part])
            best_N, gaps_N = _two_best(self.logits(rows))
            predicted_N[open_N[part]] = self.settle(rows, best_N, gaps_N)
        return predicted_N

    def proven(self, block: Residuals) -> NDArray[np.bool_]:
        """Tell of which rows it is certain that the largest logit is that of their own class."""
        with np.errstate(invalid="ignore"):  # infinite slope times a residual of 0
            used_N = self.slope_C[block.labels_N] * block.projected_norms_N
            used_N += self.tilt_C[block.labels_N] * block.norms_N
            used_N = np.fmin(used_N, self.steep_C[block.labels_N] * block.norms_N)
        proven: NDArray[np.bool_] = used_N < 1.0 - _SLACK
        return proven

    def settle(self, block: Residuals, best_N: Integers, gaps_N: Floats) -> Integers:
        """Return the predictions, those in double where the first two logits are close."""
        doubtful = np.flatnonzero(~(gaps_N > 2.0 * self._error(block)))
        if len(doubtful):
            exact_NC = block.features_ND[doubtful].astype(np.float64) @ self.weight_CD.T
            best_N[doubtful] = (exact_NC + self.bias_C).argmax(axis=1)
        return best_N

    def _error(self, block: Residuals) -> Floats:
        """How far from the truth a logit of each row may be."""
        rounding = _rounding(block.residuals_ND.dtype, block.residuals_ND.shape[1])
        error_N = rounding * self.size * block.norms_N
        error_N += 8 * np.finfo(np.float64).eps * self.largest_C[block.labels_N]
        error_N += 8 * np.finfo(np.float64).eps * self.size * block.norms_N
        return error_N


def _steepest(squares_CC: Floats, margins_CC: Floats) -> Floats:
    steepest: Floats = (np.sqrt(squares_CC) / margins_CC).max(axis=1)
    return steepest
