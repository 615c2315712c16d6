"""The W block as a dense matrix, where it is small: exact, and what everything is compared with.

N samples, K classes, J = K - 1 directions orthogonal to the ones vector, X variables of a class.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nccli.checkpoint import LazyArray
from nccli.collapse.spans import Span
from nccli.hessian.curvature import complement_of_ones
from nccli.hessian.feature_block import small_blocks
from nccli.hessian.layer import LastLayer, Numbers
from nccli.logits import Floats

ROWS_TOGETHER = 2**20  # numbers in the small matrices of the rows worked on at once


def dense_block(layer: LastLayer, basis_XR: Floats | None = None) -> Floats:
    """The W block on (1-perp) x R^X: (J X, J X), loss only. Its null space, 1 x R^X, is left out.

    Block (j, l) is (1/N) sum_i (V^T A_i V)_jl x_i x_i^T: a matrix product for each pair.
    basis_XR: the directions that inputs are seen along; None for all of R^X.
    """
    exact, width = layer.precise, layer.width if basis_XR is None else basis_XR.shape[1]
    directions = layer.num_classes - 1
    total = np.zeros((directions, directions, width, width))
    for part in exact.over_rows(_dense_part, basis_XR, partial_bytes=total.nbytes):
        total += part
    lower = np.tril_indices(directions, -1)
    total[lower] = total[lower[1], lower[0]]  # each block is symmetric itself
    size = directions * width
    ordered: Floats = total.transpose(0, 2, 1, 3).reshape(size, size) / layer.count
    return ordered


def _dense_part(layer: LastLayer, span: Span, basis_XR: Floats | None) -> Floats:
    basis_KJ = complement_of_ones(layer.num_classes)
    directions, width = basis_KJ.shape[1], layer.width if basis_XR is None else basis_XR.shape[1]
    total = np.zeros((directions, directions, width, width))
    step = max(1, ROWS_TOGETHER // max(directions * directions, width))
    for block in layer.blocks(span, basis_XR):
        seen_NX = block.inputs_NX if basis_XR is None else block.products_NM
        for start in range(0, block.count, step):
            rows = slice(start, start + step)
            inputs_NX = seen_NX[rows]
            p_NK, top_N = block.probabilities_NK[rows], block.top_N[rows]
            curvature_NJJ = np.empty((len(top_N), directions, directions))
            for members, _, blocks_NJJ in small_blocks(p_NK, top_N, basis_KJ):
                curvature_NJJ[members] = blocks_NJJ
            for j in range(directions):
                for other in range(j, directions):
                    weighed_NX = inputs_NX * curvature_NJJ[:, j, other, None]
                    total[j, other] += weighed_NX.T @ inputs_NX
    return total


def projected(layer: LastLayer, basis_XR: Floats) -> LastLayer:
    """The same layer, its inputs seen along R directions, in memory, in its own precision."""
    parts = list(layer.over_rows(_projected_part, basis_XR))
    return replace(
        layer,
        weight_KD=layer.weight_KX @ basis_XR,
        features=LazyArray.of(np.concatenate([inputs_NR for inputs_NR, _ in parts])),
        stored=None,
        kept_NK=np.concatenate([p_NK for _, p_NK in parts]),
        with_bias=False,
    )


def _projected_part(layer: LastLayer, span: Span, basis_XR: Floats) -> tuple[Numbers, Numbers]:
    inputs = [np.empty((0, basis_XR.shape[1]), layer.dtype)]
    probabilities = [np.empty((0, layer.num_classes), layer.dtype)]
    for block in layer.blocks(span, basis_XR):
        inputs.append(block.products_NM.copy())
        probabilities.append(block.probabilities_NK.copy())
    return np.concatenate(inputs), np.concatenate(probabilities)
