"""One pass over the logits of a split: everything that its scores and resamples are made of.

N samples, K classes, n rows of a block. What belongs to the top label is kept as one number a
sample (the signed odds); what belongs to every class is summed by class and bin (`class_cells`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from nccli.calibration.class_cells import (
    ClassCells,
    Groups,
    GroupSums,
    add_cells,
    class_places,
)
from nccli.calibration.kernel import Softmax, brier_rows, own_room, softmax_block
from nccli.calibration.predictions import Numbers, Predictions
from nccli.collapse.spans import Span
from nccli.logits import Floats, Integers


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """By what the logits of a row are multiplied: 1/T of the fold that it lies in."""

    inverses_F: Floats
    folds_N: Integers

    def of(self, rows: slice, dtype: np.dtype[np.floating]) -> Numbers:
        """1/T of some rows."""
        scale_N: Numbers = self.inverses_F[self.folds_N[rows]].astype(dtype)
        return scale_N


@dataclass(frozen=True, slots=True, kw_only=True)
class TopClasses:
    """Sums by predicted class (K,)."""

    counts_K: Floats
    gaps_K: Floats  # sum of confidence - right
    rights_K: Floats
    variances_K: Floats  # sum of confidence (1 - confidence)

    @classmethod
    def zeros(cls, num_classes: int) -> TopClasses:
        """Nothing counted yet."""
        return cls(
            counts_K=np.zeros(num_classes),
            gaps_K=np.zeros(num_classes),
            rights_K=np.zeros(num_classes),
            variances_K=np.zeros(num_classes),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What one pass leaves."""

    odds_N: Floats  # odds against the prediction, with the sign bit set where it is wrong
    nll: float  # sums
    brier: float
    cells: ClassCells | None
    top: TopClasses
    grouped: GroupSums | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What a pass sums beside NLL and Brier."""

    num_bins: int
    classwise: bool
    by_top: bool
    groups: Groups | None


def collect(
    found: Predictions,
    *,
    num_bins: int,
    classwise: bool = True,
    by_top: bool = True,
    groups: Groups | None = None,
    scaling: Scaling | None = None,
) -> Statistics:
    """Run once through the logits.

    classwise, by_top: whether class cells and tops are summed. groups: what is summed by group too.
    """
    wanted = _Wanted(num_bins=num_bins, classwise=classwise, by_top=by_top, groups=groups)
    odds_N, total = np.empty(found.count), _Sums.zeros(found.num_classes, wanted)
    parts = found.over(found.spans(total.nbytes), _part, odds_N, wanted, scaling)
    for part in parts:
        total.add(part)
    return Statistics(
        odds_N=odds_N,
        nll=float(total.scalars[0]),
        brier=float(total.scalars[1]),
        cells=total.cells,
        top=total.top,
        grouped=total.grouped,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sums:
    """What the rows of a span add up to."""

    scalars: Floats  # NLL, Brier
    top: TopClasses
    cells: ClassCells | None
    grouped: GroupSums | None

    @classmethod
    def zeros(cls, num_classes: int, wanted: _Wanted) -> _Sums:
        """Nothing summed yet."""
        bins, groups = wanted.num_bins, wanted.groups
        return cls(
            scalars=np.zeros(2),
            top=TopClasses.zeros(num_classes),
            cells=ClassCells.zeros(num_classes, bins) if wanted.classwise else None,
            grouped=None if groups is None else GroupSums.zeros(groups, num_classes, bins),
        )

    def _arrays(self) -> list[Floats]:
        parts = [part for part in (self.top, self.cells, self.grouped) if part is not None]
        return [self.scalars, *(getattr(part, one.name) for part in parts for one in fields(part))]

    @property
    def nbytes(self) -> int:
        """Size of the sums."""
        return sum(array.nbytes for array in self._arrays())

    def add(self, other: _Sums) -> None:
        """Take what another span has."""
        for own, more in zip(self._arrays(), other._arrays(), strict=True):
            own += more


def softmax_blocks(
    found: Predictions, span: Span, scaling: Scaling | None
) -> Iterator[tuple[slice, Softmax]]:
    """Yield (rows, softmax) of the blocks of a span, scaled; valid until the next is asked for."""
    room = own_room()
    for rows, logits_NK in found.blocks(span):
        scale_N = None if scaling is None else scaling.of(rows, logits_NK.dtype)
        yield rows, softmax_block(logits_NK, found.labels_N[rows], room, scale_N)


def nll_rows(block: Softmax) -> Floats:
    """-log p_y of each row (n,)."""
    losses_N: Floats = np.log1p(block.odds_N) + block.margin_N
    return losses_N


def _part(
    found: Predictions, span: Span, odds_N: Floats, wanted: _Wanted, scaling: Scaling | None
) -> _Sums:
    sums = _Sums.zeros(found.num_classes, wanted)
    for rows, block in softmax_blocks(found, span, scaling):
        odds_N[rows] = np.copysign(block.odds_N, np.where(block.right_N, 1.0, -1.0))
        nll_N, brier_N = nll_rows(block), brier_rows(block)
        sums.scalars[:] += nll_N.sum(), brier_N.sum()
        if wanted.by_top:
            _add_top(sums.top, block)
        labels_N = found.labels_N[rows]
        places = class_places(block, labels_N, wanted.num_bins) if wanted.classwise else None
        if sums.cells is not None and places is not None:
            add_cells(sums.cells, block, labels_N, places)
        if sums.grouped is not None and wanted.groups is not None:
            own_N = wanted.groups.own_N[rows]
            sums.grouped.add_losses(own_N, nll_N, brier_N)
            if wanted.groups.classwise and places is not None:
                sums.grouped.add_cells(own_N, block, labels_N, places)
    return sums


def _add_top(top: TopClasses, block: Softmax) -> None:
    classes, odds_N = len(top.counts_K), block.odds_N
    confidence_N = 1.0 / (1.0 + odds_N)
    doubt_N = odds_N * confidence_N
    gaps_N = np.where(block.right_N, -doubt_N, confidence_N)
    for sums_K, weights_N in (
        (top.counts_K, None),
        (top.gaps_K, gaps_N),
        (top.rights_K, block.right_N),
        (top.variances_K, confidence_N * doubt_N),
    ):
        sums_K += np.bincount(block.top_N, weights=weights_N, minlength=classes)
