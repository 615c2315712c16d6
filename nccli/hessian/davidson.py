"""The largest eigenvalues of a symmetric operator, from a good start, in few products.

B vectors at a time, M variables, S vectors of the search space.

Block Davidson: the search space grows by the residuals of the wanted Ritz pairs and is
orthogonalised twice. Without a preconditioner that makes it a block Krylov space. scipy's eigsh
forms 20 Lanczos vectors before it asks whether it is done; from the start that the class means
give, 4 to 8 products suffice here. Multiple eigenvalues, which the collapsed optimum has, need a
block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nccli.logits import Floats

Product = Callable[[Floats], Floats]  # (B, M) -> (B, M)

BASIS_BYTES = 256 * 2**20  # search space and its products
NEGLIGIBLE = 1e-10  # of a residual after orthogonalisation: nothing new in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Ritz:
    """Ritz pairs, largest first, with their residuals |G x - value x| for unit x."""

    values_B: Floats
    vectors_BM: Floats
    residuals_B: Floats
    passes: int
    converged: bool


def largest(
    product: Product,
    start_BM: Floats,
    *,
    wanted: int,
    tolerance: float,
    max_passes: int,
    floor: float = 1e-13,
    enough: float = 0.0,
    precondition: Product | None = None,
) -> Ritz:
    """Return the `wanted` largest eigenpairs; tolerance is relative to each eigenvalue.

    start_BM: at least `wanted` vectors, which need not be orthogonal. floor: what rounding leaves
    of a residual, relative to the largest eigenvalue; enough: the same as it is.
    precondition: what is near the inverse of the operator, for eigenvalues near zero (of minus an
    operator that is positive). Where the residuals are still too large
    after max_passes products, the Ritz pairs are what they are: not converged.
    """
    basis_SM = orthonormal(start_BM, np.zeros((0, start_BM.shape[1])))
    images_SM = product(basis_SM)
    passes = 1
    most = max(3 * wanted + 2, int(BASIS_BYTES / (2 * basis_SM[0].nbytes)))
    while True:
        small_SS = basis_SM @ images_SM.T
        values_S, turns_SS = np.linalg.eigh((small_SS + small_SS.T) / 2)
        values_B, turns_SB = values_S[::-1][:wanted], turns_SS[:, ::-1][:, :wanted]
        vectors_BM = turns_SB.T @ basis_SM
        residuals_BM = turns_SB.T @ images_SM - values_B[:, None] * vectors_BM
        residuals_B = np.linalg.norm(residuals_BM, axis=1)
        least = max(enough, floor * max(float(values_B[0]), 0.0))
        enough_B = np.maximum(tolerance * np.abs(values_B), least)
        open_B = residuals_B > enough_B
        further_BM = residuals_BM[open_B]
        if precondition is not None and len(further_BM):
            further_BM = precondition(further_BM)
        new_BM = orthonormal(further_BM, basis_SM)
        if not open_B.any() or not len(new_BM) or passes >= max_passes:
            return Ritz(
                values_B=values_B,
                vectors_BM=vectors_BM,
                residuals_B=residuals_B,
                passes=passes,
                converged=not open_B.any() or len(basis_SM) >= start_BM.shape[1],
            )
        if len(basis_SM) + len(new_BM) > most:  # a new search space, of the best of the old
            kept_SB = turns_SS[:, ::-1][:, : max(2 * wanted, most // 4)]
            basis_SM, images_SM = kept_SB.T @ basis_SM, kept_SB.T @ images_SM
            new_BM = orthonormal(new_BM, basis_SM)
        basis_SM = np.concatenate([basis_SM, new_BM])
        images_SM = np.concatenate([images_SM, product(new_BM)])
        passes += 1


def orthonormal(vectors_BM: Floats, basis_SM: Floats) -> Floats:
    """The part of some vectors that a basis lacks, orthonormal; what adds nothing is left out."""
    kept: list[Floats] = []
    for vector_M in vectors_BM:
        size = np.linalg.norm(vector_M)
        if size == 0:
            continue
        left_M = vector_M / size
        for _ in range(2):  # once leaves what rounding has left
            left_M = left_M - (left_M @ basis_SM.T) @ basis_SM
            for other_M in kept:
                left_M = left_M - (left_M @ other_M) * other_M
            size = np.linalg.norm(left_M)
            if size < NEGLIGIBLE:
                break
            left_M = left_M / size
        else:
            kept.append(left_M)
    return np.array(kept).reshape(len(kept), vectors_BM.shape[1])
