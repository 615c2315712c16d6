"""The W block, (1/N) sum_i A_i (x) h_i h_i^T: products, largest eigenvalues, certificates.

N samples, K classes, X variables of a class (the features, and the bias where it is one), B
vectors at a time. U -> (1/N) sum_i A_i U h_i h_i^T is two matrix products a block of rows; the
matrix of K X rows is never formed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nccli.collapse.spans import Span
from nccli.hessian import compressed, davidson
from nccli.hessian.curvature import curve
from nccli.hessian.davidson import Ritz
from nccli.hessian.layer import LastLayer, Survey, spreads, survey
from nccli.logits import Floats

MAX_PASSES = 60
TOLERANCE_SINGLE = 1e-5  # of residuals; the error of an eigenvalue is about the square
TOLERANCE_DOUBLE = 1e-9
FLOOR_SINGLE, FLOOR_DOUBLE = 5e-7, 1e-13  # of residuals, relative to the largest eigenvalue
CLUSTER = 4  # vectors to begin with: a trained network's largest eigenvalues lie close together
SMALL_SIZE = 64  # variables up to which a dense matrix is as quick
SALT = 1e-2  # of random numbers in the start: well above the tolerance, so that nothing is missed


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """Eigenvalues, largest first; each interval holds an eigenvalue of the operator in double."""

    values: Floats  # (B,)
    errors: Floats  # (B,): residuals in double, half the width of the intervals
    vectors_BKX: Floats
    passes: int  # through the rows
    converged: bool


def weight_product(layer: LastLayer, vectors_BKX: Floats) -> Floats:
    """Return the W block (loss only) times B vectors, (B, K, X), in double."""
    total = np.zeros(vectors_BKX.shape)
    for part in layer.over_rows(_product_part, vectors_BKX, partial_bytes=total.nbytes):
        total += part
    return total / layer.count


def _product_part(layer: LastLayer, span: Span, vectors_BKX: Floats) -> Floats:
    count, classes, width = vectors_BKX.shape
    flat_XM = vectors_BKX.reshape(count * classes, width).T
    total_MX = np.zeros((count * classes, width))
    for block in layer.blocks(span, flat_XM):
        changes_NBK = block.products_NM.reshape(block.count, count, classes)
        curved_NBK = curve(block.probabilities_NK, block.top_N, changes_NBK)
        total_MX += curved_NBK.reshape(block.count, -1).T @ block.inputs_NX
    return total_MX.reshape(vectors_BKX.shape)


def largest(
    layer: LastLayer, k: int = 1, *, known: Survey | None = None, max_passes: int = MAX_PASSES
) -> Solved:
    """Return the k largest eigenvalues of the W block, loss only, certified in double."""
    if known is None:
        layer, known = survey(layer)
    shape = (layer.num_classes, layer.width)
    size = shape[0] * shape[1]
    wanted = min(k, size)

    def product(vectors_BM: Floats) -> Floats:
        return weight_product(layer, vectors_BM.reshape(-1, *shape)).reshape(-1, size)

    start_BKX = class_start(layer, known, min(max(wanted, CLUSTER), size))
    before = 0
    if compressed.pays(layer, wanted):
        tried = _on_few_directions(layer, known, start_BKX, wanted)
        if tried.converged:
            return tried
        start_BKX *= SALT
        start_BKX[:wanted] += tried.vectors_BKX
        before = tried.passes
    found = solve(product, start_BKX.reshape(-1, size), layer, wanted=wanted, max_passes=max_passes)
    return _in_double(layer, replace(found, passes=before + found.passes), shape)


def _on_few_directions(layer: LastLayer, known: Survey, start_BKX: Floats, wanted: int) -> Solved:
    """The same in single from few directions; not converged where these do not suffice."""
    shape = start_BKX.shape[1:]
    trial = compressed.trial_vectors(
        layer,
        known,
        weight_product,
        start_BKX,
        wanted=wanted,
        tolerance=TOLERANCE_SINGLE,
        floor=FLOOR_SINGLE,
    )
    if not trial.converged:  # a certificate would not be worth its pass
        return Solved(
            values=trial.values_B,
            errors=trial.residuals_B,
            vectors_BKX=trial.vectors_BM.reshape(-1, *shape),
            passes=trial.passes,
            converged=False,
        )
    solved = _in_double(layer, trial, shape)
    close = bool(np.all(solved.errors <= TOLERANCE_SINGLE * solved.values))
    return replace(solved, converged=close)


def _in_double(layer: LastLayer, found: Ritz, shape: tuple[int, ...]) -> Solved:
    return certified(found, lambda vectors: weight_product(layer.precise, vectors), shape=shape)


def solve(
    product: davidson.Product,
    start_BM: Floats,
    layer: LastLayer,
    *,
    wanted: int,
    max_passes: int = MAX_PASSES,
) -> Ritz:
    """Find the largest eigenpairs of an operator that works in the precision of a layer."""
    single = layer.dtype == np.float32
    return davidson.largest(
        product,
        np.eye(start_BM.shape[1]) if start_BM.shape[1] <= SMALL_SIZE else start_BM,
        wanted=wanted,
        tolerance=TOLERANCE_SINGLE if single else TOLERANCE_DOUBLE,
        max_passes=max_passes,
        floor=FLOOR_SINGLE if single else FLOOR_DOUBLE,
    )


def certified(
    found: Ritz, product: Callable[[Floats], Floats], *, shape: tuple[int, ...]
) -> Solved:
    """Evaluate Ritz pairs with the operator in double: Rayleigh quotients and true residuals."""
    count = len(found.values_B)
    vectors_MB = np.linalg.qr(found.vectors_BM.T)[0]
    images_BM = product(vectors_MB.T.reshape(count, *shape)).reshape(count, -1)
    small_BB = images_BM @ vectors_MB
    values_B, turns_BB = np.linalg.eigh((small_BB + small_BB.T) / 2)
    values_B, turns_BB = values_B[::-1], turns_BB[:, ::-1]
    vectors_BM, images_BM = (vectors_MB @ turns_BB).T, turns_BB.T @ images_BM
    errors_B = np.linalg.norm(images_BM - values_B[:, None] * vectors_BM, axis=1)
    # what the last digits of the sums themselves are uncertain by
    errors_B += 4 * np.finfo(np.float64).eps * np.abs(values_B[:1])
    return Solved(
        values=values_B,
        errors=errors_B,
        vectors_BKX=vectors_BM.reshape(count, *shape),
        passes=found.passes + 1,
        converged=found.converged,
    )


# --- where to begin ------------------------------------------------------------------------------


def class_start(layer: LastLayer, known: Survey, wanted: int) -> Floats:
    """Starting vectors (B, K, X): the leading ones of the problem with class means for rows.

    That problem has K rows, each as heavy as its class: its eigenvalues are off by a few percent
    (they are never the answer), its vectors save half of the products.
    """
    rng = np.random.default_rng(0)
    weights_C = known.counts_K / layer.count
    basis_XR = np.linalg.qr(known.means_KX.T)[0]
    means_CR = known.means_KX @ basis_XR
    p_CK = known.mean_probabilities_KK
    top_C = p_CK.argmax(axis=1)
    classes, rank = p_CK.shape[1], basis_XR.shape[1]

    def product(vectors_BM: Floats) -> Floats:
        vectors_BKR = vectors_BM.reshape(-1, classes, rank)
        changes_CBK = np.einsum("cr,bkr->cbk", means_CR, vectors_BKR, optimize=True)
        curved_CBK = curve(p_CK, top_C, changes_CBK) * weights_C[:, None, None]
        images_BKR: Floats = np.einsum("cbk,cr->bkr", curved_CBK, means_CR, optimize=True)
        return images_BKR.reshape(vectors_BM.shape)

    size = classes * rank
    count = min(wanted, size)
    found = davidson.largest(
        product, rng.standard_normal((count, size)), wanted=count, tolerance=SALT, max_passes=8
    )
    start_BKX = found.vectors_BM.reshape(count, classes, rank) @ basis_XR.T
    random_BKX: Floats = rng.standard_normal((wanted, classes, layer.width))
    random_BKX /= np.sqrt(classes * layer.width)
    random_BKX[:count] *= SALT
    random_BKX[:count] += start_BKX
    return random_BKX


def weight_trace(layer: LastLayer) -> float:
    """Trace of the W block, loss only: (1/N) sum_i tr(A_i) |h_i|^2, exact, from one pass."""
    return sum(layer.over_rows(_trace_part)) / layer.count


def _trace_part(layer: LastLayer, span: Span) -> float:
    total = 0.0
    for block in layer.blocks(span):
        squares_N = np.vecdot(block.inputs_NX, block.inputs_NX).astype(np.float64)
        total += float(spreads(block)[1] @ squares_N)
    return total
