"""The largest eigenvalues of the W block from features seen along few directions.

N samples, K classes, X variables of a class, R directions, B vectors at a time, M = R or X
variables of all classes.

An eigenvector is a sum of a_i h_i^T: its rows lie in the span of the features, and those of the
largest eigenvalues nearly in the span of the class means. On K x (R directions) a product costs
R / X of a full one. What a Ritz vector lacks there is seen in its residual, from one half of a full
product; all right singular vectors of the residual, up to K of them, are further directions: one
full pass so gains what several of a Krylov space do, which is given one vector in each. Random
sums of rows, each row as heavy as its curvature, show directions that the residuals do not.

The answer is a trial vector, never a result: `weight_block` certifies it with all of H.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nccli.checkpoint import LazyArray
from nccli.collapse.spans import Span
from nccli.hessian import davidson
from nccli.hessian.curvature import curve
from nccli.hessian.davidson import Ritz
from nccli.hessian.dense import projected
from nccli.hessian.layer import LastLayer, Numbers, Survey, spreads
from nccli.logits import Floats

# All limits here are our own.
WIDTH_RATIO = 8  # features a direction: with fewer a full pass costs about as much
MANY_CLASSES = 32  # from which on a full pass is products; with fewer it is reading and packing
PROJECTED_BYTES = 48 * 2**20  # of the features as they are seen along the directions
MAX_ROUNDS = 3  # of further directions
SKETCHES = 16  # random sums of rows in a round
GAIN = 500  # by which one round is hoped to make residuals smaller: 25 to 900 were seen
MARGIN = 0.25  # of the tolerance: what directions left out, and the last search, may leave open
COARSE = 30  # times the tolerance is enough for a search before the last
MAX_SEARCH = 60  # products on the directions
SALT = 1e3  # times the tolerance, of random numbers in the last start: nothing is missed

Operator = Callable[[LastLayer, Floats], Floats]  # the W block of a layer times (B, K, X)


def pays(layer: LastLayer, wanted: int) -> bool:
    """Whether few directions may hold so many vectors, and full products are dear enough."""
    needed = layer.num_classes * (1 + wanted) + SKETCHES
    kept = layer.kept_NK is not None and layer.dtype == np.float32
    return kept and layer.num_classes >= MANY_CLASSES and needed <= _most_directions(layer)


def _most_directions(layer: LastLayer) -> int:
    fitting = PROJECTED_BYTES // (layer.dtype.itemsize * layer.count)
    return min(layer.width // WIDTH_RATIO, fitting)


def trial_vectors(
    layer: LastLayer,
    known: Survey,
    operator: Operator,
    start_BKX: Floats,
    *,
    wanted: int,
    tolerance: float,
    floor: float,
) -> Ritz:
    """Return Ritz pairs that are to be certified; the residuals are those of all of H.

    They are `converged` where a last round of directions is expected to bring these residuals, of
    before that round, within the tolerance. start_BKX: at least `wanted` vectors.
    """
    random_NS = np.random.default_rng(0).standard_normal((layer.count, SKETCHES), np.float32)
    view = _View.of(layer, known)
    vectors_BKX, passes = start_BKX, 1
    for _ in range(MAX_ROUNDS):
        start_BKR = vectors_BKX @ view.basis_RX.T
        found = _search(view, operator, start_BKR, wanted, tolerance * COARSE, floor)
        vectors_BKX = view.whole(found.vectors_BM)
        images_BKX, sketches_SX = _images(layer, view, found.vectors_BM, random_NS)
        left_BKX = images_BKX - found.values_B[:, None, None] * vectors_BKX
        residuals_B = np.linalg.norm(left_BKX, axis=(1, 2))
        enough = MARGIN * tolerance * float(found.values_B[-1])
        left_MX = leading_rows(left_BKX.reshape(-1, layer.width), enough)
        passes += 1
        hopeful = bool(np.all(residuals_B <= GAIN * tolerance * found.values_B))
        fits = len(view.basis_RX) + len(left_MX) + SKETCHES <= _most_directions(layer)
        if not fits:
            break
        view = view.with_more(layer, np.concatenate([left_MX, sketches_SX]))
        passes += 1
        if hopeful:
            start_BKR = _salted(vectors_BKX @ view.basis_RX.T, SALT * MARGIN * tolerance)
            found = _search(view, operator, start_BKR, wanted, tolerance * MARGIN, floor)
            vectors_BKX = view.whole(found.vectors_BM)
            break
    return replace(
        found,
        vectors_BM=vectors_BKX.reshape(wanted, -1),
        residuals_B=residuals_B,
        passes=passes,
        converged=hopeful and fits,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """A layer as it is seen along some directions."""

    seen: LastLayer
    basis_RX: Floats

    @classmethod
    def of(cls, layer: LastLayer, known: Survey) -> _View:
        """Along the class means, and one direction more: there may be no others."""
        random_1X = np.random.default_rng(1).standard_normal((1, layer.width))
        means_RX = np.concatenate([known.means_KX, random_1X])
        basis_RX = _further(means_RX, np.zeros((0, layer.width)))
        return cls(seen=projected(layer, basis_RX.T), basis_RX=basis_RX)

    def with_more(self, layer: LastLayer, rows_MX: Floats) -> _View:
        """Along the rows of a matrix too."""
        new_RX = _further(rows_MX, self.basis_RX)
        more = projected(layer, new_RX.T)
        both_NR = np.concatenate([self.seen.features.load(), more.features.load()], axis=1)
        weight_KR = np.concatenate([self.seen.weight_KD, more.weight_KD], axis=1)
        return _View(
            seen=replace(self.seen, features=LazyArray.of(both_NR), weight_KD=weight_KR),
            basis_RX=np.concatenate([self.basis_RX, new_RX]),
        )

    def whole(self, vectors_BM: Floats) -> Floats:
        """Vectors on the directions, in all of K x R^X."""
        vectors_BKR = vectors_BM.reshape(len(vectors_BM), -1, len(self.basis_RX))
        whole_BKX: Floats = vectors_BKR @ self.basis_RX
        return whole_BKX


def _salted(vectors_BKR: Floats, size: float) -> Floats:
    noise_BKR = np.random.default_rng(2).standard_normal(vectors_BKR.shape)
    salted_BKR: Floats = vectors_BKR + size * noise_BKR / np.sqrt(vectors_BKR[0].size)
    return salted_BKR


def _search(
    view: _View,
    operator: Operator,
    start_BKR: Floats,
    wanted: int,
    tolerance: float,
    floor: float,
) -> Ritz:
    shape = start_BKR.shape[1:]

    def product(vectors_BM: Floats) -> Floats:
        return operator(view.seen, vectors_BM.reshape(-1, *shape)).reshape(len(vectors_BM), -1)

    return davidson.largest(
        product,
        start_BKR.reshape(len(start_BKR), -1),
        wanted=wanted,
        tolerance=tolerance,
        max_passes=MAX_SEARCH,
        floor=floor,
    )


def _further(rows_MX: Floats, basis_RX: Floats) -> Floats:
    """An orthonormal basis of the part of some rows that a basis lacks, as many as the rows.

    Where they add less, some of it is arbitrary, which does no harm here.
    """
    for _ in range(2):  # once leaves what rounding has left
        rows_MX = rows_MX - (rows_MX @ basis_RX.T) @ basis_RX
        rows_MX = np.linalg.qr(rows_MX.T)[0].T
    return rows_MX


def leading_rows(rows_MX: Floats, enough: float) -> Floats:
    """Right singular directions of a matrix, scaled, without the last ones of norm `enough`."""
    squares_M, turns_MM = np.linalg.eigh(rows_MX @ rows_MX.T)
    kept_M = np.cumsum(squares_M) > enough**2
    leading: Floats = turns_MM[:, kept_M].T[::-1] @ rows_MX
    return leading


def _images(
    layer: LastLayer, view: _View, vectors_BM: Floats, random_NS: Numbers
) -> tuple[Floats, Floats]:
    """H times vectors that live on the directions (B, K, X), and random sums of rows (S, X)."""
    classes, count = layer.num_classes, len(vectors_BM)
    total_MX = np.zeros((count * classes + SKETCHES, layer.width))
    flat_RM = vectors_BM.reshape(count * classes, -1).T.astype(layer.dtype)
    for part_MX in layer.over_rows(
        _images_part, view.seen, flat_RM, random_NS, partial_bytes=total_MX.nbytes
    ):
        total_MX += part_MX
    total_MX /= layer.count
    return total_MX[:-SKETCHES].reshape(count, classes, -1), total_MX[-SKETCHES:]


def _images_part(
    layer: LastLayer, span: Span, seen: LastLayer, flat_RM: Numbers, random_NS: Numbers
) -> Floats:
    total_MX = np.zeros((flat_RM.shape[1] + SKETCHES, layer.width))
    for block in layer.blocks(span):
        inputs_NR = seen.features.rows(block.rows.start, block.rows.stop)
        changes_NBK = (inputs_NR @ flat_RM).reshape(block.count, -1, layer.num_classes)
        curved_NBK = curve(block.probabilities_NK, block.top_N, changes_NBK)
        sizes_N1 = np.sqrt(np.maximum(spreads(block)[1], 0.0))[:, None].astype(layer.dtype)
        sums_NM = np.concatenate(
            [curved_NBK.reshape(block.count, -1), sizes_N1 * random_NS[block.rows]], axis=1
        )
        total_MX += sums_NM.T @ block.inputs_NX
    return total_MX
