"""The smallest eigenvalue of the W block on (1-perp) x R^X, where the softmax is not flat.

N samples, K classes, J = K - 1, X variables of a class.

Dense where the matrix is small. Else scipy's LOBPCG, preconditioned by the Kronecker factors
mean(A_i) x mean(h_i h_i^T) (KFAC; Martens and Grosse 2015), without which it does not get there:
the smallest eigenvalue lies orders of magnitude below the largest.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import LinearOperator, lobpcg

from nccli.collapse.spans import Span
from nccli.hessian.curvature import complement_of_ones
from nccli.hessian.dense import dense_block, projected
from nccli.hessian.layer import LastLayer
from nccli.hessian.weight_block import largest, weight_product
from nccli.logits import Floats

DENSE_SIZE = 2_500  # a dense eigendecomposition of this size takes seconds
DENSE_WORK = 4 * 10**11  # multiplications that forming the matrix may take
BLOCK = 4  # vectors that LOBPCG works on: neighbours of the wanted one speed it up
MAX_ITERATIONS = 200
TOLERANCE = 1e-9  # of the residual, relative to the largest eigenvalue


@dataclass(frozen=True, slots=True, kw_only=True)
class Extremes:
    """Both ends of a spectrum on (1-perp) x R^X; each interval holds an eigenvalue."""

    smallest: float
    smallest_error: float
    largest: float
    largest_error: float
    converged: bool


def is_small(layer: LastLayer, width: int) -> bool:
    """Whether the dense matrix is quick to form and to decompose."""
    size = (layer.num_classes - 1) * width
    return size <= DENSE_SIZE and layer.count * size * size <= DENSE_WORK


def extremes(layer: LastLayer, basis_XR: Floats | None = None) -> Extremes:
    """Return the smallest and the largest eigenvalue, loss only, in double.

    basis_XR: the directions that inputs are seen along; None for all of R^X. Where the matrix is
    small it takes one pass; else inputs seen so are kept in memory.
    """
    if is_small(layer, layer.width if basis_XR is None else basis_XR.shape[1]):
        values = np.linalg.eigvalsh(dense_block(layer, basis_XR))
        error = len(values) * np.finfo(np.float64).eps * float(values[-1])
        return Extremes(
            smallest=float(values[0]), smallest_error=error,
            largest=float(values[-1]), largest_error=error, converged=True,
        )  # fmt: skip
    layer = layer if basis_XR is None else projected(layer.precise, basis_XR)
    top = largest(layer)
    return _iterative(layer.precise, float(top.values[0]), float(top.errors[0]), top.converged)


def _iterative(layer: LastLayer, peak: float, peak_error: float, converged: bool) -> Extremes:
    basis_KJ = complement_of_ones(layer.num_classes)
    directions, width = basis_KJ.shape[1], layer.width
    size = directions * width

    def product(flat_MB: Floats) -> Floats:
        vectors_BJX = flat_MB.reshape(size, -1).T.reshape(-1, directions, width)
        images_BKX = weight_product(layer, np.matmul(basis_KJ, vectors_BJX))
        images_MB: Floats = np.matmul(basis_KJ.T, images_BKX).reshape(-1, size).T
        return images_MB

    classes_J, classes_JJ, inputs_X, inputs_XX = _factors(layer, basis_KJ)
    scales_JX = classes_J[:, None] * inputs_X[None, :]
    scales_JX = np.maximum(scales_JX, np.finfo(np.float64).eps * max(peak, 1e-300))

    def precondition(flat_MB: Floats) -> Floats:
        vectors_BJX = flat_MB.reshape(size, -1).T.reshape(-1, directions, width)
        turned = classes_JJ.T @ vectors_BJX @ inputs_XX / scales_JX
        return (classes_JJ @ turned @ inputs_XX.T).reshape(-1, size).T

    order = np.argsort(scales_JX, axis=None)[:BLOCK]
    rows, columns = np.unravel_index(order, scales_JX.shape)
    start_MB = np.stack(
        [
            np.outer(classes_JJ[:, j], inputs_XX[:, x]).ravel()
            for j, x in zip(rows, columns, strict=True)
        ],
        axis=1,
    )
    operator = LinearOperator((size, size), matvec=product, matmat=product, dtype=np.float64)
    helper = LinearOperator(
        (size, size), matvec=precondition, matmat=precondition, dtype=np.float64
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where it stops early: the residual says so
        _, vectors_MB = lobpcg(
            operator,
            start_MB,
            M=helper,
            largest=False,
            maxiter=MAX_ITERATIONS,
            tol=TOLERANCE * peak,
        )
    basis_MB: Floats = np.linalg.qr(vectors_MB)[0].astype(np.float64)
    images_MB = product(basis_MB)
    values_B, turns_BB = np.linalg.eigh(basis_MB.T @ images_MB)
    value = float(values_B[0])
    residual_M = images_MB @ turns_BB[:, 0] - value * (basis_MB @ turns_BB[:, 0])
    error = float(np.linalg.norm(residual_M)) + 4 * float(np.finfo(np.float64).eps) * peak
    return Extremes(
        smallest=value,
        smallest_error=error,
        largest=peak,
        largest_error=peak_error,
        converged=converged and error <= max(10 * TOLERANCE * peak, 1e-3 * abs(value)),
    )


def _factors(layer: LastLayer, basis_KJ: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Eigenvalues and vectors of V^T mean(A_i) V and of mean(h_i h_i^T)."""
    curvature_KK = np.zeros((layer.num_classes, layer.num_classes))
    moments_XX = np.zeros((layer.width, layer.width))
    size = curvature_KK.nbytes + moments_XX.nbytes
    for part_KK, part_XX in layer.over_rows(_factors_part, partial_bytes=size):
        curvature_KK += part_KK
        moments_XX += part_XX
    classes = np.linalg.eigh(basis_KJ.T @ curvature_KK @ basis_KJ / layer.count)
    inputs = np.linalg.eigh(moments_XX / layer.count)
    return (
        np.maximum(classes.eigenvalues, 0), classes.eigenvectors,
        np.maximum(inputs.eigenvalues, 0), inputs.eigenvectors,
    )  # fmt: skip


def _factors_part(layer: LastLayer, span: Span) -> tuple[Floats, Floats]:
    curvature_KK = np.zeros((layer.num_classes, layer.num_classes))
    moments_XX = np.zeros((layer.width, layer.width))
    for block in layer.blocks(span):
        p_NK = block.probabilities_NK
        curvature_KK += np.diag(p_NK.sum(axis=0)) - p_NK.T @ p_NK
        moments_XX += block.inputs_NX.T @ block.inputs_NX
    return curvature_KK, moments_XX
