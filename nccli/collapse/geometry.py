"""Geometry of class means and classifier: how far from a simplex ETF, and from each other.

K classes that have samples, C classes of the network, D features. Every number comes from K x K
products of the centred means M (K, D) and the weight W.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nccli.checkpoint import Checkpoint, Classifier
from nccli.collapse.centres import Centres
from nccli.logits import Floats


def simplex_etf(num_classes: int) -> Floats:
    """The Gram matrix of the simplex ETF, scaled to Frobenius norm 1: (I - 11^T/K)/sqrt(K-1)."""
    centering = np.eye(num_classes) - 1.0 / num_classes
    etf: Floats = centering / np.sqrt(num_classes - 1)
    return etf


def geometry(checkpoint: Checkpoint, centres: Centres, notes: list[str]) -> dict[str, Any]:
    """Return the NC2 and NC3 values of a split's class means and of the classifier.

    What is undefined is None, and told in `notes`.
    """
    means_KD = centres.centred_KD
    if np.linalg.norm(means_KD) <= centres.cut:
        notes.append("nc2 and nc3 of the features are undefined: all class means coincide")
        means_KD = np.zeros_like(means_KD)
    means_KD, scale = _scaled(means_KD)  # shapes have no scale, and squares of huge numbers no room
    cut = centres.cut / scale
    if np.any(np.linalg.norm(means_KD, axis=1) <= cut):
        notes.append("nc2_equiangular_features is undefined: a class mean lies on their average")
    gram_KK = means_KD @ means_KD.T
    found = {
        "nc2_features": _etf_distance(gram_KK),
        "nc2_equinorm_features": _equinorm(means_KD),
        "nc2_equiangular_features": _equiangular(gram_KK, cut),
    }
    if checkpoint.classifier is None:
        notes.append(
            "no classifier in the file: nc2_classifier, nc2_duality, nc3, weight_norm and the "
            "classifier's equinorm and equiangular values are undefined"
        )
        return found
    return found | _classifier_geometry(checkpoint.classifier, centres, means_KD, notes)


def _classifier_geometry(
    classifier: Classifier, centres: Centres, means_KD: Floats, notes: list[str]
) -> dict[str, Any]:
    weight_CD, scale = _scaled(classifier.arrays()[0])
    weight_KD = weight_CD[centres.present]  # duality pairs each class with its own mean
    if not weight_CD.any():
        notes.append("the classifier's weight is zero: nc2_classifier, nc2_duality, nc3 undefined")
    if not np.all(np.linalg.norm(weight_CD, axis=1)):
        notes.append("nc2_equiangular_classifier is undefined: a row of the weight is zero")
    gram_CC = weight_CD @ weight_CD.T
    return {
        "nc2_classifier": _etf_distance(gram_CC),
        "nc2_equinorm_classifier": _equinorm(weight_CD),
        "nc2_equiangular_classifier": _equiangular(gram_CC, 0.0),
        "nc2_duality": _etf_distance(weight_KD @ means_KD.T),
        "nc3": _self_duality(weight_KD, means_KD),
        "weight_norm": scale * float(np.linalg.norm(weight_CD, axis=1).mean()),
    }


def _scaled(rows_KD: Floats) -> tuple[Floats, float]:
    """Rows with a largest entry between 1 and 2, and the power of two they were divided by."""
    scale = float(2.0 ** np.floor(np.log2(np.abs(rows_KD).max(initial=0.0) or 1.0)))
    return rows_KD / scale, scale


def _etf_distance(gram_KK: Floats) -> float | None:
    norm = float(np.linalg.norm(gram_KK))
    if norm == 0:
        return None
    count = len(gram_KK)
    difference_KK = gram_KK / norm
    difference_KK += 1.0 / (count * np.sqrt(count - 1))  # less simplex_etf, without forming it
    difference_KK.flat[:: count + 1] -= 1.0 / np.sqrt(count - 1)
    return float(np.linalg.norm(difference_KK))


def _equinorm(rows_KD: Floats) -> float | None:
    norms_K = np.linalg.norm(rows_KD, axis=1)
    mean = float(norms_K.mean())
    return float(norms_K.std()) / mean if mean > 0 else None


def cosines(gram_KK: Floats, cut: float) -> Floats | None:
    """Cosines (K, K) of the angles between vectors of a Gram matrix; None where one is zero."""
    norms_K = np.sqrt(np.diagonal(gram_KK))
    if np.any(norms_K <= cut):
        return None  # a class without direction has no angle
    cosines_KK: Floats = gram_KK / norms_K[:, None]
    cosines_KK /= norms_K
    return cosines_KK


def _equiangular(gram_KK: Floats, cut: float) -> float | None:
    cosines_KK = cosines(gram_KK, cut)
    if cosines_KK is None:
        return None
    count = len(gram_KK)
    gaps_KK = np.abs(cosines_KK + 1.0 / (count - 1))
    np.fill_diagonal(gaps_KK, 0.0)
    return float(gaps_KK.sum()) / (count * (count - 1))


def _self_duality(weight_KD: Floats, means_KD: Floats) -> float | None:
    weight_norm, means_norm = np.linalg.norm(weight_KD), np.linalg.norm(means_KD)
    if weight_norm == 0 or means_norm == 0:
        return None
    return float(np.sum(np.square(weight_KD / weight_norm - means_KD / means_norm)))
