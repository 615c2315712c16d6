"""Papyan's hierarchy of the last layer's curvature: class, cross-class, within and own class.

N samples, K classes, X variables of a class. The W block is a second moment (Papyan 2019, 2020),

    (1/N) sum_i sum_k p_ik d_ik d_ik^T,    d_ik = (e_k - p_i) (x) h_i,

of the gradients d_ik that sample i would have, were its label k. Grouped by the true class c and
by k, with the means d_ck of a group and d_c over the groups k != c, weighted by p_ik, it is exactly

    class        sum_c pi_c d_c d_c^T
    cross-class  sum_c sum_{k != c} pi_ck (d_ck - d_c) (.)^T
    within       (1/N) sum_i sum_{k != y} p_ik (d_ik - d_yk) (.)^T
    own          (1/N) sum_i p_iy d_iy d_iy^T        (k = c)

Their traces add up to that of the block. The sums of a group are rows of sum_i A_i (x) h_i.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nccli.collapse.spans import Span
from nccli.errors import ContentError
from nccli.hessian.layer import Block, LastLayer
from nccli.logits import Floats, Integers

LARGEST_BYTES = 512 * 2**20  # sums of one class; our own limit
GROUP_BYTES = 48 * 2**20  # sums of the classes that are worked on in one pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """Traces of the four parts of the W block, loss only."""

    between_classes: float
    cross_class: float
    within: float
    own: float


def hierarchy(layer: LastLayer) -> Hierarchy:
    """Return the four traces, in double; classes are taken in groups that fit into memory."""
    exact, classes = layer.precise, layer.num_classes
    nbytes = 8 * classes * classes * layer.width
    if nbytes > LARGEST_BYTES:
        raise ContentError(
            f"has too many classes and features for --hierarchy: {nbytes / 2**20:,.0f} MiB a class",
            remedy="leave --hierarchy out",
        )
    together = max(1, GROUP_BYTES // (8 * classes * classes * layer.width))
    between = cross = within = own = 0.0
    for first in range(0, classes, together):
        chosen = np.arange(first, min(first + together, classes))
        sums = np.zeros((len(chosen), classes, classes, layer.width))
        weights_CK, squares_CK = np.zeros((2, len(chosen), classes))
        for part, weights, squares, owned in exact.over_rows(
            _part, chosen, partial_bytes=sums.nbytes
        ):
            sums += part
            weights_CK += weights
            squares_CK += squares
            own += owned
        found = _traces(sums, weights_CK, squares_CK, chosen)
        between, cross, within = between + found[0], cross + found[1], within + found[2]
    count = layer.count
    return Hierarchy(
        between_classes=between / count, cross_class=cross / count, within=within / count,
        own=own / count,
    )  # fmt: skip


def _traces(
    sums: Floats, weights_CK: Floats, squares_CK: Floats, chosen: Integers
) -> tuple[float, float, float]:
    means_CK = np.square(sums).sum(axis=(2, 3)) / np.maximum(weights_CK, np.finfo(np.float64).tiny)
    places = np.arange(len(chosen))
    # sum_{k != c} of the sums is minus that of k = c: the rows of A_i add up to zero
    class_C = np.square(sums[places, chosen]).sum(axis=(1, 2))
    for own_CK in (means_CK, weights_CK, squares_CK):
        own_CK[places, chosen] = 0.0
    class_C = class_C / np.maximum(weights_CK.sum(axis=1), np.finfo(np.float64).tiny)
    between, grouped, total = class_C.sum(), means_CK.sum(), squares_CK.sum()
    return float(between), float(max(grouped - between, 0.0)), float(max(total - grouped, 0.0))


def _part(layer: LastLayer, span: Span, chosen: Integers) -> tuple[Floats, Floats, Floats, float]:
    classes, width = layer.num_classes, layer.width
    sums = np.zeros((len(chosen), classes, classes, width))
    weights_CK = np.zeros((len(chosen), classes))
    squares_CK, own = np.zeros_like(weights_CK), 0.0
    for block in layer.blocks(span):
        labels_N = layer.labels_N[block.rows]
        lengths_N = np.vecdot(block.inputs_NX, block.inputs_NX)
        for place, label in enumerate(chosen):
            members = np.flatnonzero(labels_N == label)
            p_NK, curvature_NKK = _curvatures(block, members)
            flat_NM = curvature_NKK.reshape(len(members), classes * classes)
            sums[place] += (flat_NM.T @ block.inputs_NX[members]).reshape(sums[place].shape)
            # |e_k - p|^2 = sum_j A_kj^2 / p_k^2
            gaps_NK = np.square(curvature_NKK).sum(axis=2)
            np.divide(gaps_NK, p_NK, out=gaps_NK, where=p_NK > 0)
            weights_CK[place] += p_NK.sum(axis=0)
            squares_CK[place] += lengths_N[members] @ gaps_NK
            own += float(lengths_N[members] @ gaps_NK[:, label])
    return sums, weights_CK, squares_CK, own


def _curvatures(block: Block, members: Integers) -> tuple[Floats, Floats]:
    """p (n, K) and A (n, K, K) of some rows, p_top (1 - p_top) from the sum of the others."""
    p_NK = block.probabilities_NK[members]
    curvature_NKK = -p_NK[:, :, None] * p_NK[:, None, :]
    complements_NK = 1.0 - p_NK
    rows, top_N = np.arange(len(members)), block.top_N[members]
    others_NK = p_NK.copy()
    others_NK[rows, top_N] = 0.0
    complements_NK[rows, top_N] = others_NK.sum(axis=1)
    diagonal = np.arange(p_NK.shape[1])
    curvature_NKK[:, diagonal, diagonal] = p_NK * complements_NK
    return p_NK, curvature_NKK
