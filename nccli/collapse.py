"""Neural-collapse metrics of one split of a checkpoint: NC1 to NC4, norms, CDNV.

N samples, K classes (those present), D features, R directions of the centred class means.

Two passes over the features: class sums first, then residuals h_i - mu_{y_i} projected on the
span of the centred means. The mean is subtracted BEFORE the projection: the other order loses
every digit at deep collapse. Everything is float64; features are read block by block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nccli.centres import Centres, class_centres
from nccli.checkpoint import Checkpoint
from nccli.collapse_report import CollapseReport
from nccli.errors import ContentError
from nccli.logits import Floats, Integers, load_labels
from nccli.predictions import predictions
from nccli.text import shortlist

__all__ = ["CollapseReport", "analyze", "simplex_etf"]


def analyze(
    checkpoint: Checkpoint,
    *,
    split: str = "train",
    path: str | None = None,
    known: dict[str, Centres] | None = None,
) -> CollapseReport:
    """Return the neural-collapse metrics of one split.

    known: class centres by split that were computed before; those computed here are added.

    Raises ContentError where fewer than two classes have samples: collapse is about classes
    moving apart, and with one there is nothing to measure.
    """
    known = {} if known is None else known
    labels_N = load_labels(checkpoint, split)
    own = _centres_of(checkpoint, split, known)
    train = _train_centres(checkpoint, split, own, known)
    notes = _class_notes(split, own, checkpoint.num_classes)
    spread = _within_class(checkpoint, split, labels_N, own, train)
    predicted = predictions(checkpoint, split, labels_N, train, notes)
    if train is None:
        notes.append("nc1_train_means and nc4 need the train split: not there, or of one class")
    meta = checkpoint.metadata
    return CollapseReport(
        path=path,
        split=split,
        epoch=meta.epoch,
        loss_name=meta.loss,
        label_smoothing=meta.label_smoothing,
        seed=meta.seed,
        n=len(labels_N),
        num_classes=checkpoint.num_classes,
        dim=checkpoint.dim,
        nc1=_nc1(spread.projected_R, own, notes),
        nc1_train_means=_nc1_around_train(spread, own, train, notes),
        cdnv=_cdnv(spread.squared_C, own, notes),
        feature_norm=spread.feature_norm,
        **_geometry(checkpoint, own, notes),
        **predicted,
        rank=own.basis_DR.shape[1],
        rank_cut=own.cut,
        rank_gap=own.smallest / own.cut if own.smallest is not None and own.cut > 0 else None,
        notes=tuple(notes),
    )


# --- the centres of a split ---------------------------------------------------------------------


def _centres_of(checkpoint: Checkpoint, split: str, known: dict[str, Centres]) -> Centres:
    if split not in known:
        known[split] = class_centres(checkpoint, split)
    return known[split]


def _train_centres(
    checkpoint: Checkpoint, split: str, own: Centres, known: dict[str, Centres]
) -> Centres | None:
    if split == "train":
        return own
    if "train" not in checkpoint.splits:
        return None
    try:
        return _centres_of(checkpoint, "train", known)
    except ContentError:  # one class only: the train split tells so in its own result
        return None


def _class_notes(split: str, own: Centres, num_classes: int) -> list[str]:
    notes = []
    absent = sorted(set(range(num_classes)) - set(own.present.tolist()))
    if absent:
        notes.append(
            f"no samples of class {shortlist(absent)} in {split}: what needs class means is over "
            f"the {len(own.present)} classes present of {num_classes}"
        )
    single = np.flatnonzero(own.counts_C == 1).tolist()
    if single:
        notes.append(f"one sample only of class {shortlist(single)} in {split}: its variance is 0")
    return notes


# --- within-class variability -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spread:
    projected_R: Floats  # mean over samples of (h - mu_y)^2 along each basis direction
    squared_C: Floats  # (K,) sum over the samples of a class of norm(h - mu_y)^2
    around_train_R: Floats | None  # as projected_R, around the train means, on their basis
    feature_norm: float


def _within_class(
    checkpoint: Checkpoint, split: str, labels_N: Integers, own: Centres, train: Centres | None
) -> _Spread:
    other = train if train is not None and train is not own else None
    projected_R = np.zeros(own.basis_DR.shape[1])
    around_R = None if other is None else np.zeros(other.basis_DR.shape[1])
    squared_C = np.zeros(checkpoint.num_classes)
    norm = 0.0
    for rows, features_ND in checkpoint.split(split).features.blocks():
        labels = labels_N[rows]
        residuals_ND = features_ND - own.means_CD[labels]
        projected_R += np.square(residuals_ND @ own.basis_DR).sum(axis=0)
        squares_N = np.einsum("nd,nd->n", residuals_ND, residuals_ND)
        squared_C += np.bincount(labels, weights=squares_N, minlength=len(squared_C))
        norm += float(np.linalg.norm(features_ND, axis=1).sum())
        if other is not None and around_R is not None:
            shifted_ND = features_ND - other.means_CD[labels]
            around_R += np.square(shifted_ND @ other.basis_DR).sum(axis=0)
    count = len(labels_N)
    return _Spread(
        projected_R=projected_R / count,
        squared_C=squared_C,
        around_train_R=None if around_R is None else around_R / count,
        feature_norm=norm / count,
    )


def _nc1(projected_R: Floats, centres: Centres, notes: list[str]) -> float | None:
    if not len(centres.variances_R):
        notes.append("nc1 is undefined: all class means coincide (Sigma_B = 0)")
        return None
    return float(np.sum(projected_R / centres.variances_R)) / len(centres.present)


def _nc1_around_train(
    spread: _Spread, own: Centres, train: Centres | None, notes: list[str]
) -> float | None:
    if train is None:
        return None
    if train is own:
        return _nc1(spread.projected_R, own, [])
    if spread.around_train_R is None or np.any(train.counts_C[own.present] == 0):
        notes.append("nc1_train_means is undefined: the train split lacks a class of this one")
        return None
    if not len(train.variances_R):
        notes.append("nc1_train_means is undefined: all class means of the train split coincide")
        return None
    return _nc1(spread.around_train_R, train, [])


def _cdnv(squared_C: Floats, centres: Centres, notes: list[str]) -> float | None:
    present = centres.present
    variances_K = squared_C[present] / centres.counts_C[present]
    distances_KK = _squared_distances(centres.centred_KD)
    pairs = ~np.eye(len(present), dtype=bool)
    if np.any(distances_KK[pairs] <= centres.cut**2):
        notes.append("cdnv is undefined: the means of two classes coincide")
        return None
    sums_KK = variances_K[:, None] + variances_K[None, :]
    return float(np.mean(sums_KK[pairs] / (2.0 * distances_KK[pairs])))


def _squared_distances(points_KD: Floats) -> Floats:
    # Row by row differences: the Gram shortcut would cancel where two means are close.
    return np.stack([np.square(points_KD - point).sum(axis=1) for point in points_KD])


# --- geometry of the means and the classifier ---------------------------------------------------


def simplex_etf(num_classes: int) -> Floats:
    """The Gram matrix of the simplex ETF, scaled to Frobenius norm 1: (I - 11^T/K)/sqrt(K-1)."""
    centering = np.eye(num_classes) - 1.0 / num_classes
    etf: Floats = centering / np.sqrt(num_classes - 1)
    return etf


def _geometry(checkpoint: Checkpoint, centres: Centres, notes: list[str]) -> dict[str, Any]:
    means_KD = centres.centred_KD
    if np.linalg.norm(means_KD) <= centres.cut:
        notes.append("nc2 and nc3 of the features are undefined: all class means coincide")
        means_KD = np.zeros_like(means_KD)
    if np.any(np.linalg.norm(means_KD, axis=1) <= centres.cut):
        notes.append("nc2_equiangular_features is undefined: a class mean lies on their average")
    found = {
        "nc2_features": _etf_distance(means_KD @ means_KD.T),
        "nc2_equinorm_features": _equinorm(means_KD),
        "nc2_equiangular_features": _equiangular(means_KD, centres.cut),
    }
    if checkpoint.classifier is None:
        notes.append(
            "no classifier in the file: nc2_classifier, nc2_duality, nc3, weight_norm and the "
            "classifier's equinorm and equiangular values are undefined"
        )
        return found
    weight_CD, _ = checkpoint.classifier.arrays()
    weight_KD = weight_CD[centres.present]  # duality pairs each class with its own mean
    if not weight_CD.any():
        notes.append("the classifier's weight is zero: nc2_classifier, nc2_duality, nc3 undefined")
    if not np.all(np.linalg.norm(weight_CD, axis=1)):
        notes.append("nc2_equiangular_classifier is undefined: a row of the weight is zero")
    return found | {
        "nc2_classifier": _etf_distance(weight_CD @ weight_CD.T),
        "nc2_equinorm_classifier": _equinorm(weight_CD),
        "nc2_equiangular_classifier": _equiangular(weight_CD, 0.0),
        "nc2_duality": _etf_distance(weight_KD @ means_KD.T),
        "nc3": _self_duality(weight_KD, means_KD),
        "weight_norm": float(np.linalg.norm(weight_CD, axis=1).mean()),
    }


def _etf_distance(gram_KK: Floats) -> float | None:
    norm = float(np.linalg.norm(gram_KK))
    if norm == 0:
        return None
    return float(np.linalg.norm(gram_KK / norm - simplex_etf(len(gram_KK))))


def _equinorm(rows_KD: Floats) -> float | None:
    norms_K = np.linalg.norm(rows_KD, axis=1)
    mean = float(norms_K.mean())
    return float(norms_K.std()) / mean if mean > 0 else None


def _equiangular(rows_KD: Floats, cut: float) -> float | None:
    norms_K = np.linalg.norm(rows_KD, axis=1)
    if np.any(norms_K <= cut):
        return None  # a class without direction has no angle
    directions_KD = rows_KD / norms_K[:, None]
    cosines = (directions_KD @ directions_KD.T)[np.triu_indices(len(rows_KD), k=1)]
    return float(np.mean(np.abs(cosines + 1.0 / (len(rows_KD) - 1))))


def _self_duality(weight_KD: Floats, means_KD: Floats) -> float | None:
    weight_norm, means_norm = np.linalg.norm(weight_KD), np.linalg.norm(means_KD)
    if weight_norm == 0 or means_norm == 0:
        return None
    return float(np.sum(np.square(weight_KD / weight_norm - means_KD / means_norm)))
