"""Calibration of one split: can the confidence be trusted, and what does a temperature repair?

N samples, K classes, B bins. Confidence is the probability of the predicted class. Bins are
right-closed, (i/B, (i+1)/B]; the first also holds 0. Everything starts from logits in float64, so
that a confidence that rounds to one loses nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nccli.checkpoint import Checkpoint
from nccli.errors import UsageError
from nccli.logits import Floats, Integers, load_labels, load_logits, softmax
from nccli.result import quantity, same_as
from nccli.temperature import FOLDS, cross_fit, fit_temperature

NUM_BINS = 15  # Guo et al. 2017
_GUO = "Guo et al. 2017 (arXiv 1706.04599)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """One bin of the reliability diagram; confidence and accuracy are None where it is empty."""

    lower: float
    upper: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The scores of one set of predictions."""

    accuracy: float = quantity(
        "accuracy", "share of right predictions", better="higher", brief=True
    )
    confidence: float = quantity(
        "confidence", "mean probability of the predicted class", brief=True
    )
    nll: float = quantity(
        "NLL",
        "mean -log p_y",
        source="Good 1952",
        unit="nats",
        better="lower",
        brief=True,
    )
    brier: float = quantity(
        "Brier",
        "mean over samples of sum_k (p_k - [k = y])^2, in [0, 2]",
        source="Brier 1950",
        better="lower",
    )
    ece: float = quantity(
        "ECE",
        "sum over bins of n_b/N abs(accuracy_b - confidence_b), equal-width bins",
        source=_GUO,
        better="lower",
        brief=True,
    )
    ece_equal_mass: float = quantity(
        "ECE, equal mass",
        "the same over bins of equal counts; equal confidences stay together",
        source="Nixon et al. 2019 (arXiv 1904.01685)",
        better="lower",
    )
    ece_classwise: float = quantity(
        "ECE, classwise",
        "mean over classes of the ECE of p_k against [y = k], equal-width bins",
        source="Kull et al. 2019 (arXiv 1910.12656)",
        better="lower",
    )
    mce: float = quantity(
        "MCE",
        "largest abs(accuracy_b - confidence_b) over bins that hold samples",
        source=_GUO,
        better="lower",
    )
    ece_noise_floor: float = quantity(
        "ECE noise floor",
        "sqrt(2/pi) sum_b sqrt(sum conf (1 - conf)) / N: the ECE that a perfectly calibrated "
        "model of these confidences shows by chance",
        source="nccli",
        brief=True,
    )
    overconfidence: float = quantity(
        "overconfidence", "mean confidence minus accuracy; negative is underconfidence", brief=True
    )
    bins: tuple[ReliabilityBin, ...] = quantity(
        "bins", "the reliability diagram", default=(), records=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationReport:
    """Calibration of one (checkpoint, split) before and after temperature scaling."""

    path: str | None = quantity("file", "the checkpoint file")
    epoch: int | None = quantity("epoch", "epoch the checkpoint was saved at", brief=True)
    split: str = quantity("split", "the split that is scored", default="test", brief=True)
    loss_name: str | None = quantity("trained with", "cross-entropy or label-smoothing")
    label_smoothing: float | None = quantity("delta", "label smoothing of the training loss")
    seed: int | None = quantity("seed", "random seed of the run")
    n: int = quantity("N", "number of samples", default=0)
    accuracy: float = same_as(Scores, "accuracy")
    confidence: float = same_as(Scores, "confidence")
    nll: float = same_as(Scores, "nll")
    brier: float = same_as(Scores, "brier")
    ece: float = same_as(Scores, "ece")
    ece_equal_mass: float = same_as(Scores, "ece_equal_mass")
    ece_classwise: float = same_as(Scores, "ece_classwise")
    mce: float = same_as(Scores, "mce")
    ece_noise_floor: float = same_as(Scores, "ece_noise_floor")
    overconfidence: float = same_as(Scores, "overconfidence")
    temperature: float | None = quantity(
        "temperature",
        "T fitted on the whole split, for reading only: no score below is computed with it",
        source=_GUO,
        brief=True,
    )
    temperature_standard_error: float | None = quantity(
        "s.e. of T", "sandwich standard error of the temperature"
    )
    temperature_status: str = quantity("T status", "identified, or why not", default="")
    fold_temperatures: tuple[float | None, ...] = quantity(
        "fold temperatures", "T of each fold, fitted on the other folds", default=()
    )
    bins: tuple[ReliabilityBin, ...] = same_as(Scores, "bins")
    calibrated: Scores | None = quantity(
        "calibrated",
        "the same scores after temperature scaling, cross-fitted over stratified folds: no "
        "sample is scored with a temperature that it chose",
        nested=Scores,
    )
    notes: tuple[str, ...] = quantity("notes", "why a value is undefined", default=())


def analyze(
    checkpoint: Checkpoint,
    *,
    split: str = "test",
    path: str | None = None,
    num_bins: int = NUM_BINS,
    folds: int = FOLDS,
) -> CalibrationReport:
    """Return the calibration of one split, before and after cross-fitted temperature scaling.

    Raises ContentError where the split has no logits and the file no classifier, UsageError on
    fewer than 1 bin or 2 folds.
    """
    if num_bins < 1 or folds < 2:
        raise UsageError(f"needs at least 1 bin and 2 folds, got {num_bins} and {folds}")
    labels_N, logits_NK = load_labels(checkpoint, split), load_logits(checkpoint, split)
    before = score(logits_NK, labels_N, num_bins=num_bins)
    whole = fit_temperature(logits_NK, labels_N)
    notes = []
    fitted = None
    if len(labels_N) < folds:
        notes.append(f"calibrated is undefined: {len(labels_N)} samples, {folds} folds")
    else:
        fitted = cross_fit(logits_NK, labels_N, folds=folds)
        if fitted.logits_NK is None:
            notes.append(f"calibrated is undefined: temperature {fitted.status}")
    after = None
    if fitted is not None and fitted.logits_NK is not None:
        after = score(fitted.logits_NK, labels_N, num_bins=num_bins)
    meta = checkpoint.metadata
    return CalibrationReport(
        path=path,
        split=split,
        epoch=meta.epoch,
        loss_name=meta.loss,
        label_smoothing=meta.label_smoothing,
        seed=meta.seed,
        n=len(labels_N),
        **{name: getattr(before, name) for name in Scores.__dataclass_fields__},
        temperature=whole.value,
        temperature_standard_error=whole.standard_error,
        temperature_status=whole.status,
        fold_temperatures=() if fitted is None else fitted.temperatures,
        calibrated=after,
        notes=tuple(notes),
    )


def score(logits_NK: Floats, labels_N: Integers, *, num_bins: int = NUM_BINS) -> Scores:
    """Return all scores of logits (N, K) against labels (N,)."""
    predicted = softmax(logits_NK)
    confidence_N, doubt_N = predicted.confidence, predicted.doubt
    right_N = predicted.top == labels_N
    own_N = np.take_along_axis(logits_NK, labels_N[:, None], axis=1)[:, 0]
    bins_N = equal_width_bins(confidence_N, num_bins)
    bins = _reliability(bins_N, confidence_N, right_N, num_bins)
    gaps = [
        abs(one.accuracy - one.confidence)
        for one in bins
        if one.accuracy is not None and one.confidence is not None
    ]
    mass_N = equal_mass_bins(confidence_N, num_bins)
    return Scores(
        accuracy=float(right_N.mean()),
        confidence=float(confidence_N.mean()),
        nll=float(np.mean(predicted.log_partition - own_N)),
        brier=_brier(predicted.probabilities, predicted.complements, labels_N),
        ece=_binned_error(bins_N, confidence_N, right_N),
        ece_equal_mass=_binned_error(mass_N, confidence_N, right_N),
        ece_classwise=_classwise(predicted.probabilities, labels_N, num_bins),
        mce=max(gaps),
        ece_noise_floor=_noise_floor(bins_N, confidence_N, doubt_N),
        overconfidence=float(np.mean(confidence_N - right_N)),
        bins=bins,
    )


# --- bins ---------------------------------------------------------------------------------------


def bin_edges(num_bins: int) -> Floats:
    """The edges i/B, each the nearest double (linspace is off by one unit in places)."""
    edges: Floats = np.arange(num_bins + 1) / num_bins
    return edges


def equal_width_bins(values_N: Floats, num_bins: int) -> Integers:
    """Bin of each value in (i/B, (i+1)/B]; 0 belongs to the first and 1 to the last."""
    inner = bin_edges(num_bins)[1:-1]
    return np.searchsorted(inner, values_N, side="left").astype(np.int64)


def equal_mass_bins(values_N: Floats, num_bins: int) -> Integers:
    """Bin of each value so that bins hold equal counts; equal values share one, in any order."""
    _, which_N, counts = np.unique(values_N, return_inverse=True, return_counts=True)
    # a value's bin is that of the middle of its ties
    middle = np.cumsum(counts) - (counts + 1) / 2
    bins = np.minimum((num_bins * middle / len(values_N)).astype(np.int64), num_bins - 1)
    assigned: Integers = bins[which_N]
    return assigned


def _binned_error(bins_N: Integers, confidence_N: Floats, right_N: NDArray[np.bool_]) -> float:
    gaps = np.bincount(bins_N, weights=confidence_N - right_N)
    return float(np.abs(gaps).sum()) / len(bins_N)


def _reliability(
    bins_N: Integers, confidence_N: Floats, right_N: NDArray[np.bool_], num_bins: int
) -> tuple[ReliabilityBin, ...]:
    counts = np.bincount(bins_N, minlength=num_bins)
    confidences = np.bincount(bins_N, weights=confidence_N, minlength=num_bins)
    rights = np.bincount(bins_N, weights=right_N, minlength=num_bins)
    edges = bin_edges(num_bins)
    return tuple(
        ReliabilityBin(
            lower=float(edges[i]),
            upper=float(edges[i + 1]),
            count=int(counts[i]),
            confidence=float(confidences[i] / counts[i]) if counts[i] else None,
            accuracy=float(rights[i] / counts[i]) if counts[i] else None,
        )
        for i in range(num_bins)
    )


# --- scores -------------------------------------------------------------------------------------


def _brier(probabilities_NK: Floats, complements_NK: Floats, labels_N: Integers) -> float:
    own_N1 = labels_N[:, None]
    own = np.take_along_axis(probabilities_NK, own_N1, axis=1)
    missing = np.take_along_axis(complements_NK, own_N1, axis=1)
    squares = np.square(probabilities_NK).sum(axis=1) - (own**2)[:, 0] + (missing**2)[:, 0]
    return float(squares.mean())


def _classwise(probabilities_NK: Floats, labels_N: Integers, num_bins: int) -> float:
    count, num_classes = probabilities_NK.shape
    column = np.arange(num_classes)
    cells_NK = equal_width_bins(probabilities_NK.ravel(), num_bins).reshape(count, num_classes)
    cells_NK += column * num_bins
    gaps = np.bincount(
        cells_NK.ravel(), weights=probabilities_NK.ravel(), minlength=num_classes * num_bins
    )
    own = np.take_along_axis(cells_NK, labels_N[:, None], axis=1)[:, 0]
    gaps -= np.bincount(own, minlength=num_classes * num_bins)
    total = float(np.abs(gaps).sum())
    return total / int(count * num_classes)


def _noise_floor(bins_N: Integers, confidence_N: Floats, doubt_N: Floats) -> float:
    variances = np.bincount(bins_N, weights=confidence_N * doubt_N)
    expected = math.sqrt(2 / math.pi) * float(np.sqrt(variances).sum())
    return expected / len(bins_N)
