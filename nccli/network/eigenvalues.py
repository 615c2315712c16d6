"""The largest eigenvalues of a block with their vectors and residuals: ARPACK, or all of them.

B eigenpairs, M parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from nccli.logits import Floats
from nccli.network.block import Block

ASKED = 1e-4  # of ARPACK, relative to the eigenvalue
ENOUGH = 1e-3  # residual by which a pair counts as converged, relative to the eigenvalue
RESTARTS = 100  # of our own choice; a network takes 1 to 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Eigenpairs, largest first, with their residuals |G x - value x| for unit x."""

    values_B: Floats
    vectors_BM: Floats
    residuals_B: Floats
    converged: bool


def largest(block: Block, *, wanted: int, rng: np.random.Generator) -> Pairs:
    """Return the `wanted` largest eigenpairs, or as many as there are.

    Where ARPACK does not get there, those it has found: not converged. A single start vector
    cannot tell an eigenvalue's exact multiplicity; roundoff brings the copies in, later.
    """
    wanted = min(wanted, block.size)
    if block.matrix_MM is not None or wanted >= block.size - 1:
        return _dense(block, wanted)
    start_M = rng.standard_normal(block.size)
    if not block.product(start_M[None]).any():  # ARPACK stops there, with an error
        return _pairs(block, np.zeros(1), start_M[:, None] / np.linalg.norm(start_M), wanted=1)
    operator = LinearOperator(
        (block.size, block.size),
        matvec=lambda vector_M: block.product(np.reshape(vector_M, (1, -1)))[0],
        dtype=np.float64,
    )
    try:
        found, vectors = eigsh(
            operator, k=wanted, which="LA", v0=start_M, tol=ASKED, maxiter=RESTARTS,
            ncv=min(block.size, max(2 * wanted + 1, 20)),
        )  # fmt: skip
    except ArpackNoConvergence as error:
        found, vectors = np.real(error.eigenvalues), np.real(error.eigenvectors)
    values_B, vectors_MB = np.asarray(found, np.float64), np.asarray(vectors, np.float64)
    return _pairs(block, values_B, vectors_MB, wanted=wanted)


def _dense(block: Block, wanted: int) -> Pairs:
    matrix_MM = block.matrix_MM
    if matrix_MM is None:
        matrix_MM = block.product(np.eye(block.size))
        matrix_MM = (matrix_MM + matrix_MM.T) / 2
    values_M, vectors_MM = np.linalg.eigh(matrix_MM)
    return _pairs(block, values_M[-wanted:], vectors_MM[:, -wanted:], wanted=wanted)


def _pairs(block: Block, values_B: Floats, vectors_MB: Floats, *, wanted: int) -> Pairs:
    """Sort, and measure what is left of each: through the products, not ARPACK's own word."""
    order = np.argsort(values_B)[::-1]
    vectors_BM = np.ascontiguousarray(vectors_MB.T[order])
    images_BM = block.product(vectors_BM)
    values_B = np.vecdot(images_BM, vectors_BM)
    residuals_B = np.linalg.norm(images_BM - values_B[:, None] * vectors_BM, axis=1)
    scale = float(np.abs(values_B).max(initial=0.0))
    enough_B = np.maximum(ENOUGH * np.abs(values_B), 10 * block.roundoff * scale)
    return Pairs(
        values_B=values_B,
        vectors_BM=vectors_BM,
        residuals_B=residuals_B,
        converged=len(values_B) == wanted and bool((residuals_B <= enough_B).all()),
    )
