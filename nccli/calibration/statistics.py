"""One pass over the logits of a split: everything that its scores are made of.

N samples, K classes, B bins, G groups of samples, n rows of a block. What belongs to the top label
is kept as one number a sample (the signed odds); what belongs to every class is summed by class and
bin, where only probabilities above 1/B are looked at one by one: all others share the first bin.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nccli.calibration.kernel import Softmax, brier_rows, own_room, softmax_block
from nccli.calibration.predictions import Numbers, Predictions
from nccli.collapse.spans import Span
from nccli.logits import Floats, Integers

ON_EDGE = 8 * np.finfo(np.float64).eps  # relative: what lies as close to an edge lies on it


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
class ClassCells:
    """Sums by class and bin of p_k, (K, B); a bin is (i/B, (i+1)/B]."""

    gaps_KB: Floats  # sum of p_k - [k = y]
    counts_KB: Floats

    @classmethod
    def zeros(cls, num_classes: int, num_bins: int) -> ClassCells:
        """Nothing counted yet."""
        shape = (num_classes, num_bins)
        return cls(gaps_KB=np.zeros(shape), counts_KB=np.zeros(shape))


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


def collect(
    found: Predictions,
    *,
    num_bins: int,
    classwise: bool = True,
    by_top: bool = True,
    scaling: Scaling | None = None,
) -> Statistics:
    """Run once through the logits; classwise, by_top: whether class cells and tops are summed."""
    classes = found.num_classes
    cells = ClassCells.zeros(classes, num_bins) if classwise else None
    top = TopClasses.zeros(classes)
    odds_N, scalars = np.empty(found.count), np.zeros(2)
    spans = found.spans(16 * classes * num_bins if classwise else 0)
    parts = found.over(spans, _part, odds_N, num_bins, classwise, by_top, scaling)
    for part_scalars, part_top, part_cells in parts:
        scalars += part_scalars
        for name in ("counts_K", "gaps_K", "rights_K", "variances_K"):
            getattr(top, name)[:] += getattr(part_top, name)
        if cells is not None and part_cells is not None:
            cells.gaps_KB[:] += part_cells.gaps_KB
            cells.counts_KB[:] += part_cells.counts_KB
    return Statistics(
        odds_N=odds_N, nll=float(scalars[0]), brier=float(scalars[1]), cells=cells, top=top
    )


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
    found: Predictions,
    span: Span,
    odds_N: Floats,
    num_bins: int,
    classwise: bool,
    by_top: bool,
    scaling: Scaling | None,
) -> tuple[Floats, TopClasses, ClassCells | None]:
    scalars, top = np.zeros(2), TopClasses.zeros(found.num_classes)
    cells = ClassCells.zeros(found.num_classes, num_bins) if classwise else None
    for rows, block in softmax_blocks(found, span, scaling):
        odds_N[rows] = np.copysign(block.odds_N, np.where(block.right_N, 1.0, -1.0))
        scalars += nll_rows(block).sum(), brier_rows(block).sum()
        if by_top:
            _add_top(top, block)
        if cells is not None:
            labels_N = found.labels_N[rows]
            places = class_places(block, labels_N, num_bins)
            _add_cells(cells, block, labels_N, places)
    return scalars, top, cells


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


# --- every class --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPlaces:
    """The entries of a block that lie outside the first bin, or may: M of them."""

    rows_M: Integers
    classes_M: Integers
    bins_M: Integers
    p_M: Floats
    gaps_M: Floats  # p - [k = y], without cancellation at the top


def class_places(block: Softmax, labels_N: Integers, num_bins: int) -> ClassPlaces:
    """Find the probabilities above 1/B, and the tops whatever they are."""
    totals_N = (1.0 + block.odds_N) / num_bins
    least = block.along((totals_N * (1.0 - 1e-6)).astype(block.exponentials.dtype))
    flat = np.flatnonzero(block.exponentials > least)
    first, second = np.divmod(flat, block.exponentials.shape[1])
    rows_M, classes_M = (second, first) if block.axis == 0 else (first, second)
    confidence_N = 1.0 / (1.0 + block.odds_N)
    p_M = block.exponentials.ravel()[flat] * confidence_N[rows_M]
    gaps_M = p_M - (classes_M == labels_N[rows_M])
    top_gaps_N = np.where(block.right_N, -block.odds_N * confidence_N, confidence_N)
    p_M = np.concatenate([p_M, confidence_N])
    # (i/B, (i + 1)/B]
    bins_M = np.ceil(p_M * (num_bins * (1.0 - ON_EDGE))).astype(np.int64) - 1
    return ClassPlaces(
        rows_M=np.concatenate([rows_M, np.arange(len(labels_N))]),
        classes_M=np.concatenate([classes_M, block.top_N]),
        bins_M=np.maximum(bins_M, 0),
        p_M=p_M,
        gaps_M=np.concatenate([gaps_M, top_gaps_N]),
    )


def class_sums(block: Softmax) -> Floats:
    """Sum over rows of p_k (K,), the tops left out."""
    weights_N = (1.0 / (1.0 + block.odds_N)).astype(block.exponentials.dtype)
    by_class = block.exponentials if block.axis == 0 else block.exponentials.T
    sums_K: Floats = (by_class @ weights_N).astype(np.float64)
    return sums_K


def first_bin_rest(
    places: ClassPlaces, labels_N: Integers, top_N: Integers
) -> tuple[Integers, Integers, Floats]:
    """What the sums over all rows hold too much of in the first bin: rows, classes, gaps.

    Sums over all rows have p of every entry that is no top, and no label.
    """
    listed = len(places.p_M) - len(top_N)  # the tops are not in the sums
    # a label that is not listed lies in the first bin: the sums lack its -1
    rows = np.arange(len(labels_N))
    seen_N = top_N == labels_N
    own = places.classes_M[:listed] == labels_N[places.rows_M[:listed]]
    seen_N[places.rows_M[:listed][own]] = True
    missing = np.flatnonzero(~seen_N)
    return (
        np.concatenate([places.rows_M[:listed], rows[missing]]),
        np.concatenate([places.classes_M[:listed], labels_N[missing]]),
        np.concatenate([-places.p_M[:listed], np.full(len(missing), -1.0)]),
    )


def _add_cells(cells: ClassCells, block: Softmax, labels_N: Integers, places: ClassPlaces) -> None:
    classes, num_bins = cells.gaps_KB.shape
    flat = places.classes_M * num_bins + places.bins_M
    size = classes * num_bins
    cells.gaps_KB.ravel()[:] += np.bincount(flat, weights=places.gaps_M, minlength=size)
    counts_KB = np.bincount(flat, minlength=size).reshape(classes, num_bins)
    cells.counts_KB[:] += counts_KB
    cells.counts_KB[:, 0] += len(labels_N) - counts_KB.sum(axis=1)
    _, rest_classes, rest = first_bin_rest(places, labels_N, block.top_N)
    cells.gaps_KB[:, 0] += class_sums(block)
    cells.gaps_KB[:, 0] += np.bincount(rest_classes, weights=rest, minlength=classes)


def bin_edges(num_bins: int) -> Floats:
    """The edges i/B, each the nearest double (linspace is off by one unit in places)."""
    edges: Floats = np.arange(num_bins + 1) / num_bins
    return edges
