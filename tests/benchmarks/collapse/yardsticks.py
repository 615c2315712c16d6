"""What nccli is measured against: the published library's algorithm, naive numpy, and the floor.

N samples, K classes, D features, R directions of the centred means, B rows of a block. NC1
carries nccli's 1/K, NC3 its square, NC4 is a share of disagreements, so that values compare.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from source import Source, opened

BATCH = 512  # rows; the batch size of the published timings
Metrics = dict[str, float]
Floats = NDArray[Any]


# --- the published algorithm of rhubarbwu/neural-collapse ----------------------------------------


def rhubarbwu(path: Path) -> Metrics:
    """Batch accumulators in float32: means, dense covariance, decisions; then pinv.

    Our own statement in numpy of what that library does in torch. Left out is what is no part of
    the algorithm: counting the classes again in every pass, and a SHA-256 of means and weights on
    every batch (torch_yardstick.py keeps both). Its NC4 ignores the bias, and so does this.
    """
    with opened(path) as source:
        means_KD = _accumulated_means(source)
        within_DD = _accumulated_covariance(source, means_KD)
        agreement = _accumulated_agreement(source, means_KD)
        weight_KD = source.weight_KD
    centred_KD = means_KD - means_KD.mean(axis=0)
    between_DD = centred_KD.T @ centred_KD / len(centred_KD)
    cut = len(between_DD) * np.finfo(np.float32).eps  # torch's default; numpy's keeps noise
    product_DD = np.linalg.pinv(between_DD, rcond=cut) @ within_DD
    nc1 = float(np.trace(product_DD)) / len(centred_KD)
    return {"nc1": nc1, **geometry(weight_KD, centred_KD), "nc4": 1.0 - agreement}


def _accumulated_means(source: Source) -> Floats:
    classes_K = np.arange(len(source.weight_KD))
    totals_KD = np.zeros(source.weight_KD.shape, np.float32)
    counts_K = np.zeros(len(classes_K), np.int32)
    for rows, block_BD in source.copied_blocks(BATCH):
        members_BK = source.labels_N[rows, None] == classes_K
        counts_K += members_BK.sum(axis=0, dtype=np.int32)
        totals_KD += members_BK.T.astype(np.float32) @ block_BD
    return totals_KD / counts_K[:, None].astype(np.float32)


def _accumulated_covariance(source: Source, means_KD: Floats) -> Floats:
    total_DD = np.zeros((means_KD.shape[1],) * 2, np.float32)
    for rows, block_BD in source.copied_blocks(BATCH):
        residuals_BD = block_BD - means_KD[source.labels_N[rows]]
        total_DD += residuals_BD.T @ residuals_BD  # numpy: half of torch's work, by symmetry
    return total_DD / np.float32(len(source.labels_N))


def _accumulated_agreement(source: Source, means_KD: Floats) -> float:
    squares_K = np.square(np.linalg.norm(means_KD, axis=1))
    agree = 0
    for _, block_BD in source.copied_blocks(BATCH):
        squares_B1 = np.square(np.linalg.norm(block_BD, axis=1))[:, None]
        distances_BK = squares_B1 + squares_K - 2 * (block_BD @ means_KD.T)
        predicted_B = (block_BD @ source.weight_KD.T).argmax(axis=1)
        agree += int(np.count_nonzero(distances_BK.argmin(axis=1) == predicted_B))
    return agree / len(source.labels_N)


# --- the way one would write it down -------------------------------------------------------------


def naive(path: Path) -> Metrics:
    """Load everything in float64, form both covariances, pinv cut at the rank."""
    with opened(path) as source:
        features_ND = source.features[:].astype(np.float64)
        labels_N, bias_K = source.labels_N, source.bias_K.astype(np.float64)
        weight_KD = source.weight_KD.astype(np.float64)
    means_KD = np.stack([features_ND[labels_N == k].mean(axis=0) for k in range(len(weight_KD))])
    centred_KD = means_KD - means_KD.mean(axis=0)
    residuals_ND = features_ND - means_KD[labels_N]
    within_DD = residuals_ND.T @ residuals_ND / len(labels_N)
    between_DD = centred_KD.T @ centred_KD / len(centred_KD)
    inverse_DD = np.linalg.pinv(between_DD, rcond=len(between_DD) * np.finfo(np.float64).eps)
    nc1 = float(np.trace(within_DD @ inverse_DD)) / len(centred_KD)
    distances_NK = np.square(means_KD).sum(axis=1) - 2.0 * (features_ND @ means_KD.T)
    predicted_N = (features_ND @ weight_KD.T + bias_K).argmax(axis=1)
    nc4 = float(np.mean(distances_NK.argmin(axis=1) != predicted_N))
    return {"nc1": nc1, **geometry(weight_KD, centred_KD), "nc4": nc4}


def geometry(weight_KD: Floats, centred_KD: Floats) -> Metrics:
    """NC2 and NC3, in the precision of what comes in."""
    gap_KD = weight_KD / np.linalg.norm(weight_KD) - centred_KD / np.linalg.norm(centred_KD)
    return {
        "nc2_features": _etf_distance(centred_KD @ centred_KD.T),
        "nc2_classifier": _etf_distance(weight_KD @ weight_KD.T),
        "nc2_duality": _etf_distance(weight_KD @ centred_KD.T),
        "nc3": float(np.square(gap_KD).sum()),
    }


def _etf_distance(gram_KK: Floats) -> float:
    classes = len(gram_KK)
    ideal_KK = (np.eye(classes, dtype=gram_KK.dtype) - 1.0 / classes) / np.sqrt(classes - 1.0)
    return float(np.linalg.norm(gram_KK / np.linalg.norm(gram_KK) - ideal_KK))


# --- what no program can go below ----------------------------------------------------------------


def only_reading(path: Path) -> Metrics:
    """Read the features once into a reused buffer."""
    with opened(path) as source:
        for _ in source.raw_blocks():
            pass
    return {}


def floor_reading(path: Path) -> Metrics:
    """Read the features twice and do one float32 GEMM (N x D) @ (D x R), in 1 MiB blocks."""
    with opened(path) as source:
        for _ in source.raw_blocks():
            pass
        basis_DR, out_BR = _operands(source)
        for block_BD in source.raw_blocks():
            np.matmul(block_BD, basis_DR, out=out_BR[: len(block_BD)])
    return {}


def floor_mapping(path: Path) -> Metrics:
    """Map the features twice, touch every page, and do the same GEMM."""
    with opened(path) as source:
        page = 4096 // 4
        source.mapped().reshape(-1)[::page].sum()
        basis_DR, out_BR = _operands(source)
        features_ND = source.mapped()
        for start in range(0, len(features_ND), source.block_rows):
            block_BD = features_ND[start : start + source.block_rows]
            np.matmul(block_BD, basis_DR, out=out_BR[: len(block_BD)])
    return {}


def _operands(source: Source) -> tuple[Floats, Floats]:
    classes, dim = source.weight_KD.shape
    rank = min(classes - 1, dim)
    return np.ones((dim, rank), np.float32), np.empty((source.block_rows, rank), np.float32)
