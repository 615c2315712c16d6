"""Calibration beside collapse and norms, epoch by epoch: `nccli calibrate --relations`.

The paper holds that label smoothing keeps norms small, and that this is why it calibrates better.
Multiplying all logits by a number is what a temperature undoes: were norms the whole story, the
optimal temperatures of two networks would stand in the ratio of their logits' sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nccli import collapse
from nccli.calibration import analysis
from nccli.calibration.predictions import Predictions, open_predictions
from nccli.calibration.temperature import FOLDS
from nccli.calibration_report import CalibrationReport
from nccli.checkpoint import Checkpoint
from nccli.collapse.spans import Span, nobody
from nccli.errors import ContentError
from nccli.result import quantity, same_as


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationReport:
    """One checkpoint: its calibration, and what is said to bring it about."""

    path: str | None = same_as(CalibrationReport, "path")
    epoch: int | None = same_as(CalibrationReport, "epoch")
    split: str = same_as(CalibrationReport, "split")
    loss_name: str | None = same_as(CalibrationReport, "loss_name")
    label_smoothing: float | None = same_as(CalibrationReport, "label_smoothing")
    seed: int | None = same_as(CalibrationReport, "seed")
    dataset: str | None = quantity("data set", "what the run was trained on")
    nc1: float | None = quantity("NC1 train", "within-class variability of the train split")
    nc1_scored: float | None = quantity("NC1", "the same of the scored split")
    weight_norm: float | None = quantity("norm of w", "mean norm of the classifier's rows w_k")
    feature_norm: float | None = quantity("norm of h", "mean norm of the scored split's features")
    logit_size: float | None = quantity(
        "logit size", "root mean square of the scored split's logits about each sample's mean"
    )
    temperature: float | None = same_as(CalibrationReport, "temperature")
    temperature_standard_error: float | None = same_as(
        CalibrationReport, "temperature_standard_error"
    )
    accuracy: float = same_as(CalibrationReport, "accuracy")
    confidence: float = same_as(CalibrationReport, "confidence")
    confidence_collapsed: float | None = same_as(CalibrationReport, "confidence_collapsed")
    overconfidence: float = same_as(CalibrationReport, "overconfidence")
    saturated: float = same_as(CalibrationReport, "saturated")
    ece: float = same_as(CalibrationReport, "ece")
    ece_noise_floor: float = same_as(CalibrationReport, "ece_noise_floor")
    ece_calibrated: float | None = quantity(
        "ECE after T", "after cross-fitted temperature scaling", better="lower"
    )
    notes: tuple[str, ...] = same_as(CalibrationReport, "notes")


def analyze(
    checkpoint: Checkpoint,
    *,
    split: str = "test",
    path: str | None = None,
    num_bins: int | None = None,
    folds: int = FOLDS,
    probabilities: bool = False,
    threads: int | None = None,
    watch: Callable[[int], None] = nobody,
) -> RelationReport:
    """Return both sides of one checkpoint. Errors are those of `nccli.calibration.analyze`."""
    scored = analysis.analyze(
        checkpoint, split=split, path=path, num_bins=num_bins, folds=folds,
        probabilities=probabilities, resamples=0, threads=threads, watch=watch,
    )  # fmt: skip
    own = collapse.analyze(checkpoint, split=split)
    train = own if split == "train" else None
    if train is None and "train" in checkpoint.splits:
        try:
            train = collapse.analyze(checkpoint, split="train")
        except ContentError:
            train = None
    found = open_predictions(checkpoint, split, probabilities=probabilities, threads=threads)
    return RelationReport(
        path=path,
        epoch=scored.epoch,
        split=split,
        loss_name=scored.loss_name,
        label_smoothing=scored.label_smoothing,
        seed=scored.seed,
        dataset=checkpoint.metadata.dataset,
        nc1=None if train is None else train.nc1,
        nc1_scored=own.nc1,
        weight_norm=own.weight_norm,
        feature_norm=own.feature_norm,
        logit_size=logit_size(found),
        temperature=scored.temperature,
        temperature_standard_error=scored.temperature_standard_error,
        accuracy=scored.accuracy,
        confidence=scored.confidence,
        confidence_collapsed=scored.confidence_collapsed,
        overconfidence=scored.overconfidence,
        saturated=scored.saturated,
        ece=scored.ece,
        ece_noise_floor=scored.ece_noise_floor,
        ece_calibrated=None if scored.calibrated is None else scored.calibrated.ece,
        notes=scored.notes,
    )


def logit_size(found: Predictions) -> float:
    """Root mean square of the logits about the mean of each sample."""
    total = sum(found.over(found.spans(), _squares_part))
    return math.sqrt(total / (found.count * found.num_classes))


def _squares_part(found: Predictions, span: Span) -> float:
    total = 0.0
    for _, logits_NK in found.blocks(span):
        centred_NK = logits_NK.astype(np.float64)
        centred_NK -= centred_NK.mean(axis=1, keepdims=True)
        total += float(np.einsum("nk,nk->n", centred_NK, centred_NK).sum(dtype=np.float64))
    return total
