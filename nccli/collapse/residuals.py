"""What the second pass over a split needs, and the sums over rows that come out of it.

C classes of the network, D features, R directions.

Residuals of float32 features are formed and multiplied in float32 (`second_pass`); what the
rounding of the class means to float32 adds is known, and taken off again here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nccli.collapse.centres import Centres
from nccli.collapse.deciding import Nearest, Predictor
from nccli.logits import Floats, Integers

Numbers = NDArray[Any]

MAX_EXACT = 128  # directions up to which far rows are projected again in double


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Class centres in the working precision, with the basis in which Sigma_B is the identity."""

    centres_CD: Numbers
    basis_DR: Numbers  # column j is q_j / sqrt(lambda_j): squared projections add up to NC1
    shift_CR: Floats  # what rounding has taken from the centres, in that basis
    shift_C: Floats  # and the square of its norm
    exact_DR: Floats | None  # the basis before rounding, for the rows that count most

    @classmethod
    def of(cls, centres: Centres, dtype: np.dtype[Any]) -> Frame:
        """Round the centres of a split to the working precision."""
        means_CD = centres.means_CD.copy()
        means_CD[centres.counts_C == 0] = centres.grand_mean_D  # rows of such a class are seen so
        rounded_CD = means_CD.astype(dtype)
        moved_CD = means_CD - rounded_CD
        scaled_DR = centres.basis_DR / np.sqrt(centres.variances_R)
        exact = scaled_DR.dtype != dtype and scaled_DR.shape[1] <= MAX_EXACT
        return cls(
            centres_CD=rounded_CD,
            basis_DR=scaled_DR.astype(dtype),
            exact_DR=scaled_DR if exact else None,
            shift_CR=moved_CD @ scaled_DR,
            shift_C=np.einsum("cd,cd->c", moved_CD, moved_CD),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the second pass over a split needs; it travels to other processes."""

    split: str
    own: Frame  # around the means of the split itself
    train: Frame | None  # around those of the train split, where they are others
    nearest: Nearest | None  # of the train centres
    predictor: Predictor | None
    stored_logits: bool  # the network's predictions are in the file
    label_smoothing: float | None  # None: leave out what needs every logit
    block_rows: int

    @property
    def tracks_drift(self) -> bool:
        """Sum projections by class: it is cheap where a block has rows of every class, and with
        fewer rows of a class the first pass has no rounding worth undoing.
        """
        return len(self.own.shift_C) <= self.block_rows

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames that rows are seen from; predictions are seen from the last one."""
        return (self.own,) if self.train is None else (self.own, self.train)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSums:
    """Sums over rows; those of several spans add up."""

    scatter_C: Floats  # of |projection|^2 in the scaled basis, by class
    drift_CR: Floats  # of the projections: 0 around a class's own mean, but for rounding
    squares_C: Floats  # of |h - mu|^2
    train_scatter_C: Floats  # the same around the train means
    train_drift_CR: Floats
    correct_C: Floats  # rows with argmax(W h + b) = y
    astray_C: Floats  # rows whose nearest centre is not argmax(W h + b)
    norms: Floats  # (2,): of |h| and of |h|^2
    scores: Floats  # (3,): of losses, of spreads, and rows that have a spread
    confused: Integers  # (2, M): y * C + argmax of wrong predictions, and how often each

    @classmethod
    def zero(cls, plan: Plan) -> RowSums:
        """Return the sums over no rows."""
        classes = len(plan.own.shift_C)
        ranks = [frame.shift_CR.shape[1] * plan.tracks_drift for frame in plan.frames]
        return cls(
            scatter_C=np.zeros(classes),
            drift_CR=np.zeros((classes, ranks[0])),
            squares_C=np.zeros(classes),
            train_scatter_C=np.zeros(classes),
            train_drift_CR=np.zeros((classes, ranks[-1])),
            correct_C=np.zeros(classes),
            astray_C=np.zeros(classes),
            norms=np.zeros(2),
            scores=np.zeros(3),
            confused=np.zeros((2, 0), np.int64),
        )

    @property
    def nbytes(self) -> int:
        """How much memory they take."""
        return sum(getattr(self, field.name).nbytes for field in fields(self))

    @property
    def finite(self) -> bool:
        """Whether no sum has left the range of its numbers."""
        return all(np.isfinite(getattr(self, field.name)).all() for field in fields(self))

    def plus(self, other: RowSums) -> RowSums:
        """Add the sums over other rows; the arrays of this one are used up."""
        for field in fields(self):
            if field.name != "confused":
                getattr(self, field.name)[...] += getattr(other, field.name)
        confused = np.concatenate([self.confused, other.confused], axis=1)
        return replace(self, confused=count_codes(confused))


def count_codes(pairs: Integers) -> Integers:
    """Add up the second row of (2, M) by the codes of the first, in their order."""
    codes, places = np.unique(pairs[0], return_inverse=True)
    counts = np.bincount(places, weights=pairs[1], minlength=len(codes))
    return np.stack([codes, counts.astype(np.int64)])


def own_scatter(frame: Frame, counts_C: Integers, sums: RowSums) -> Floats:
    """Return sums (C,) of (h - mu)^T Sigma_B^+ (h - mu) around the unrounded own means.

    The mean residual of a class is zero: what is left of it is the rounding of the first pass.
    """
    found_C = _unrounded(frame, counts_C, sums.scatter_C, sums.drift_CR)
    if sums.drift_CR.size:
        left_CR = sums.drift_CR - counts_C[:, None] * frame.shift_CR
        found_C -= np.einsum("cr,cr->c", left_CR, left_CR) / np.maximum(counts_C, 1)
    return np.maximum(found_C, 0.0)


def train_scatter(frame: Frame, counts_C: Integers, sums: RowSums) -> Floats:
    """Return sums (C,) of the same around the means of the train split, with its Sigma_B."""
    found_C = _unrounded(frame, counts_C, sums.train_scatter_C, sums.train_drift_CR)
    return np.maximum(found_C, 0.0)


def _unrounded(frame: Frame, counts_C: Integers, scatter_C: Floats, drift_CR: Floats) -> Floats:
    shifted_C = counts_C * np.einsum("cr,cr->c", frame.shift_CR, frame.shift_CR)
    if not drift_CR.size:  # taken to be what rounding the centres made of it
        return np.asarray(scatter_C - shifted_C)
    crossed_C = 2.0 * np.einsum("cr,cr->c", drift_CR, frame.shift_CR)
    return np.asarray(scatter_C - crossed_C + shifted_C)
