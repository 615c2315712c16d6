"""Class means of a split and the span of the centred ones.

N samples, C classes of the network, K of them present in the split, D features, R directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nccli.checkpoint import Checkpoint
from nccli.errors import ContentError
from nccli.logits import Floats, Integers, load_labels
from nccli.text import plural


@dataclass(frozen=True, slots=True, kw_only=True)
class Centres:
    """Class means of one split and the geometry of their span."""

    present: Integers  # (K,) the classes that have samples
    counts_C: Integers  # (C,) samples of each class
    means_CD: Floats  # (C, D); rows of absent classes are 0 and never used
    centred_KD: Floats  # (K, D) rows mu_c - mu_G
    basis_DR: Floats  # orthonormal basis of the span of the centred means
    variances_R: Floats  # eigenvalues of Sigma_B along the basis
    cut: float  # singular values of M up to here count as zero
    smallest: float | None  # the smallest singular value that was kept


def class_centres(checkpoint: Checkpoint, split: str) -> Centres:
    """Return the class means of a split and the span of the centred ones (first pass)."""
    labels_N = load_labels(checkpoint, split)
    num_classes = checkpoint.num_classes
    counts_C = np.bincount(labels_N, minlength=num_classes)
    sums_CD = np.zeros((num_classes, checkpoint.dim))
    for rows, features_ND in checkpoint.split(split).features.blocks():
        sums_CD += _sum_by_class(features_ND, labels_N[rows], num_classes)
    present = np.flatnonzero(counts_C)
    if len(present) < 2:
        raise ContentError(
            f"{split}/labels holds samples of {plural(len(present), 'class', 'classes')}, "
            "collapse needs at least 2",
            remedy="save features of several classes",
        )
    means_CD = sums_CD / np.maximum(counts_C, 1)[:, None]
    return _centres(present, counts_C, means_CD)


def _sum_by_class(values_ND: Floats, labels_N: Integers, num_classes: int) -> Floats:
    # Rows sorted by class, then one sum a class: exact order, no (K, N) one-hot matrix.
    order = np.argsort(labels_N, kind="stable")
    classes, starts = np.unique(labels_N[order], return_index=True)
    sums_CD = np.zeros((num_classes, values_ND.shape[1]))
    sums_CD[classes] = np.add.reduceat(values_ND[order], starts, axis=0)
    return sums_CD


def _centres(present: Integers, counts_C: Integers, means_CD: Floats) -> Centres:
    means_KD = means_CD[present]
    # mu_G is the plain average of the class means, not of the samples: they differ under imbalance.
    centred_KD = means_KD - means_KD.mean(axis=0)
    _, singular, rows = np.linalg.svd(centred_KD, full_matrices=False)
    # Rounding of the means scales with their own size, not with that of the centred ones.
    scale = float(np.linalg.norm(means_KD))
    cut = scale * max(means_KD.shape) * np.finfo(np.float64).eps
    kept = singular[: len(present) - 1]
    kept = kept[kept > cut]
    return Centres(
        present=present,
        counts_C=counts_C,
        means_CD=means_CD,
        centred_KD=centred_KD,
        basis_DR=rows[: len(kept)].T.copy(),
        variances_R=kept**2 / len(present),
        cut=float(cut),
        smallest=float(kept[-1]) if len(kept) else None,
    )
