"""The last-layer Hessian at real features and weights, beside its value at the collapsed optimum.

N samples, K classes, D features, J = K - 1 directions orthogonal to the ones vector, R directions
of the centred class means. With p_i = softmax(W h_i + b), A_i = diag(p_i) - p_i p_i^T:

    W block   (1/N) sum_i A_i (x) h_i h_i^T              Kd x Kd, never formed
    H block   block diagonal, block i = (1/N) W^T A_i W
    joint     both and the cross terms, (Kd + Nd) square, never formed

All values are of the data term alone unless their name says regularised. The softmax curvature is
gauge-fixed (A 1 = 0: the top class's product is subtracted, 1 - p_top summed from the others), so
that a confident network loses no digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from nccli.checkpoint import Checkpoint
from nccli.collapse.centres import class_centres
from nccli.curvature import (
    apply_softmax_curvature,
    centred_rank,
    complement_of_ones,
    feature_block_eigenvalues,
    softmax_factor,
)
from nccli.errors import ContentError
from nccli.last_layer import (
    LastLayer,
    Penalties,
    find_penalties,
    load_last_layer,
    theory_beside,
)
from nccli.logits import Floats, Integers
from nccli.result import quantity

# eigsh keeps 20 Lanczos vectors: this bounds them near 1.3 GB. Our own limit, not a published one.
MAX_LANCZOS_SIZE = 8_000_000
MAX_DENSE_SIZE = 2_500  # a dense eigendecomposition of this size takes seconds
FEATURE_BLOCK_WORK = 4 * 10**9  # samples x K^3 of the H block: some ten seconds of one core
RESIDUAL_TOLERANCE = 1e-8  # relative; a value with a larger residual is not reported


@dataclass(frozen=True, slots=True, kw_only=True)
class HessianReport:
    """Last-layer conditioning of one (checkpoint, split); theory_ is the closed form beside it."""

    path: str | None = quantity("file", "the checkpoint file")
    epoch: int | None = quantity("epoch", "epoch the checkpoint was saved at", brief=True)
    split: str = quantity(
        "split", "split whose mean loss is differentiated", default="train", brief=True
    )
    loss_name: str | None = quantity("trained with", "cross-entropy or label-smoothing")
    label_smoothing: float | None = quantity("delta", "label smoothing of the training loss")
    seed: int | None = quantity("seed", "random seed of the run")
    n: int = quantity("N", "number of samples", default=0)
    num_classes: int = quantity("K", "number of classes", default=0)
    dim: int = quantity("d", "number of features", default=0)
    lambda_w: float | None = quantity("lambda_W", "weight decay of the run, or --lambda-w")
    lambda_h: float | None = quantity(
        "lambda_H",
        "--lambda-h, the run's feature decay, or lambda_W norm(W)^2 / norm(H)^2 (norm balance)",
    )
    lambda_h_source: str | None = quantity("lambda_H from", "given, recorded or norm balance")
    lambda_max_w: float | None = quantity(
        "lambda max W", "largest eigenvalue of the W block", brief=True
    )
    lambda_max_h: float | None = quantity(
        "lambda max H", "largest eigenvalue of the H block", brief=True
    )
    lambda_max_joint: float | None = quantity(
        "lambda max joint", "largest eigenvalue of the joint Hessian in (W, H)"
    )
    trace_w: float | None = quantity("trace W", "trace of the W block, exact")
    trace_h: float | None = quantity("trace H", "trace of the H block, exact")
    kappa_means_w: float | None = quantity(
        "kappa means W",
        "condition number of the W block on (1-perp) x (span of centred class means), loss only",
        source="nccli; equals K p_t at the collapsed optimum, the paper's notion",
        better="lower",
        brief=True,
    )
    kappa_regularised_w: float | None = quantity(
        "kappa regularised W",
        "(lambda_max_w + lambda_W) / lambda_W: the W block has null modes (softmax gauge)",
        source="nccli",
        better="lower",
        brief=True,
    )
    kappa_regularised_h: float | None = quantity(
        "kappa regularised H",
        "(largest + lambda_H) / (smallest + lambda_H) eigenvalue of the H block",
        source="nccli",
        better="lower",
    )
    kappa_h_median: float | None = quantity(
        "kappa H median",
        "median over samples of the H block's condition number on its K - 1 directions, loss only",
        source="nccli; equals K p_t at the collapsed optimum",
        better="lower",
        brief=True,
    )
    kappa_h_p90: float | None = quantity(
        "kappa H p90", "90th percentile over samples of the same", source="nccli", better="lower"
    )
    theory_lambda_max_w: float | None = quantity("theory: lambda max W", "at the UFM optimum")
    theory_lambda_max_h: float | None = quantity("theory: lambda max H", "at the UFM optimum")
    theory_lambda_max_joint: float | None = quantity("theory: lambda max joint", "UFM optimum")
    theory_trace_w: float | None = quantity("theory: trace W", "at the UFM optimum")
    theory_trace_h: float | None = quantity("theory: trace H", "at the UFM optimum")
    theory_kappa_means_w: float | None = quantity("theory: kappa means W", "K p_t", brief=True)
    theory_kappa_regularised_w: float | None = quantity(
        "theory: kappa regularised W", "1 + a p_t p_n / (sqrt(n) lambda_z)"
    )
    theory_kappa_regularised_h: float | None = quantity(
        "theory: kappa regularised H", "1 + a p_t p_n / (sqrt(n) lambda_z)"
    )
    theory_kappa_h_median: float | None = quantity("theory: kappa H median", "K p_t")
    theory_kappa_h_p90: float | None = quantity("theory: kappa H p90", "K p_t")
    notes: tuple[str, ...] = quantity("notes", "why a value is undefined or special", default=())


def analyze(
    checkpoint: Checkpoint,
    *,
    split: str = "train",
    path: str | None = None,
    lambda_w: float | None = None,
    lambda_h: float | None = None,
) -> HessianReport:
    """Return the measured last-layer curvature of one split, and the closed form beside it.

    Raises ContentError where the file has no classifier, UsageError on a negative penalty.
    """
    layer = load_last_layer(checkpoint, split)
    notes: list[str] = []
    penalties = find_penalties(checkpoint, layer, lambda_w, lambda_h, notes)
    meta = checkpoint.metadata
    measured = _measured(checkpoint, split, layer, penalties, notes)
    return HessianReport(
        path=path,
        split=split,
        epoch=meta.epoch,
        loss_name=meta.loss,
        label_smoothing=meta.label_smoothing,
        seed=meta.seed,
        n=layer.count,
        num_classes=checkpoint.num_classes,
        dim=checkpoint.dim,
        lambda_w=penalties.weight,
        lambda_h=penalties.features,
        lambda_h_source=penalties.source,
        **measured,
        **theory_beside(checkpoint, layer, penalties, notes),
        notes=tuple(notes),
    )


# --- measured -----------------------------------------------------------------------------------


def _measured(
    checkpoint: Checkpoint,
    split: str,
    layer: LastLayer,
    penalties: Penalties,
    notes: list[str],
) -> dict[str, Any]:
    lambda_max_w = _largest_of_weight_block(layer, notes)
    return {
        "lambda_max_w": lambda_max_w,
        "lambda_max_joint": _largest_of_joint(checkpoint, layer, notes),
        "trace_w": _trace_w(layer),
        "trace_h": _trace_h(layer),
        "kappa_means_w": _kappa_means(checkpoint, split, layer, notes),
        "kappa_regularised_w": _regularised(lambda_max_w, 0.0, penalties.weight),
        **_feature_blocks(layer, penalties.features, notes),
    }


def _feature_blocks(
    layer: LastLayer, penalty: float | None, notes: list[str]
) -> dict[str, float | None]:
    """What the H block, a small block for each sample, says: extremes and distribution."""
    num_classes, dim = layer.weight_KD.shape
    rows = _sampled_rows(layer.count, num_classes)
    squares_NR = feature_block_eigenvalues(layer.weight_KD, layer.softmax, rows=rows)
    directions = min(num_classes - 1, dim)
    found = _distribution(layer, squares_NR, directions, notes)
    if len(rows) < layer.count:
        notes.append(
            f"kappa_h_* are over a seeded sample of {len(rows):,} of {layer.count:,} samples, and "
            "lambda_max_h and kappa_regularised_h are left out: K is large"
        )
        return found
    largest = float(squares_NR[:, 0].max()) / layer.count
    full_rank = dim <= num_classes - 1
    smallest = float(squares_NR[:, directions - 1].min()) / layer.count if full_rank else 0.0
    return found | {
        "lambda_max_h": largest,
        "kappa_regularised_h": _regularised(largest, smallest, penalty),
    }


def _sampled_rows(count: int, num_classes: int) -> Integers:
    """All rows where their K x K decompositions take seconds, else a seeded sample of them."""
    limit = max(200, FEATURE_BLOCK_WORK // num_classes**3)
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, size=limit, replace=False))


def _regularised(largest: float | None, smallest: float, penalty: float | None) -> float | None:
    if largest is None or not penalty:
        return None
    return (largest + penalty) / (smallest + penalty)


def _ratios(largest_N: Floats, smallest_N: Floats) -> Floats:
    ratios_N = np.full(len(largest_N), np.inf)
    np.divide(largest_N, smallest_N, out=ratios_N, where=smallest_N > 0)
    return ratios_N


def _distribution(
    layer: LastLayer, squares_NR: Floats, directions: int, notes: list[str]
) -> dict[str, float | None]:
    rank = centred_rank(layer.weight_KD)
    if rank < directions:
        notes.append(f"kappa_h_* are undefined: the centred weight has rank {rank}, not K - 1")
        return {}
    kappas_N = _ratios(squares_NR[:, 0], squares_NR[:, directions - 1])
    # method="lower" returns a sample's own value: interpolating towards inf would give NaN
    median, tail = np.quantile(kappas_N, [0.5, 0.9], method="lower")
    if not np.isfinite(tail):
        notes.append(
            "kappa_h_p90 (and perhaps kappa_h_median) is infinite: some probabilities underflow"
        )
    return {
        "kappa_h_median": float(median) if np.isfinite(median) else None,
        "kappa_h_p90": float(tail) if np.isfinite(tail) else None,
    }


def _trace_w(layer: LastLayer) -> float:
    variance_N = (layer.softmax.probabilities * layer.softmax.complements).sum(axis=1)
    return float(variance_N @ np.square(layer.features_ND).sum(axis=1)) / layer.count


def _trace_h(layer: LastLayer) -> float:
    """(1/N) sum_i tr(W^T A_i W), tr = sum_k p_k norm(w_k - W^T p)^2: no term is negative."""
    weight_KD, total = layer.weight_KD, 0.0
    step = max(1, 2**20 // weight_KD.size)
    for start in range(0, layer.count, step):
        p_NK = layer.softmax.probabilities[start : start + step]
        gaps_NKD = weight_KD - (p_NK @ weight_KD)[:, None, :]
        total += float(np.einsum("nk,nkd,nkd->", p_NK, gaps_NKD, gaps_NKD))
    return total / layer.count


def _largest_of_weight_block(layer: LastLayer, notes: list[str]) -> float | None:
    shape = layer.weight_KD.shape

    def product(vector: Floats) -> Floats:
        curved_NK = apply_softmax_curvature(
            layer.softmax, layer.features_ND @ vector.reshape(shape).T
        )
        result: Floats = (curved_NK.T @ layer.features_ND).ravel() / layer.count
        return result

    return _largest(product, layer.weight_KD.size, "lambda_max_w", notes)


def _largest_of_joint(checkpoint: Checkpoint, layer: LastLayer, notes: list[str]) -> float | None:
    size = layer.weight_KD.size + layer.features_ND.size
    if size > MAX_LANCZOS_SIZE:
        notes.append(f"lambda_max_joint is left out: {size:,} variables, the limit is 8,000,000")
        return None
    delta = checkpoint.metadata.label_smoothing
    if delta is None:
        notes.append("label_smoothing is not recorded: lambda_max_joint is that of delta 0")
    gradient_NK = _logit_gradient(layer, delta or 0.0)
    weight_KD, features_ND = layer.weight_KD, layer.features_ND

    def product(vector: Floats) -> Floats:
        weights = vector[: weight_KD.size].reshape(weight_KD.shape)
        shifts = vector[weight_KD.size :].reshape(features_ND.shape)
        change_NK = features_ND @ weights.T + shifts @ weight_KD.T
        curved_NK = apply_softmax_curvature(layer.softmax, change_NK)
        to_weight = curved_NK.T @ features_ND + gradient_NK.T @ shifts
        to_features = curved_NK @ weight_KD + gradient_NK @ weights
        return np.concatenate([to_weight.ravel(), to_features.ravel()]) / layer.count

    return _largest(product, size, "lambda_max_joint", notes)


def _logit_gradient(layer: LastLayer, delta: float) -> Floats:
    """p - y^delta (N, K), without cancellation where p_top is near one and is the target."""
    num_classes = len(layer.weight_KD)
    gradient_NK = layer.softmax.probabilities - delta / num_classes
    own = np.take_along_axis(layer.softmax.complements, layer.labels_N[:, None], axis=1)
    target = delta * (1 - 1 / num_classes) - own
    np.put_along_axis(gradient_NK, layer.labels_N[:, None], target, axis=1)
    return gradient_NK


def _largest(
    product: Callable[[Floats], Floats], size: int, name: str, notes: list[str]
) -> float | None:
    if size < 20:  # Lanczos needs room; a handful of variables is solved densely
        columns = np.stack([product(unit) for unit in np.eye(size)], axis=1)
        return float(np.linalg.eigvalsh((columns + columns.T) / 2)[-1])
    start = np.random.default_rng(0).standard_normal(size)
    if not np.any(product(start)):
        return 0.0  # a saturated softmax has no curvature left, and ARPACK refuses the zero matrix
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    try:
        values, vectors = eigsh(operator, k=1, which="LA", v0=start, maxiter=2_000)
    except ArpackError as error:
        notes.append(f"{name} is undefined: Lanczos did not converge ({error})")
        return None
    value, vector = float(values[0]), vectors[:, 0]
    residual = float(np.linalg.norm(product(vector) - value * vector))
    if residual > RESIDUAL_TOLERANCE * max(abs(value), np.finfo(np.float64).tiny):
        notes.append(f"{name} is undefined: its residual {residual:.1e} is too large")
        return None
    return value


def _kappa_means(
    checkpoint: Checkpoint, split: str, layer: LastLayer, notes: list[str]
) -> float | None:
    try:
        centres = class_centres(checkpoint, split)
    except ContentError as error:
        notes.append(f"kappa_means_w is left out: {error.problem}")
        return None
    size = (checkpoint.num_classes - 1) * centres.basis_DR.shape[1]
    if size == 0 or size > MAX_DENSE_SIZE:
        reason = "class means coincide" if size == 0 else f"{size:,} dimensions, the limit is 2,500"
        notes.append(f"kappa_means_w is left out: {reason}")
        return None
    values = np.linalg.eigvalsh(means_block(layer, centres.basis_DR))
    if values[0] <= values[-1] * size * np.finfo(np.float64).eps:
        notes.append("kappa_means_w is above 1e13, beyond what float64 can tell")
        return None
    return float(values[-1] / values[0])


def means_block(layer: LastLayer, basis_DR: Floats) -> Floats:
    """The W block compressed to (1-perp) x (span of the basis): (J R, J R), dense and exact."""
    num_classes = len(layer.weight_KD)
    directions_KJ = complement_of_ones(num_classes)
    size = (num_classes - 1) * basis_DR.shape[1]
    block = np.zeros((directions_KJ.shape[1] ** 2, basis_DR.shape[1] ** 2))
    step = max(1, 2**21 // max(size, num_classes**2))
    for start in range(0, layer.count, step):
        rows = slice(start, start + step)
        factor_NKK = softmax_factor(
            layer.softmax.probabilities[rows],
            layer.softmax.complements[rows],
            np.sqrt(layer.softmax.probabilities[rows]),
        )
        half_NJK = directions_KJ.T @ factor_NKK
        curvature_NJJ = half_NJK @ half_NJK.transpose(0, 2, 1)
        projected_NR = layer.features_ND[rows] @ basis_DR
        outer_NRR = projected_NR[:, :, None] * projected_NR[:, None, :]
        block += curvature_NJJ.reshape(len(outer_NRR), -1).T @ outer_NRR.reshape(len(outer_NRR), -1)
    classes, rank = directions_KJ.shape[1], basis_DR.shape[1]
    ordered = block.reshape(classes, classes, rank, rank).transpose(0, 2, 1, 3)
    return ordered.reshape(size, size) / layer.count
