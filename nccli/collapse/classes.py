"""Collapse class by class: `nccli analyze --per-class`.

C classes of the network, K of them present, D features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nccli.checkpoint import Checkpoint
from nccli.collapse.centres import Centres, squared_distances
from nccli.collapse.measurement import Measurement, measure
from nccli.collapse.spans import Workers
from nccli.collapse_report import CollapseReport
from nccli.logits import Floats
from nccli.result import Shown, quantity, same_as


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassReport(Shown):
    """One class of one (checkpoint, split); None is undefined, `notes` say why."""

    path: str | None = same_as(CollapseReport, "path")
    epoch: int | None = same_as(CollapseReport, "epoch")
    split: str = same_as(CollapseReport, "split")
    loss_name: str | None = same_as(CollapseReport, "loss_name")
    label_smoothing: float | None = same_as(CollapseReport, "label_smoothing")
    seed: int | None = same_as(CollapseReport, "seed")
    label: int = quantity("class", "the class's number", default=0)
    class_name: str | None = quantity("name", "the class's name, where the file has names")
    count: int = quantity("N", "samples of the class in this split", default=0)
    accuracy: float | None = quantity(
        "accuracy", "share of the class's samples with argmax(W h + b) = y", better="higher"
    )
    variance: float | None = quantity(
        "variance", "v_c: mean squared distance to the class mean", better="lower", ideal=0.0
    )
    nc1_share: float | None = quantity(
        "share of NC1", "what the class's samples add to nc1, over nc1; shares add up to 1"
    )
    mean_norm: float | None = quantity("norm of mean", "norm(mu_c - mu_G), a row of M")
    weight_norm: float | None = quantity("norm of w", "norm(w_c), a row of W")
    nearest: int | None = quantity("nearest", "the class whose mean is nearest to this one's")
    nearest_distance: float | None = quantity("at distance", "norm of the difference of the means")
    confusion_share: float | None = quantity(
        "share of errors", "share of the split's wrong predictions that this class's samples are"
    )
    confused_with: int | None = quantity(
        "taken for", "the class that wrong predictions of this one's samples most often name"
    )
    confused_share: float | None = quantity(
        "how often", "share of this class's samples that are taken for it"
    )
    notes: tuple[str, ...] = same_as(CollapseReport, "notes")


def analyze(
    checkpoint: Checkpoint,
    *,
    split: str = "train",
    path: str | None = None,
    known: dict[str, Centres] | None = None,
    workers: Workers | None = None,
) -> list[ClassReport]:
    """Return one report a class of the network, those without samples among them.

    known, workers: as for `nccli.collapse.analyze`. Raises ContentError where it does.
    """
    found = measure(checkpoint, split, known=known, workers=workers, every_logit=False)
    return class_reports(checkpoint, found, split=split, path=path)


def class_reports(
    checkpoint: Checkpoint, found: Measurement, *, split: str, path: str | None
) -> list[ClassReport]:
    """Return the reports that the sums over a split amount to."""
    meta = checkpoint.metadata
    shared: dict[str, Any] = {
        "path": path,
        "epoch": meta.epoch,
        "split": split,
        "loss_name": meta.loss,
        "label_smoothing": meta.label_smoothing,
        "seed": meta.seed,
    }
    columns = _columns(checkpoint, found)
    return [
        ClassReport(**shared, label=label, **{name: _at(v, label) for name, v in columns.items()})
        for label in range(checkpoint.num_classes)
    ]


def _at(values: Any, label: int) -> Any:
    value = values[label]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and np.isnan(value) else value


def _columns(checkpoint: Checkpoint, found: Measurement) -> dict[str, Any]:
    counts_C = found.own.counts_C
    total = found.scatter_C.sum()
    columns: dict[str, Any] = {
        "count": counts_C,
        "class_name": _names(checkpoint),
        "variance": _over(found.squares_C, counts_C),
        "nc1_share": _over(found.scatter_C, np.where(counts_C > 0, total, 0.0)),
        "notes": [() if count else ("no samples",) for count in counts_C],
        **_mean_columns(found.own, len(counts_C)),
    }
    if checkpoint.classifier is not None:
        columns["weight_norm"] = np.linalg.norm(checkpoint.classifier.arrays()[0], axis=1)
    return columns | (_error_columns(found) if found.predicted else {})


def _over(values_C: Floats, counts_C: Any) -> Floats:
    shares_C = np.full(len(values_C), np.nan)
    np.divide(values_C, counts_C, out=shares_C, where=counts_C > 0)
    return shares_C


def _names(checkpoint: Checkpoint) -> list[str | None]:
    names = checkpoint.metadata.class_names or ()
    missing = checkpoint.num_classes - len(names)
    return [*names[: checkpoint.num_classes], *[None] * missing]


def _mean_columns(own: Centres, num_classes: int) -> dict[str, Any]:
    distances_KK = squared_distances(own.centred_KD)
    np.fill_diagonal(distances_KK, np.inf)
    nearest: list[int | None] = [None] * num_classes
    norms_C, gaps_C = np.full(num_classes, np.nan), np.full(num_classes, np.nan)
    norms_C[own.present] = np.linalg.norm(own.centred_KD, axis=1)
    gaps_C[own.present] = np.sqrt(distances_KK.min(axis=1))
    for label, place in zip(own.present, distances_KK.argmin(axis=1), strict=True):
        nearest[label] = int(own.present[place])
    return {"mean_norm": norms_C, "nearest": nearest, "nearest_distance": gaps_C}


def _error_columns(found: Measurement) -> dict[str, Any]:
    counts_C = found.own.counts_C
    num_classes = len(counts_C)
    codes, times = found.sums.confused
    taken_for: list[int | None] = [None] * num_classes
    most_C = np.zeros(num_classes, np.int64)
    for code, count in zip(codes, times, strict=True):  # by class, then by what it is taken for
        label, predicted = divmod(int(code), num_classes)
        if count > most_C[label]:
            most_C[label], taken_for[label] = count, predicted
    wrong_C: Floats = np.zeros(num_classes)
    np.add.at(wrong_C, codes // num_classes, times)
    return {
        "accuracy": _over(found.sums.correct_C, counts_C),
        "confusion_share": _over(wrong_C, np.where(counts_C > 0, wrong_C.sum(), 0.0)),
        "confused_with": taken_for,
        "confused_share": _over(np.where(most_C > 0, most_C, np.nan), counts_C),
    }
