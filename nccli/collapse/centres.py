"""Class means of a split and the span of the centred ones (the first of two passes).

N samples, C classes of the network, K of them present in the split, D features, R directions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nccli.checkpoint import Checkpoint, LazyArray
from nccli.collapse.spans import Span, Threads, Workers, block_rows, spans_of
from nccli.errors import ContentError
from nccli.logits import Floats, Integers
from nccli.text import plural

# Below this ratio of the smallest to the largest eigenvalue of the Gram matrix, squaring the
# singular values has cost too many digits to tell a small one from zero.
_TRUSTED_RATIO = 1e-6

LABELS_AT_ONCE = 2**20
SMALLEST = 1e-150  # squares of anything smaller leave the range of a double
ROUNDING_MARGIN = 3.0  # the largest singular value of random rounding stays below this
DENSE = 2**21  # products of a block with a dense indicator matrix that nobody will wait for
SMALL = 2**22  # numbers: less is done in double in no time, and has few rows to average errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Centres:
    """Class means of one split and the geometry of their span."""

    present: Integers  # (K,) the classes that have samples
    counts_C: Integers  # (C,) samples of each class
    means_CD: Floats  # (C, D); rows of absent classes are 0 and never used
    basis_DR: Floats  # orthonormal basis of the span of the centred means
    variances_R: Floats  # eigenvalues of Sigma_B along the basis, largest first
    cut: float  # singular values of M up to here count as zero
    smallest: float | None  # the smallest singular value that was kept

    @property
    def grand_mean_D(self) -> Floats:
        """mu_G, the plain average of the class means: under imbalance not that of the samples."""
        mean: Floats = self.means_CD[self.present].mean(axis=0)
        return mean

    @property
    def centred_KD(self) -> Floats:
        """The rows mu_c - mu_G of M, of the classes present."""
        centred: Floats = self.means_CD[self.present] - self.grand_mean_D
        return centred


def class_centres(
    checkpoint: Checkpoint,
    split: str,
    *,
    workers: Workers | None = None,
    weights: Floats | None = None,
) -> Centres:
    """Return the class means of a split and the span of the centred ones.

    weights: how often each sample counts (N,), whole numbers; None counts each once.
    Raises ContentError where fewer than two classes have samples.
    """
    counts_C = _counts(checkpoint, split, weights)
    present = np.flatnonzero(counts_C)
    if len(present) < 2:
        raise ContentError(
            f"{split}/labels holds samples of {plural(len(present), 'class', 'classes')}, "
            "collapse needs at least 2",
            remedy="save features of several classes",
        )
    features = checkpoint.split(split).features
    means_CD = np.zeros((checkpoint.num_classes, checkpoint.dim))
    spans = spans_of(features, means_CD.nbytes)
    for part_CD in (workers or Threads(checkpoint)).map(class_sums, spans, split, weights):
        means_CD += part_CD
    means_CD /= np.maximum(counts_C, 1)[:, None]
    return _centres(present, counts_C, means_CD, float(np.finfo(features.dtype).eps))


def working_dtype(features: LazyArray) -> np.dtype[Any]:
    """Half and single precision are worked on in single where there is much, else in double."""
    single = features.dtype.itemsize <= 4 and math.prod(features.shape) > SMALL
    return np.dtype(np.float32 if single else np.float64)


def span_labels(checkpoint: Checkpoint, split: str, span: Span) -> Integers:
    """Return the labels of a span of rows; those of all rows may be larger than a block."""
    labels = checkpoint.split(split).labels.rows(span.start, span.stop)
    return np.asarray(labels, dtype=np.int64)


def _counts(checkpoint: Checkpoint, split: str, weights: Floats | None) -> Integers:
    counts_C = np.zeros(checkpoint.num_classes)
    count = checkpoint.split(split).count
    for start in range(0, count, LABELS_AT_ONCE):
        span = Span(start, min(start + LABELS_AT_ONCE, count))
        labels_N = span_labels(checkpoint, split, span)
        weights_N = None if weights is None else weights[span.start : span.stop]
        counts_C += np.bincount(labels_N, weights=weights_N, minlength=len(counts_C))
    return counts_C.astype(np.int64)


def class_sums(
    checkpoint: Checkpoint, span: Span, split: str, weights: Floats | None = None
) -> Floats:
    """Return the sums (C, D) of the features of each class over a span of rows.

    In double whatever the features are: float32 sums of sorted labels, or around a large common
    offset, lose the digits that tell the rank of Sigma_B.
    """
    part = checkpoint.split(split)
    labels_N = span_labels(checkpoint, split, span)
    weights_N = None if weights is None else weights[span.start : span.stop]
    sums_CD = np.zeros((checkpoint.num_classes, checkpoint.dim))
    step = block_rows(part.features, num_classes=checkpoint.num_classes)
    adder = ClassAdder(checkpoint.num_classes)
    for first, values in part.features.stream(span.start, span.stop, step):
        rows = slice(first - span.start, first - span.start + len(values))
        adder.add(
            sums_CD,
            values.astype(np.float64),
            labels_N[rows],
            None if weights_N is None else weights_N[rows],
        )
    return sums_CD


class ClassAdder:
    """Adds rows to the sums of their classes: a product with a sparse indicator matrix.

    It runs through the rows once, in order. The matrix is made once and its entries replaced for
    every block: making one costs as much as using it. Few numbers are not worth importing scipy.
    """

    def __init__(self, num_classes: int) -> None:
        self._num_classes = num_classes
        self._indicator: Any = None

    def add(
        self,
        sums_CD: Floats,
        values_ND: NDArray[Any],
        labels_N: Integers,
        weights_N: Floats | None = None,
    ) -> None:
        """Add each row of `values_ND`, times its weight, to the row of its class in `sums_CD`."""
        if len(labels_N) >= self._num_classes:
            sums_CD += self._product(values_ND, labels_N, weights_N, self._num_classes)
            return
        classes, places_N = np.unique(labels_N, return_inverse=True)  # most have no row here
        sums_CD[classes] += self._product(values_ND, places_N, weights_N, len(classes))

    def _product(
        self, values_ND: NDArray[Any], rows_N: Integers, weights_N: Floats | None, height: int
    ) -> NDArray[Any]:
        shape, dtype = (height, len(rows_N)), values_ND.dtype
        if height * values_ND.size <= DENSE:
            indicator = np.zeros(shape, dtype)
            indicator[rows_N, np.arange(len(rows_N))] = 1.0 if weights_N is None else weights_N
            return np.asarray(indicator @ values_ND)
        if getattr(self._indicator, "shape", ()) != shape or self._indicator.dtype != dtype:
            from scipy.sparse import csc_array

            ends = np.arange(len(rows_N) + 1, dtype=np.int32)
            ones_N = np.ones(len(rows_N), dtype)
            self._indicator = csc_array((ones_N, rows_N.astype(np.int32), ends), shape)
        self._indicator.indices = rows_N.astype(np.int32)
        if weights_N is not None:
            self._indicator.data = weights_N.astype(dtype)
        product: NDArray[Any] = self._indicator @ values_ND
        return product


def _centres(present: Integers, counts_C: Integers, means_CD: Floats, stored_eps: float) -> Centres:
    means_KD = means_CD[present]
    # Rounding of the means scales with their own size, not with that of the centred ones.
    scale = float(np.linalg.norm(means_KD))
    cut = scale * max(means_KD.shape) * np.finfo(np.float64).eps
    # Features were rounded when they were stored: n of them leave u |h| / sqrt(3 n) in each entry
    # of a mean, and a random matrix of such entries has a norm of (sqrt(K) + sqrt(D)) times that.
    entry = stored_eps / 2.0 * scale / np.sqrt(3.0 * means_KD.size * counts_C[present].min())
    cut = max(cut, ROUNDING_MARGIN * entry * sum(np.sqrt(means_KD.shape)), SMALLEST)
    singular, basis_DR = _span(means_KD - means_KD.mean(axis=0), cut)
    return Centres(
        present=present,
        counts_C=counts_C,
        means_CD=means_CD,
        basis_DR=basis_DR,
        variances_R=singular**2 / len(present),
        cut=float(cut),
        smallest=float(singular[-1]) if len(singular) else None,
    )


def _span(centred_KD: Floats, cut: float) -> tuple[Floats, Floats]:
    """Singular values above the cut, largest first, and their directions in feature space."""
    largest_rank = min(len(centred_KD) - 1, centred_KD.shape[1])
    found = _span_by_gram(centred_KD, largest_rank)
    if found is not None and found[0][-1] > cut:
        return found
    _, singular, rows_RD = np.linalg.svd(centred_KD, full_matrices=False)
    kept = singular[:largest_rank]
    kept = kept[kept > cut]
    return kept, rows_RD[: len(kept)].T.copy()


def _span_by_gram(centred_KD: Floats, rank: int) -> tuple[Floats, Floats] | None:
    """The same from the smaller of M M^T and M^T M: several times faster, where it is safe."""
    wide = len(centred_KD) <= centred_KD.shape[1]
    gram = centred_KD @ centred_KD.T if wide else centred_KD.T @ centred_KD
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1][:rank], vectors[:, ::-1][:, :rank]
    if not values[-1] > _TRUSTED_RATIO * values[0]:
        return None
    singular = np.sqrt(values)
    basis_DR = centred_KD.T @ (vectors / singular) if wide else vectors
    return singular, np.ascontiguousarray(basis_DR)


def squared_distances(points_KD: Floats) -> Floats:
    """Squared distances between all pairs of points (K, K)."""
    squares_K = np.einsum("kd,kd->k", points_KD, points_KD)
    distances_KK: Floats = -2.0 * (points_KD @ points_KD.T)
    distances_KK += squares_K[:, None]
    distances_KK += squares_K[None, :]
    close = np.any(distances_KK < 1e-4 * squares_K.max(initial=0.0), axis=1, where=_off(squares_K))
    for row in np.flatnonzero(close):  # where the Gram shortcut cancels
        distances_KK[row] = np.square(points_KD - points_KD[row]).sum(axis=1)
        distances_KK[:, row] = distances_KK[row]
    np.fill_diagonal(distances_KK, 0.0)
    return distances_KK


def _off(squares_K: Floats) -> NDArray[np.bool_]:
    return ~np.eye(len(squares_K), dtype=bool)
