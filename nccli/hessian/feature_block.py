"""The H block: block diagonal, block i = (1/N) W^T A_i W, taken sample by sample.

N samples, K classes, D features, J = K - 1, R = rank of the centred weight (at most J and D).

The non-zero eigenvalues of W^T A W are those of the R x R matrix T^T A T, where T T^T is the Gram
matrix of the centred rows of W. With the predicted class's row taken off every row of T it is

    sum_j p_j t_j t_j^T - m m^T,  m = sum_j p_j t_j  (j runs over the other classes)

and nothing cancels where the network is confident. Where its eigenvalues lie so far apart that an
eigenvalue solver would lose the small ones, they are squared singular values instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nccli.collapse.centres import squared_distances
from nccli.collapse.spans import Span
from nccli.hessian.curvature import complement_of_ones
from nccli.hessian.layer import LastLayer, Numbers, feature_traces
from nccli.hessian.majorant import exceeding
from nccli.logits import Floats, Integers

WORK = 10**9  # rows x K^3: some seconds of one core; our own limit
FEWEST = 200  # rows that are looked at however many classes there are
WIDE_RANK = 64  # above it rows are worked on one by one
WIDE_RATIO = 1e7  # of eigenvalues, from which on singular values are taken
ROWS_TOGETHER = 2**20  # numbers in the small matrices of the rows worked on at once
TOGETHER = 32  # candidates for the largest eigenvalue that are solved at a time
MARGIN = 1e-4  # above the best: what rows that were not solved are proven to lie below
PROOF_WORK = 5 * 10**10  # tests x K R^2: some seconds of one core; our own limit
SOLVED = 10  # tests that solving a row takes as long as
PROOF_BYTES = 256 * 2**20  # of probabilities of the rows that a proof is tried of; our own limit
PER_DECADE = 5  # bins of the density
DECADES = (-40, 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureBlock:
    """Eigenvalues of W^T A_i W, without the 1/N of the mean loss."""

    rows: Integers  # (M,): the rows that were solved, all where they are few enough
    largest_M: Floats
    smallest_M: Floats  # of the min(K - 1, D) directions that a collapsed network would have
    rank: int  # of the centred weight
    directions: int
    peaks_B: Floats  # the largest of all N rows, computed in double: between these
    bounds_B: Floats  # and these; the same, to rounding or to MARGIN, where it is proven
    counts: Integers  # eigenvalues of the solved rows by bins of log10

    @property
    def ratios_M(self) -> Floats:
        """Condition number of each solved row; inf where probabilities underflow."""
        ratios_M = np.full(len(self.rows), np.inf)
        np.divide(self.largest_M, self.smallest_M, out=ratios_M, where=self.smallest_M > 0)
        return ratios_M


@dataclass(frozen=True, slots=True, kw_only=True)
class _Best:
    """The largest eigenvalues that were found, each with the row that it belongs to."""

    values_B: Floats
    rows_B: Integers

    @classmethod
    def of(cls, values_MR: Floats, rows_M: Integers, wanted: int) -> _Best:
        flat = values_MR.ravel()
        best = np.argsort(-flat, kind="stable")[:wanted]
        return cls(values_B=flat[best], rows_B=rows_M[best // max(1, values_MR.shape[1])])

    def with_more(self, other: _Best, wanted: int) -> _Best:
        values_M = np.concatenate([self.values_B, other.values_B])
        rows_M = np.concatenate([self.rows_B, other.rows_B])
        return _Best.of(values_M[:, None], rows_M, wanted)

    def last(self, wanted: int) -> float:
        """What a further value must exceed to be among the wanted."""
        return float(self.values_B[-1]) if len(self.values_B) == wanted else 0.0


def feature_block(layer: LastLayer, wanted: int = 1) -> FeatureBlock:
    """Solve the blocks of all samples, or of a seeded sample of them where K is large.

    wanted: how many of the largest eigenvalues of all N rows are looked for.
    """
    factor_KR, directions = centred_factor(layer.weight_KD)
    limit = max(FEWEST, WORK // layer.num_classes**3)
    everything = layer.count <= limit
    rows = np.arange(layer.count)
    if not everything:
        rows = np.sort(np.random.default_rng(0).choice(layer.count, size=limit, replace=False))
    largest, smallest, counts = [], [], np.zeros(bins(), np.int64)
    best = _Best(values_B=np.empty(0), rows_B=np.empty(0, np.int64))
    for part in layer.over_rows(_solve_part, rows, factor_KR, directions, wanted):
        largest.append(part[0])
        smallest.append(part[1])
        counts += part[2]
        best = best.with_more(part[3], wanted)
    rest = 0.0
    if not everything:
        best, rest = _peaks(layer, factor_KR, best, limit, wanted)
    peaks_B = _in_double(layer, factor_KR, best, wanted)
    return FeatureBlock(
        rows=rows,
        largest_M=np.concatenate(largest),
        smallest_M=np.concatenate(smallest),
        rank=factor_KR.shape[1],
        directions=directions,
        peaks_B=peaks_B,
        bounds_B=np.maximum(peaks_B, rest),
        counts=counts,
    )


def _in_double(layer: LastLayer, factor_KR: Floats, best: _Best, wanted: int) -> Floats:
    """The eigenvalues of the rows that the best belong to, once more: single has chosen them."""
    rows = np.unique(best.rows_B)
    if not len(rows) or not factor_KR.shape[1]:
        return np.zeros(1)
    values = block_eigenvalues(*layer.softmax_of(rows), factor_KR).ravel()
    return np.sort(values)[::-1][:wanted]


def centred_factor(weight_KD: Floats) -> tuple[Floats, int]:
    """T (K, R) with T T^T = P W W^T P, P the projection off the ones vector; and min(K - 1, D)."""
    basis_KJ = complement_of_ones(len(weight_KD))
    turned_JJ, singular_J, _ = np.linalg.svd(basis_KJ.T @ weight_KD, full_matrices=False)
    cut = float(np.linalg.norm(weight_KD)) * max(weight_KD.shape) * np.finfo(np.float64).eps
    rank = int(np.count_nonzero(singular_J > cut))
    factor_KR = basis_KJ @ (turned_JJ[:, :rank] * singular_J[:rank])
    return factor_KR, len(singular_J)


def bins() -> int:
    """How many bins of log10 the density has."""
    return (DECADES[1] - DECADES[0]) * PER_DECADE


def block_eigenvalues(p_NK: Numbers, top_N: Integers, factor_KR: Floats) -> Floats:
    """Eigenvalues of T^T A_i T for each row, smallest first: (N, R), in double."""
    found_NR = np.empty((len(top_N), factor_KR.shape[1]))
    for members, top, blocks_NRR in small_blocks(p_NK, top_N, factor_KR):
        values_NR = np.linalg.eigvalsh(blocks_NRR)
        wide = np.flatnonzero(values_NR[:, 0] * WIDE_RATIO < values_NR[:, -1])
        if len(wide):
            values_NR[wide] = _by_singular_values(p_NK[members[wide]], top, factor_KR)
        found_NR[members] = values_NR
    return found_NR


def small_blocks(
    p_NK: Numbers, top_N: Integers, factor_KR: Floats
) -> Iterator[tuple[Integers, int, Floats]]:
    """Yield (rows, their predicted class, T^T A_i T of each (n, R, R)), in double."""
    rank = factor_KR.shape[1]
    for top in np.unique(top_N):
        members = np.flatnonzero(top_N == top)
        shifted_KR = factor_KR - factor_KR[top]
        others_NK = p_NK[members].astype(np.float64)
        others_NK[:, top] = 0.0
        means_NR = others_NK @ shifted_KR
        if rank > WIDE_RANK:  # the outer products of all classes would take gigabytes
            blocks_NRR = np.stack([(shifted_KR.T * p_K) @ shifted_KR for p_K in others_NK])
        else:
            outer_KM = (shifted_KR[:, :, None] * shifted_KR[:, None, :]).reshape(len(factor_KR), -1)
            blocks_NRR = (others_NK @ outer_KM).reshape(-1, rank, rank)
        blocks_NRR -= means_NR[:, :, None] * means_NR[:, None, :]
        yield members, int(top), blocks_NRR


def _by_singular_values(p_NK: Numbers, top: int, factor_KR: Floats) -> Floats:
    """The same as squared singular values of T^T B, A = B B^T: they keep twice the digits.

    B = diag(sqrt p) - p sqrt(p)^T, and on its diagonal sqrt(p) (1 - p).
    """
    p_NK = p_NK.astype(np.float64)
    p_NK[:, top] = 0.0
    doubt_N, complements_NK = p_NK.sum(axis=1), 1.0 - p_NK
    p_NK[:, top], complements_NK[:, top] = 1.0 - doubt_N, doubt_N
    roots_NK = np.sqrt(p_NK)
    factors_NKK = -p_NK[:, :, None] * roots_NK[:, None, :]
    diagonal = np.arange(p_NK.shape[1])
    factors_NKK[:, diagonal, diagonal] = roots_NK * complements_NK
    singular_NR = np.linalg.svd(factor_KR.T @ factors_NKK, compute_uv=False)
    squares: Floats = np.square(singular_NR)[:, ::-1]
    return squares


def _solve_part(
    layer: LastLayer, span: Span, rows: Integers, factor_KR: Floats, directions: int, wanted: int
) -> tuple[Floats, Floats, Integers, _Best]:
    rank = factor_KR.shape[1]
    inside = rows[(rows >= span.start) & (rows < span.stop)]
    largest, smallest, counts = np.zeros(len(inside)), np.zeros(len(inside)), np.zeros(bins())
    best = _Best.of(largest[:, None], inside, 1)
    if not len(inside) or not rank:
        return largest, smallest, counts.astype(np.int64), best
    done = 0
    step = max(1, ROWS_TOGETHER // (rank * rank))
    for block in layer.blocks(span):
        chosen = inside[(inside >= block.rows.start) & (inside < block.rows.stop)]
        for start in range(0, len(chosen), step):
            at = chosen[start : start + step] - block.rows.start
            values_NR = block_eigenvalues(block.probabilities_NK[at], block.top_N[at], factor_KR)
            largest[done : done + len(at)] = values_NR[:, -1]
            if rank == directions:
                smallest[done : done + len(at)] = values_NR[:, 0]
            counts += _histogram(values_NR)
            best = best.with_more(_Best.of(values_NR, at + block.rows.start, wanted), wanted)
            done += len(at)
    return largest, smallest, counts.astype(np.int64), best


def _histogram(values: Floats) -> Floats:
    places = (np.log10(np.maximum(values, 1e-300)) - DECADES[0]) * PER_DECADE
    inside = np.clip(places.astype(np.int64), 0, bins() - 1)
    return np.bincount(inside.ravel(), minlength=bins()).astype(np.float64)


# --- the largest of all rows, where not all are solved --------------------------------------------


def _peaks(
    layer: LastLayer, factor_KR: Floats, best: _Best, limit: int, wanted: int
) -> tuple[_Best, float]:
    """The largest of any row, and what no other exceeds: rows are solved in the order of a bound.

    lambda_max(W^T A W) is at most its trace, and at most sigma_max(T)^2 max_k 2 p_k (1 - p_k)
    (Gershgorin). Rows whose bound lies below the best that were found need not be solved; of those
    that are left after `limit`, `majorant` proves that they lie below.
    """
    distances_KK = squared_distances(layer.weight_KD)
    stretch = float(np.linalg.norm(factor_KR, 2)) ** 2 if factor_KR.size else 0.0
    parts = layer.over_rows(_bounds_part, distances_KK, stretch)
    bounds_N = np.concatenate(list(parts))
    order = np.argsort(-bounds_N)
    rows = order[: limit + PROOF_BYTES // (8 * layer.num_classes)]
    rows = rows[bounds_N[rows] > best.last(wanted)]
    rest = float(bounds_N[order[len(rows)]]) if len(rows) < len(order) else 0.0
    search = _Search(layer, factor_KR, best, rows, bounds_N[rows], wanted)
    search.solve(limit)
    proven = search.prove() if search.bound else 0.0
    last = search.best.last(wanted)
    return search.best, max(proven, rest if rest > last else 0.0)


class _Search:
    """Rows in the order of a bound, largest first, among which the best are looked for."""

    def __init__(
        self,
        layer: LastLayer,
        factor_KR: Floats,
        best: _Best,
        rows_M: Integers,
        bounds_M: Floats,
        wanted: int,
    ) -> None:
        self.best, self._wanted, self._factor_KR = best, wanted, factor_KR
        self._rows_M, self._bounds_M = rows_M, bounds_M
        in_file = np.argsort(rows_M)
        sorted_MK = np.concatenate(list(layer.over_rows(_rows_part, rows_M[in_file])))
        self._p_MK = np.empty_like(sorted_MK)
        self._p_MK[in_file] = sorted_MK
        self._top_M = self._p_MK.argmax(axis=1)
        self._open = np.arange(len(rows_M))  # places of rows of which nothing is known

    @property
    def bound(self) -> float:
        """What no open row exceeds; 0 where that is not more than the best."""
        bound = float(self._bounds_M[self._open[0]]) if len(self._open) else 0.0
        return bound if bound > self.best.last(self._wanted) else 0.0

    def solve(self, limit: int) -> None:
        """Solve up to `limit` rows, until none that is open may be among the best."""
        for start in range(0, limit, TOGETHER):
            if self.bound:
                self._solve(min(TOGETHER, limit - start))

    def _solve(self, count: int) -> None:
        places, self._open = self._open[:count], self._open[count:]
        places = places[self._new(places)]
        if len(places):
            values_NR = block_eigenvalues(self._p_MK[places], self._top_M[places], self._factor_KR)
            more = _Best.of(values_NR, self._rows_M[places], self._wanted)
            self.best = self.best.with_more(more, self._wanted)

    def _new(self, places: Integers) -> NDArray[np.bool_]:
        """Whether each row is none that the best belong to: the sample has solved these."""
        return ~np.isin(self._rows_M[places], self.best.rows_B)

    def prove(self) -> float:
        """What no open row exceeds: a bit more than the best, unless proofs take too long.

        Rows that it does not hold for are solved, more and more at a time.
        """
        rank = self._factor_KR.shape[1]
        tests, together = PROOF_WORK // (self._factor_KR.size * rank), TOGETHER
        self._open = self._open[self._new(self._open)]
        while True:
            ceiling = self.best.last(self._wanted) * (1.0 + MARGIN)
            p_MK, top_M = self._p_MK[self._open], self._top_M[self._open]
            above, taken = exceeding(p_MK, top_M, self._factor_KR, ceiling, tests)
            self._open, tests = self._open[above], tests - taken
            if not len(above) or tests <= 0:
                return max(ceiling, self.bound)
            self._solve(together)
            tests, together = tests - SOLVED * together, 2 * together


def _bounds_part(layer: LastLayer, span: Span, distances_KK: Floats, stretch: float) -> Floats:
    found = []
    for block in layer.blocks(span):
        p_NK = block.probabilities_NK.astype(np.float64)
        gershgorin_N = stretch * (2.0 * p_NK * (1.0 - p_NK)).max(axis=1)
        found.append(np.minimum(feature_traces(p_NK, distances_KK), gershgorin_N))
    # rounding of single must not put a bound below what it bounds
    return np.concatenate(found) * (1.0 + 1e-5)


def _rows_part(layer: LastLayer, span: Span, rows: Integers) -> Numbers:
    found = [np.empty((0, layer.num_classes), layer.dtype)]
    for block in layer.blocks(span):
        chosen = rows[(rows >= block.rows.start) & (rows < block.rows.stop)]
        found.append(block.probabilities_NK[chosen - block.rows.start])
    return np.concatenate(found)
