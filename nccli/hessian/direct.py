"""The joint Hessian by products with whole vectors (W, H): for problems that fit into memory.

N samples, K classes, X variables of a class, D features. Needed where the H block is not small
beside the W block, as in unconstrained feature models of few samples, and for its density.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from nccli.collapse.spans import Span
from nccli.hessian import davidson
from nccli.hessian.curvature import curve, gradients
from nccli.hessian.density import Density, density_of
from nccli.hessian.layer import LastLayer
from nccli.hessian.quadrature import lanczos
from nccli.hessian.weight_block import Solved
from nccli.logits import Floats, Integers

# eigsh keeps 20 Lanczos vectors: this bounds them near 1.3 GB. Our own limit, not a published one.
MAX_SIZE = 8_000_000
LANCZOS_VECTORS = 20
MAX_PASSES = 400  # of the block method, from a random start
MAX_QUADRATURE = 2**27  # numbers in the Lanczos vectors of all probes: 512 MiB
TINY_SIZE = 20  # Lanczos needs room; a handful of variables is solved densely
TOLERANCE = 1e-8  # relative, of the residual
JOINT_RESOLUTION = 1e-13


def size_of(layer: LastLayer) -> int:
    """How many variables (W, H) has."""
    count, dim = layer.features.shape
    return layer.num_classes * layer.width + count * dim


def largest_direct(
    layer: LastLayer,
    *,
    label_smoothing: float,
    wanted: int = 1,
    penalty_w: float = 0.0,
    penalty_h: float = 0.0,
) -> Solved | None:
    """Return the largest eigenvalues of the joint Hessian; None where it does not fit."""
    size = size_of(layer)
    if size * max(LANCZOS_VECTORS, 6 * wanted) > LANCZOS_VECTORS * MAX_SIZE:
        return None
    product = joint_product(layer, label_smoothing, penalty_w, penalty_h)
    found_BM, converged = _top_vectors(product, size, wanted)
    images_BM = np.stack([product(vector) for vector in found_BM])
    values_B = np.vecdot(found_BM, images_BM)
    errors_B = np.linalg.norm(images_BM - values_B[:, None] * found_BM, axis=1)
    errors_B += 4 * np.finfo(np.float64).eps * np.abs(values_B[:1])
    enough = TOLERANCE * max(abs(float(values_B[0])), 1e-300)
    shape = (layer.num_classes, layer.width)
    return Solved(
        values=values_B,
        errors=errors_B,
        vectors_BKX=found_BM[:, : shape[0] * shape[1]].reshape(-1, *shape),
        passes=0,
        converged=converged and bool(np.all(errors_B <= enough)),
    )


def _top_vectors(
    product: Callable[[Floats], Floats], size: int, wanted: int
) -> tuple[Floats, bool]:
    if size < max(TINY_SIZE, 4 * wanted):
        columns = np.stack([product(unit) for unit in np.eye(size)], axis=1)
        return np.linalg.eigh((columns + columns.T) / 2)[1][:, ::-1][:, :wanted].T, True
    start_BM = np.random.default_rng(0).standard_normal((wanted, size))
    if wanted > 1:  # collapsed networks have multiple eigenvalues: one Lanczos vector misses them
        found = davidson.largest(
            lambda vectors_BM: np.stack([product(vector) for vector in vectors_BM]),
            start_BM, wanted=wanted, tolerance=TOLERANCE, max_passes=MAX_PASSES,
            floor=TOLERANCE / 10,
        )  # fmt: skip
        return found.vectors_BM, found.converged
    start_BM /= np.linalg.norm(start_BM, axis=1, keepdims=True)
    if not np.any(product(start_BM[0])):
        return start_BM, True  # ARPACK refuses the zero matrix
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    try:
        _, vectors = eigsh(operator, k=1, which="LA", v0=start_BM[0], maxiter=2_000)
    except ArpackError:  # nothing to be had: the interval around a random vector says so
        return start_BM, False
    return vectors.T, True


def joint_density(
    layer: LastLayer, *, label_smoothing: float, probes: int, steps: int, seed: int
) -> Density | None:
    """Return the density of its positive eigenvalues, loss only; None where it does not fit."""
    size = size_of(layer)
    if size * probes * min(steps, size) > MAX_QUADRATURE:
        return None
    product = joint_product(layer, label_smoothing, 0.0, 0.0)
    start_PM = np.random.default_rng(seed).standard_normal((probes, size))
    found = lanczos(
        lambda vectors_PM: np.stack([product(vector) for vector in vectors_PM]),
        start_PM,
        steps=steps,
    )
    return density_of(found, size=size, resolution=JOINT_RESOLUTION)


def joint_product(
    layer: LastLayer, label_smoothing: float, penalty_w: float, penalty_h: float
) -> Callable[[Floats], Floats]:
    """The joint Hessian as a function of a vector (W, H), everything of it in memory."""
    inputs_NX, p_NK, top_N = _in_memory(layer.precise)
    gradients_NK = gradients(p_NK, top_N, layer.labels_N, label_smoothing)
    shape = (layer.num_classes, layer.width)
    dim = layer.features.shape[1]
    weight_KD = layer.weight_KD
    split = shape[0] * shape[1]

    def product(vector: Floats) -> Floats:
        weights = vector[:split].reshape(shape)
        shifts_ND = vector[split:].reshape(-1, dim)
        change_NK = inputs_NX @ weights.T + shifts_ND @ weight_KD.T
        curved_NK = curve(p_NK, top_N, change_NK[:, None, :])[:, 0]
        to_weight = curved_NK.T @ inputs_NX
        to_weight[:, :dim] += gradients_NK.T @ shifts_ND
        to_features = curved_NK @ weight_KD + gradients_NK @ weights[:, :dim]
        flat = np.concatenate([to_weight.ravel(), to_features.ravel()]) / layer.count
        flat[:split] += penalty_w * vector[:split]
        flat[split:] += penalty_h * vector[split:]
        return flat

    return product


def _in_memory(layer: LastLayer) -> tuple[Floats, Floats, Integers]:
    inputs, probabilities, tops = zip(*layer.over_rows(_rows_of), strict=True)
    return np.concatenate(inputs), np.concatenate(probabilities), np.concatenate(tops)


def _rows_of(layer: LastLayer, span: Span) -> tuple[Floats, Floats, Integers]:
    blocks = [
        (block.inputs_NX.copy(), block.probabilities_NK.copy(), block.top_N)
        for block in layer.blocks(span)
    ]
    inputs, probabilities, tops = zip(*blocks, strict=True)
    return np.concatenate(inputs), np.concatenate(probabilities), np.concatenate(tops)
