"""Calibration class by class: `nccli calibrate --per-class`. K classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nccli.calibration.analysis import MOST_CELLS, NUM_BINS
from nccli.calibration.predictions import open_predictions
from nccli.calibration.statistics import collect
from nccli.calibration_report import CalibrationReport
from nccli.checkpoint import Checkpoint
from nccli.collapse.spans import nobody
from nccli.errors import ContentError
from nccli.result import quantity, same_as


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCalibration:
    """One class of one (checkpoint, split)."""

    path: str | None = same_as(CalibrationReport, "path")
    epoch: int | None = same_as(CalibrationReport, "epoch")
    split: str = same_as(CalibrationReport, "split")
    loss_name: str | None = same_as(CalibrationReport, "loss_name")
    label_smoothing: float | None = same_as(CalibrationReport, "label_smoothing")
    seed: int | None = same_as(CalibrationReport, "seed")
    label: int = quantity("class", "the class's number", default=0)
    class_name: str | None = quantity("name", "the class's name, where the file has names")
    count: int = quantity("N", "samples of the class in this split", default=0)
    predicted: int = quantity("predicted", "samples that are predicted as it", default=0)
    accuracy: float | None = quantity(
        "accuracy", "share of the samples predicted as it that are of it", better="higher"
    )
    confidence: float | None = quantity(
        "confidence", "mean confidence of the samples predicted as it"
    )
    overconfidence: float | None = quantity("overconfidence", "confidence minus accuracy")
    noise: float | None = quantity(
        "noise", "standard deviation of overconfidence in a calibrated model of these confidences"
    )
    ece: float | None = quantity(
        "ECE",
        "of p_k against [y = k] over all samples, equal-width bins: the class's part of "
        "ece_classwise, times K",
        source="Kull et al. 2019 (arXiv 1910.12656)",
        better="lower",
    )
    notes: tuple[str, ...] = same_as(CalibrationReport, "notes")


def analyze(
    checkpoint: Checkpoint,
    *,
    split: str = "test",
    path: str | None = None,
    num_bins: int | None = None,
    probabilities: bool = False,
    threads: int | None = None,
    watch: Callable[[int], None] = nobody,
) -> list[ClassCalibration]:
    """Return one result a class. Arguments and errors are those of `nccli.calibration.analyze`."""
    found = open_predictions(
        checkpoint, split, probabilities=probabilities, threads=threads, watch=watch
    )
    num_bins = num_bins or NUM_BINS
    if found.num_classes * num_bins > MOST_CELLS:
        raise ContentError(
            f"has {found.num_classes:,} classes, too many for {num_bins:,} bins each",
            remedy="give fewer --bins",
        )
    statistics = collect(found, num_bins=num_bins)
    top, cells = statistics.top, statistics.cells
    assert cells is not None
    counts_K = np.bincount(found.labels_N, minlength=found.num_classes)
    errors_K = np.abs(cells.gaps_KB).sum(axis=1) / found.count
    names, meta = checkpoint.metadata.class_names, checkpoint.metadata
    reports = []
    for k in range(found.num_classes):
        predicted = int(top.counts_K[k])
        gap = float(top.gaps_K[k]) / predicted if predicted else None
        accuracy = float(top.rights_K[k]) / predicted if predicted else None
        reports.append(
            ClassCalibration(
                path=path,
                epoch=meta.epoch,
                split=split,
                loss_name=meta.loss,
                label_smoothing=meta.label_smoothing,
                seed=meta.seed,
                label=k,
                class_name=names[k] if names is not None and k < len(names) else None,
                count=int(counts_K[k]),
                predicted=predicted,
                accuracy=accuracy,
                confidence=None if gap is None or accuracy is None else accuracy + gap,
                overconfidence=gap,
                noise=float(np.sqrt(top.variances_K[k])) / predicted if predicted else None,
                ece=float(errors_K[k]),
                notes=() if predicted else ("a class that is never predicted has no confidence",),
            )
        )
    return reports
