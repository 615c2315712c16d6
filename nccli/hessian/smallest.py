"""The smallest eigenvalue of the W block on (1-perp) x R^X, where the softmax is not flat.

N samples, K classes, J = K - 1, X variables of a class, G groups of samples, B vectors at a time.

Dense where the matrix is small. Else Davidson's method with a preconditioner (`inverse`), without
which it does not get there: the smallest eigenvalue lies orders of magnitude below the largest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nccli.hessian import davidson, inverse
from nccli.hessian.curvature import complement_of_ones
from nccli.hessian.dense import dense_block, projected
from nccli.hessian.inverse import Inverse
from nccli.hessian.layer import LastLayer
from nccli.hessian.weight_block import largest, weight_product
from nccli.logits import Floats

DENSE_SIZE = 1_000  # a dense eigendecomposition of this size takes a fraction of a second
DENSE_WORK = 5 * 10**10  # multiplications that forming the matrix may take: some seconds
STARTS = 4  # vectors that the search begins with
MAX_STEPS = 300
TOLERANCE = 1e-4  # of the residual, relative to the smallest eigenvalue
CONVERGED = 1e-3  # the same: what is called converged
FLOOR = 1e-13  # of the residual, relative to the largest eigenvalue: what rounding leaves in double
NOISE = 4.0  # times the rounding of a product in single: residuals below it say nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Extremes:
    """Both ends of a spectrum on (1-perp) x R^X; each interval holds an eigenvalue.

    converged: both are known to 1e-3 of themselves, or to rounding of the largest.
    """

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
        rounding = len(values) * float(np.finfo(np.float64).eps) * float(values[-1])
        return Extremes(
            smallest=float(values[0]), smallest_error=rounding,
            largest=float(values[-1]), largest_error=rounding, converged=True,
        )  # fmt: skip
    if basis_XR is not None:  # projected in double: products in single lose nothing by it
        layer = replace(projected(layer.precise, basis_XR), dtype=layer.dtype)
    top = largest(layer)
    peak = float(top.values[0])
    value, error = _Search(layer, peak).smallest() if peak > 0 else (0.0, 0.0)
    return Extremes(
        smallest=value,
        smallest_error=error,
        largest=peak,
        largest_error=float(top.errors[0]),
        converged=top.converged and error <= max(CONVERGED * abs(value), 10 * FLOOR * peak),
    )


class _Search:
    """Davidson's method for the smallest eigenvalue: in single as far as it goes, then in double.

    Vectors are (B, J X): a variable for every direction of 1-perp, which is not flat.
    """

    def __init__(self, layer: LastLayer, peak: float) -> None:
        self._layer, self._peak = layer, peak
        self._basis_KJ = complement_of_ones(layer.num_classes)
        self._inverse: Inverse = inverse.of(layer, self._basis_KJ)

    def smallest(self) -> tuple[float, float]:
        """The Rayleigh quotient in double of the vector that was found, and its residual."""
        start_BM = self._inverse.flattest(STARTS)
        random_BM = np.random.default_rng(0).standard_normal((1, start_BM.shape[1]))
        start_BM = np.concatenate([start_BM, random_BM])  # so that no direction is missed
        if self._layer.dtype != np.float64:
            start_BM = self._found(self._layer, start_BM, self._noise(start_BM[:1]))
            value, error = self._certified(start_BM[:1])
            if error <= CONVERGED * value:
                return value, error
        return self._certified(self._found(self._layer.precise, start_BM, 0.0)[:1])

    def _found(self, layer: LastLayer, start_BM: Floats, noise: float) -> Floats:
        """The vector that was found, and those that it began with."""
        found = davidson.largest(
            lambda vectors_BM: -self._product(layer, vectors_BM),
            start_BM,
            wanted=1,
            tolerance=TOLERANCE,
            max_passes=MAX_STEPS,
            enough=max(noise, FLOOR * self._peak),
            precondition=self._inverse.times,
        )
        return np.concatenate([found.vectors_BM, start_BM])

    def _product(self, layer: LastLayer, vectors_BM: Floats) -> Floats:
        vectors_BJX = vectors_BM.reshape(len(vectors_BM), self._basis_KJ.shape[1], layer.width)
        images_BKX = weight_product(layer, np.matmul(self._basis_KJ, vectors_BJX))
        images_BM: Floats = np.matmul(self._basis_KJ.T, images_BKX).reshape(vectors_BM.shape)
        return images_BM

    def _noise(self, vector_1M: Floats) -> float:
        """How far rounding in single moves the image of a vector."""
        exact_1M = self._product(self._layer.precise, vector_1M)
        return NOISE * float(np.linalg.norm(self._product(self._layer, vector_1M) - exact_1M))

    def _certified(self, vector_1M: Floats) -> tuple[float, float]:
        vector_1M = vector_1M / np.linalg.norm(vector_1M)
        image_1M = self._product(self._layer.precise, vector_1M)
        value = float(np.vdot(vector_1M, image_1M))
        error = float(np.linalg.norm(image_1M - value * vector_1M))
        return value, error + 4 * float(np.finfo(np.float64).eps) * self._peak
