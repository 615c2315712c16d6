"""What is near the inverse of the W block on (1-perp) x R^X: the preconditioner of `smallest`.

N samples, K classes, J = K - 1, X variables of a class, G groups of samples (the classes of their
labels), B vectors at a time.

KFAC (Martens and Grosse 2015) takes curvature and inputs for independent: the inverse of
mean(A_i) x mean(x_i x_i^T). Near collapse they are the opposite: both are those of the class. Seen
in the whitened inputs, S = mean(x_i x_i^T), class means m_g of shares pi_g are nearly orthogonal,
and the block is nearly diagonal in them:

    sum_g D_g^-1 (x) t_g t_g^T + mean(A_i)^-1 (x) S^-1 S_W S^-1,   t_g = sqrt(pi_g) S^-1 m_g

S_W is what S has within classes, D_g the mean of A_i with weights (t_g . x_i)^2, its A_i replaced
by the mean of their class. Where all A_i are the same it is KFAC; at the collapsed optimum it is
the inverse, but for what class means are short of orthogonal. Ours: at K = 100 it takes 30 to 130
products where scipy's LOBPCG with KFAC is not done after 800.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nccli.collapse.centres import ClassAdder
from nccli.collapse.spans import Span
from nccli.hessian.layer import LastLayer
from nccli.logits import Floats, Integers

MAX_GROUPS = 200  # K^3 numbers are kept a few times, 64 MiB each: KFAC beyond; our own limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Inverse:
    """A positive definite operator on vectors (B, J X)."""

    curvature_JJ: Floats  # V^T mean(A_i) V, V a basis of 1-perp
    moments_XX: Floats  # mean(x_i x_i^T)
    means_inverse_GJJ: Floats  # D_g^-1
    inverse_JJ: Floats  # of curvature_JJ
    directions_GX: Floats  # t_g
    within_XX: Floats  # S^-1 S_W S^-1

    def times(self, vectors_BM: Floats) -> Floats:
        """The operator times vectors."""
        vectors_BJX = vectors_BM.reshape(len(vectors_BM), len(self.curvature_JJ), -1)
        along_GJB = (vectors_BJX @ self.directions_GX.T).transpose(2, 1, 0)
        turned_BJG = (self.means_inverse_GJJ @ along_GJB).transpose(2, 1, 0)
        images_BJX = turned_BJG @ self.directions_GX
        images_BJX += self.inverse_JJ @ vectors_BJX @ self.within_XX
        images_BM: Floats = images_BJX.reshape(vectors_BM.shape)
        return images_BM

    def flattest(self, wanted: int) -> Floats:
        """Where mean(A_i) x mean(x_i x_i^T) is smallest: orthonormal vectors (B, J X)."""
        values_J, classes_JJ = np.linalg.eigh(self.curvature_JJ)
        values_X, inputs_XX = np.linalg.eigh(self.moments_XX)
        scales_JX = np.maximum(values_J, 0)[:, None] * np.maximum(values_X, 0)[None, :]
        places = np.argsort(scales_JX, axis=None, kind="stable")[:wanted]
        rows_B, columns_B = np.unravel_index(places, scales_JX.shape)
        vectors_BJX = classes_JJ.T[rows_B][:, :, None] * inputs_XX.T[columns_B][:, None, :]
        vectors_BM: Floats = vectors_BJX.reshape(len(places), -1)
        return vectors_BM


def of(layer: LastLayer, basis_KJ: Floats) -> Inverse:
    """The preconditioner of a layer, up to a factor, from two passes; basis_KJ: V."""
    groups_N = layer.labels_N if layer.num_classes <= MAX_GROUPS else np.zeros_like(layer.labels_N)
    shares_G = np.bincount(groups_N) / layer.count
    curvatures_GJJ, means_GX, moments_XX = _moments(layer, groups_N, basis_KJ)
    curvature_JJ = np.einsum("g,gjl->jl", shares_G, curvatures_GJJ)
    inverse_XX = _inverted(moments_XX)
    within_XX = moments_XX - means_GX.T @ (means_GX * shares_G[:, None])
    directions_GX = np.sqrt(shares_G)[:, None] * (means_GX @ inverse_XX)
    weights_GG = _weights(layer, groups_N, directions_GX)
    return Inverse(
        curvature_JJ=curvature_JJ,
        moments_XX=moments_XX,
        means_inverse_GJJ=_inverted(np.tensordot(weights_GG, curvatures_GJJ, 1)),
        inverse_JJ=_inverted(curvature_JJ),
        directions_GX=directions_GX,
        within_XX=inverse_XX @ within_XX @ inverse_XX,
    )


def _moments(
    layer: LastLayer, groups_N: Integers, basis_KJ: Floats
) -> tuple[Floats, Floats, Floats]:
    """V^T mean(A_i) V and mean input of each group, mean(x_i x_i^T): scaled to traces of one."""
    groups, classes, width = int(groups_N.max()) + 1, layer.num_classes, layer.width
    pairs_GKK, sums_GX = np.zeros((groups, classes, classes)), np.zeros((groups, width))
    moments_XX = np.zeros((width, width))
    size = pairs_GKK.nbytes + sums_GX.nbytes + moments_XX.nbytes
    for part in layer.over_rows(_moments_part, groups_N, groups, partial_bytes=size):
        for total, more in zip((pairs_GKK, sums_GX, moments_XX), part, strict=True):
            total += more
    # A has the ones vector as its null direction: no difference of 1 and p, which are close
    diagonal = np.arange(classes)
    pairs_GKK[:, diagonal, diagonal] = 0.0
    pairs_GKK[:, diagonal, diagonal] = -pairs_GKK.sum(axis=2)
    counts_G = np.maximum(np.bincount(groups_N), 1)
    curvatures_GJJ = -(basis_KJ.T @ pairs_GKK @ basis_KJ)
    curvature, size_of_inputs = np.trace(curvatures_GJJ.sum(axis=0)), np.trace(moments_XX)
    return (
        curvatures_GJJ / (counts_G[:, None, None] * (curvature / layer.count)),
        sums_GX / (counts_G[:, None] * np.sqrt(size_of_inputs / layer.count)),
        moments_XX / size_of_inputs,
    )


def _moments_part(
    layer: LastLayer, span: Span, groups_N: Integers, groups: int
) -> tuple[Floats, Floats, Floats]:
    classes, width = layer.num_classes, layer.width
    pairs_GKK, sums_GX = np.zeros((groups, classes, classes)), np.zeros((groups, width))
    moments_XX, adder = np.zeros((width, width)), ClassAdder(groups)
    for block in layer.blocks(span):
        moments_XX += block.inputs_NX.T @ block.inputs_NX
        adder.add(sums_GX, block.inputs_NX, groups_N[block.rows])
        for group in np.unique(groups_N[block.rows]):
            p_MK = block.probabilities_NK[groups_N[block.rows] == group]
            pairs_GKK[group] += p_MK.T @ p_MK
    return pairs_GKK, sums_GX, moments_XX


def _weights(layer: LastLayer, groups_N: Integers, directions_GX: Floats) -> Floats:
    """Row g: the share that each group has in the sum of (t_g . x_i)^2 over all samples."""
    sums_GG = np.zeros((len(directions_GX), len(directions_GX)))
    parts = layer.over_rows(_weights_part, groups_N, directions_GX, partial_bytes=sums_GG.nbytes)
    for part in parts:
        sums_GG += part
    totals_G = sums_GG.sum(axis=0)
    shares_GG: Floats = (sums_GG / np.where(totals_G > 0, totals_G, 1.0)).T
    return shares_GG


def _weights_part(
    layer: LastLayer, span: Span, groups_N: Integers, directions_GX: Floats
) -> Floats:
    groups = len(directions_GX)
    sums_GG, adder = np.zeros((groups, groups)), ClassAdder(groups)
    for block in layer.blocks(span, directions_GX.T):
        adder.add(sums_GG, np.square(block.products_NM), groups_N[block.rows])
    return sums_GG


def _inverted(matrices: Floats) -> Floats:
    """The inverse of positive semidefinite matrices (..., M, M), what is flat moved off zero."""
    traces = np.trace(matrices, axis1=-2, axis2=-1)
    floors = np.finfo(np.float64).eps * (matrices.shape[-1] * traces + np.max(traces))
    lifted = matrices + floors[..., None, None] * np.eye(matrices.shape[-1])
    inverse: Floats = np.linalg.inv(lifted)
    return (inverse + np.swapaxes(inverse, -1, -2)) / 2
