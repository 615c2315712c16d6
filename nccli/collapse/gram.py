"""Angles between all pairs of classes: `nccli analyze --gram`.

K classes present, C classes of the network, D features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nccli.checkpoint import Checkpoint
from nccli.collapse.centres import Centres, class_centres
from nccli.collapse.geometry import cosines
from nccli.collapse.spans import Workers
from nccli.collapse_report import CollapseReport
from nccli.logits import Floats, Integers
from nccli.result import Shown, quantity, same_as

_PAPYAN = "Papyan, Han & Donoho 2020 (arXiv 2008.08186)"


@dataclass(frozen=True, slots=True, kw_only=True)
class GramReport(Shown):
    """Cosines of the angles between class means, and between rows of the classifier."""

    path: str | None = same_as(CollapseReport, "path")
    epoch: int | None = same_as(CollapseReport, "epoch")
    split: str = same_as(CollapseReport, "split")
    loss_name: str | None = same_as(CollapseReport, "loss_name")
    label_smoothing: float | None = same_as(CollapseReport, "label_smoothing")
    seed: int | None = same_as(CollapseReport, "seed")
    num_classes: int = same_as(CollapseReport, "num_classes")
    target: float | None = quantity(
        "ETF", "the cosine of any two classes at collapse: -1/(K-1), K classes present",
        source=_PAPYAN,
    )  # fmt: skip
    worst_features: tuple[int, int] | None = quantity(
        "worst pair (means)", "the two classes whose means have the largest cosine"
    )
    worst_features_cosine: float | None = quantity(
        "its cosine", "largest cosine of the angle between two centred class means"
    )
    worst_classifier: tuple[int, int] | None = quantity(
        "worst pair (classifier)", "the two classes whose rows of W have the largest cosine"
    )
    worst_classifier_cosine: float | None = quantity(
        "its cosine ", "largest cosine of the angle between two rows of W"
    )
    classes: tuple[int, ...] = quantity(
        "classes", "the classes of the rows and columns of `features`", default=(), records=True
    )
    features: list[list[float]] | None = quantity(
        "means", "cosines (K, K) of the angles between centred class means", records=True
    )
    classifier: list[list[float]] | None = quantity(
        "classifier", "cosines (C, C) of the angles between rows of W", records=True
    )
    notes: tuple[str, ...] = same_as(CollapseReport, "notes")


def analyze(
    checkpoint: Checkpoint,
    *,
    split: str = "train",
    path: str | None = None,
    known: dict[str, Centres] | None = None,
    workers: Workers | None = None,
) -> GramReport:
    """Return the cosines of all pairs of classes of one split (one pass over its features).

    known, workers: as for `nccli.collapse.analyze`. Raises ContentError where it does.
    """
    known = {} if known is None else known
    if split not in known:
        known[split] = class_centres(checkpoint, split, workers=workers)
    own, meta = known[split], checkpoint.metadata
    notes: list[str] = []
    centred_KD = own.centred_KD
    features_KK = cosines(centred_KD @ centred_KD.T, own.cut)
    if features_KK is None:
        notes.append("the angles between class means are undefined: one lies on their average")
    weight_CC = None
    if checkpoint.classifier is None:
        notes.append("no classifier in the file: its angles are undefined")
    else:
        weight_CD, _ = checkpoint.classifier.arrays()
        weight_CC = cosines(weight_CD @ weight_CD.T, 0.0)
        if weight_CC is None:
            notes.append("the angles of the classifier are undefined: a row of the weight is zero")
    every_class = np.arange(checkpoint.num_classes)
    return GramReport(
        path=path,
        epoch=meta.epoch,
        split=split,
        loss_name=meta.loss,
        label_smoothing=meta.label_smoothing,
        seed=meta.seed,
        num_classes=checkpoint.num_classes,
        target=-1.0 / (len(own.present) - 1),
        classes=tuple(own.present.tolist()),
        **_matrix("features", features_KK, own.present),
        **_matrix("classifier", weight_CC, every_class),
        notes=tuple(notes),
    )


def _matrix(name: str, cosines_KK: Floats | None, classes: Integers) -> dict[str, Any]:
    if cosines_KK is None:
        return {}
    rows, columns = np.triu_indices(len(cosines_KK), k=1)
    pairs = cosines_KK[rows, columns]
    worst = int(pairs.argmax())
    return {
        name: np.clip(cosines_KK, -1.0, 1.0).tolist(),
        f"worst_{name}": (int(classes[rows[worst]]), int(classes[columns[worst]])),
        f"worst_{name}_cosine": float(pairs[worst]),
    }
