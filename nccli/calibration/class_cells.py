"""Sums by class and bin of every p_k, of all samples, and group by group for resamples.

n rows of a block, K classes, B bins, G groups, R resamples. Only probabilities above 1/B are looked
at one by one: all others share the first bin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nccli.calibration.bins import ON_EDGE
from nccli.calibration.kernel import Softmax
from nccli.calibration.noise import unfolded_bias
from nccli.logits import Floats, Integers

TOGETHER = 128  # resamples at a time


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


def _class_sums(block: Softmax) -> Floats:
    """Sum over rows of p_k (K,), the tops left out."""
    weights_N = (1.0 / (1.0 + block.odds_N)).astype(block.exponentials.dtype)
    by_class = block.exponentials if block.axis == 0 else block.exponentials.T
    sums_K: Floats = (by_class @ weights_N).astype(np.float64)
    return sums_K


def _first_bin_rest(
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


def add_cells(cells: ClassCells, block: Softmax, labels_N: Integers, places: ClassPlaces) -> None:
    """Add a block of rows."""
    classes, num_bins = cells.gaps_KB.shape
    flat = places.classes_M * num_bins + places.bins_M
    size = classes * num_bins
    cells.gaps_KB.ravel()[:] += np.bincount(flat, weights=places.gaps_M, minlength=size)
    counts_KB = np.bincount(flat, minlength=size).reshape(classes, num_bins)
    cells.counts_KB[:] += counts_KB
    cells.counts_KB[:, 0] += len(labels_N) - counts_KB.sum(axis=1)
    _, rest_classes, rest = _first_bin_rest(places, labels_N, block.top_N)
    cells.gaps_KB[:, 0] += _class_sums(block)
    cells.gaps_KB[:, 0] += np.bincount(rest_classes, weights=rest, minlength=classes)


# --- by group -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Which group each sample belongs to; classwise: whether class cells are summed by group."""

    own_N: Integers
    count: int
    classwise: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSums:
    """Sums over groups: NLL and Brier (2, G); by class and bin, where wanted, (G, K, B)."""

    linear_2G: Floats
    gaps_GKB: Floats
    counts_GKB: Floats

    @classmethod
    def zeros(cls, groups: Groups, num_classes: int, num_bins: int) -> GroupSums:
        """Nothing summed yet."""
        shape = (groups.count, num_classes * groups.classwise, num_bins)
        return cls(
            linear_2G=np.zeros((2, groups.count)),
            gaps_GKB=np.zeros(shape),
            counts_GKB=np.zeros(shape),
        )

    def add_losses(self, own_N: Integers, nll_N: Floats, brier_N: Floats) -> None:
        """Add rows of these groups."""
        for sums_G, rows_N in zip(self.linear_2G, (nll_N, brier_N), strict=True):
            sums_G += np.bincount(own_N, weights=rows_N, minlength=len(sums_G))

    def add_cells(
        self, own_N: Integers, block: Softmax, labels_N: Integers, places: ClassPlaces
    ) -> None:
        """Add the class cells of a block."""
        gaps_GKB, counts_GKB = self.gaps_GKB, self.counts_GKB
        _add_first(gaps_GKB, block, own_N)
        rest_rows, rest_classes, rest = _first_bin_rest(places, labels_N, block.top_N)
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


def cell_scores(
    weights_RG: Floats, sums: GroupSums, count_R: Floats
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
