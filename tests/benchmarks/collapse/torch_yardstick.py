"""The published library once more, in torch as the original is; used where torch is installed.

Unlike yardsticks.py it keeps the library's bookkeeping, so that it costs what a user of it pays:
samples are counted by class in all three passes, and on every batch a SHA-256 of the means (and
of the weights) makes sure that they are the same ones.

N samples, K classes, D features, B rows of a batch. Conventions as in yardsticks.py.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import torch
from source import Source, opened
from torch import Tensor
from yardsticks import BATCH, Metrics, geometry

torch.set_num_threads(1)


def rhubarbwu_torch(path: Path) -> Metrics:
    """As yardsticks.rhubarbwu, bookkeeping included."""
    with opened(path) as source, torch.inference_mode():
        weight_KD = torch.from_numpy(source.weight_KD)
        means_KD = _means(source)
        within_DD = _covariance(source, means_KD)
        agreement = _agreement(source, means_KD, weight_KD)
        centred_KD = means_KD - means_KD.mean(dim=0)
        between_DD = centred_KD.mT @ centred_KD / len(centred_KD)
        product_DD = torch.linalg.pinv(between_DD) @ within_DD
        nc1 = torch.trace(product_DD).item() / len(centred_KD)
    return {"nc1": nc1, **geometry(source.weight_KD, centred_KD.numpy()), "nc4": 1.0 - agreement}


def _means(source: Source) -> Tensor:
    totals_KD = torch.zeros(source.weight_KD.shape)
    counts_K = torch.zeros(len(totals_KD), dtype=torch.int32)
    for rows, block_BD in source.copied_blocks(BATCH):
        members_BK = _count(counts_K, torch.from_numpy(source.labels_N[rows]))
        totals_KD += members_BK.mT.to(torch.float32) @ torch.from_numpy(block_BD)
    return totals_KD / counts_K[:, None]


def _covariance(source: Source, means_KD: Tensor) -> Tensor:
    total_DD = torch.zeros((means_KD.shape[1],) * 2)
    counts_K = torch.zeros(len(means_KD), dtype=torch.int32)
    for rows, block_BD in source.copied_blocks(BATCH):
        _fingerprint(means_KD)
        labels_B = torch.from_numpy(source.labels_N[rows])
        _count(counts_K, labels_B)
        residuals_BD = torch.from_numpy(block_BD) - means_KD[labels_B]
        total_DD += residuals_BD.mT @ residuals_BD
    return total_DD / counts_K.sum()


def _agreement(source: Source, means_KD: Tensor, weight_KD: Tensor) -> float:
    squares_K = means_KD.norm(dim=-1) ** 2
    agree_K, counts_K = torch.zeros(2, len(means_KD), dtype=torch.int32)
    for rows, array_BD in source.copied_blocks(BATCH):
        _fingerprint(means_KD)
        _fingerprint(weight_KD)
        labels_B = torch.from_numpy(source.labels_N[rows])
        _count(counts_K, labels_B)
        block_BD = torch.from_numpy(array_BD)
        squares_B1 = (block_BD.norm(dim=-1) ** 2)[:, None]
        distances_BK = squares_B1 + squares_K - 2 * torch.inner(block_BD, means_KD)
        predicted_B = (block_BD @ weight_KD.mT).argmax(dim=-1)
        agree_B = distances_BK.argmin(dim=-1) == predicted_B
        agree_K.scatter_add_(0, labels_B, agree_B.to(torch.int32))
    return int(agree_K.sum()) / int(counts_K.sum())


def _count(counts_K: Tensor, labels_B: Tensor) -> Tensor:
    members_BK = labels_B[:, None] == torch.arange(len(counts_K))
    counts_K += members_BK.sum(dim=0, dtype=torch.int32)
    return members_BK


def _fingerprint(matrix_KD: Tensor) -> str:
    return sha256(matrix_KD.numpy().tobytes()).hexdigest()
