"""What `nccli calibrate` says of one split of a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from nccli.result import Shown, quantities, quantity, same_as

_GUO = "Guo et al. 2017 (arXiv 1706.04599)"
_NIXON = "Nixon et al. 2019 (arXiv 1904.01685)"
_DAVISON = "Davison & Hinkley 1997, section 5.2"
_DEGROOT = "DeGroot & Fienberg 1983; Murphy 1973"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """One bin of the reliability diagram, (lower, upper]; what an empty bin lacks is None."""

    lower: float
    upper: float
    count: int
    confidence: float | None
    accuracy: float | None
    # where the accuracy of a perfectly calibrated model of these confidences lies 95 times of 100
    band_low: float | None = None
    band_high: float | None = None

    @property
    def is_beyond(self) -> bool:
        """Whether chance does not explain its accuracy."""
        if self.accuracy is None or self.band_low is None or self.band_high is None:
            return False
        return not self.band_low <= self.accuracy <= self.band_high


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Accuracy on the most confident share of the samples."""

    coverage: float
    accuracy: float
    threshold: float  # confidence of the last sample that is covered


@dataclass(frozen=True, slots=True, kw_only=True)
class BinChoice:
    """The same error with another number of bins."""

    bins: int
    ece: float
    ece_noise_floor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The scores of one set of predictions."""

    accuracy: float = quantity(
        "accuracy", "share of right predictions", better="higher", brief=True
    )
    confidence: float = quantity("confidence", "mean probability of the predicted class")
    confidence_right: float | None = quantity(
        "confidence, right", "mean confidence of right predictions"
    )
    confidence_wrong: float | None = quantity(
        "confidence, wrong", "mean confidence of wrong predictions", better="lower"
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
    brier_calibration: float | None = quantity(
        "Brier, calibration",
        "sum over classes and bins of n_kb/N (mean p_k - share of y = k)^2, equal-width bins",
        source=_DEGROOT,
        better="lower",
    )
    brier_refinement: float | None = quantity(
        "Brier, refinement",
        "brier - brier_calibration: what no recalibration within the bins could repair",
        source=_DEGROOT,
        better="lower",
    )
    ece: float = quantity(
        "ECE",
        "sum over bins of n_b/N abs(accuracy_b - confidence_b), equal-width bins (i/B, (i+1)/B]",
        source=_GUO,
        elsewhere="torchmetrics puts confidence 1 into a bin of its own; scripts of the paper take "
        "20 bins",
        better="lower",
        brief=True,
    )
    ece_equal_mass: float = quantity(
        "ECE, equal mass",
        "the same over bins of equal counts; equal confidences stay together",
        source=_NIXON,
        better="lower",
    )
    ece_classwise: float | None = quantity(
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
    ece_squared_debiased: float = quantity(
        "ECE squared, debiased",
        "sum_b n_b/N [(confidence_b - accuracy_b)^2 - accuracy_b (1 - accuracy_b)/(n_b - 1)] over "
        "bins of equal counts: its mean is 0 for a calibrated model, so it may be negative",
        source="Kumar et al. 2019 (arXiv 1909.10155)",
        better="lower",
    )
    ece_smooth: float = quantity(
        "ECE, smooth",
        "integral of the residuals smoothed by a reflected Gaussian, whose width is the error "
        "itself: no bins",
        source="Blasiok & Nakkiran 2023 (arXiv 2309.12236)",
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
    ece_over: float = quantity(
        "ECE, over", "the part of the ECE from bins with confidence above accuracy", better="lower"
    )
    ece_under: float = quantity(
        "ECE, under", "the part from bins with confidence below accuracy", better="lower"
    )
    saturated: float = quantity(
        "confidence > 0.999", "share of samples with a confidence above 0.999"
    )
    aurc: float = quantity(
        "AURC",
        "area under the risk-coverage curve: mean error rate of the most confident 1, 2, ... N "
        "samples, ties in random order",
        source="Geifman & El-Yaniv 2017 (arXiv 1705.08500)",
        better="lower",
    )
    bins: tuple[ReliabilityBin, ...] = quantity(
        "bins", "the reliability diagram", default=(), records=True
    )


SCORED = tuple(field.name for field in fields(Scores) if field.name != "bins")
_NO_INTERVAL = ("ece_noise_floor", "bins")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Where a score would lie with other samples."""

    low: float | None = quantity(
        "low",
        "lower end of the 95 % bootstrap interval, which takes the bias off: it may end below the "
        "score itself; 0 of an error that is no larger than noise makes it. Of errors that sum "
        "gaps, 95 % is nominal: near calibration 70 to 95 % were measured, of the MCE about half",
        source=_DAVISON,
    )
    high: float | None = quantity("high", "its upper end", source=_DAVISON)
    bias: float | None = quantity(
        "bias", "how far the score is thought to lie above truth: noise lifts sums of sizes"
    )


def _interval_of(name: str) -> Any:
    meaning = quantities(Scores)[name]
    return quantity(f"{meaning.label}, 95 %", f"interval of {name}", nested=Interval)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreIntervals:
    """The 95 % bootstrap interval of each score; None where the score is undefined."""

    accuracy: Interval | None = _interval_of("accuracy")
    confidence: Interval | None = _interval_of("confidence")
    confidence_right: Interval | None = _interval_of("confidence_right")
    confidence_wrong: Interval | None = _interval_of("confidence_wrong")
    nll: Interval | None = _interval_of("nll")
    brier: Interval | None = _interval_of("brier")
    brier_calibration: Interval | None = _interval_of("brier_calibration")
    brier_refinement: Interval | None = _interval_of("brier_refinement")
    ece: Interval | None = _interval_of("ece")
    ece_equal_mass: Interval | None = _interval_of("ece_equal_mass")
    ece_classwise: Interval | None = _interval_of("ece_classwise")
    mce: Interval | None = _interval_of("mce")
    ece_squared_debiased: Interval | None = _interval_of("ece_squared_debiased")
    ece_smooth: Interval | None = _interval_of("ece_smooth")
    overconfidence: Interval | None = _interval_of("overconfidence")
    ece_over: Interval | None = _interval_of("ece_over")
    ece_under: Interval | None = _interval_of("ece_under")
    saturated: Interval | None = _interval_of("saturated")
    aurc: Interval | None = _interval_of("aurc")


INTERVALS = tuple(field.name for field in fields(ScoreIntervals))


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationReport(Shown):
    """Calibration of one (checkpoint, split) before and after recalibration."""

    path: str | None = quantity("file", "the checkpoint file")
    epoch: int | None = quantity("epoch", "epoch the checkpoint was saved at", brief=True)
    split: str = quantity("split", "the split that is scored", default="test", brief=True)
    loss_name: str | None = quantity("trained with", "cross-entropy or label-smoothing")
    label_smoothing: float | None = quantity("delta", "label smoothing of the training loss")
    seed: int | None = quantity("seed", "random seed of the run")
    n: int = quantity("N", "number of samples", default=0)
    num_classes: int = quantity("K", "number of classes", default=0)
    accuracy: float = same_as(Scores, "accuracy")
    confidence: float = same_as(Scores, "confidence")
    confidence_right: float | None = same_as(Scores, "confidence_right")
    confidence_wrong: float | None = same_as(Scores, "confidence_wrong")
    nll: float = same_as(Scores, "nll")
    brier: float = same_as(Scores, "brier")
    brier_calibration: float | None = same_as(Scores, "brier_calibration")
    brier_refinement: float | None = same_as(Scores, "brier_refinement")
    ece: float = same_as(Scores, "ece")
    ece_equal_mass: float = same_as(Scores, "ece_equal_mass")
    ece_classwise: float | None = same_as(Scores, "ece_classwise")
    mce: float = same_as(Scores, "mce")
    ece_squared_debiased: float = same_as(Scores, "ece_squared_debiased")
    ece_smooth: float = same_as(Scores, "ece_smooth")
    ece_noise_floor: float = same_as(Scores, "ece_noise_floor")
    overconfidence: float = same_as(Scores, "overconfidence")
    ece_over: float = same_as(Scores, "ece_over")
    ece_under: float = same_as(Scores, "ece_under")
    saturated: float = same_as(Scores, "saturated")
    aurc: float = same_as(Scores, "aurc")
    calibration_p: float | None = quantity(
        "p of calibration",
        "share of simulated perfectly calibrated models of these confidences whose ECE is at least "
        "as large: small where miscalibration is more than chance",
        source="consistency resampling: Broecker & Smith 2007; Vaicenavicius et al. 2019 "
        "(arXiv 1902.06977)",
    )
    ece_null_95: float | None = quantity(
        "ECE by chance, 95 %", "the ECE that a calibrated model exceeds 5 times of 100"
    )
    confidence_collapsed: float | None = quantity(
        "confidence at collapse",
        "1 - delta (K - 1)/K: the confidence that minimises the smoothed loss at full collapse",
        source="nccli; arXiv 2402.03979, section on the minimiser, as the penalties vanish",
    )
    worst_class: int | None = quantity(
        "worst class",
        "predicted class with the largest abs(mean confidence - accuracy), of those predicted "
        "10 times or more where it is above twice its noise; None where there is none",
    )
    worst_class_gap: float | None = quantity(
        "its gap", "mean confidence minus accuracy of the samples that are predicted as it"
    )
    temperature: float | None = quantity(
        "temperature",
        "T fitted on the whole split, for reading only: no score below is computed with it unless "
        "the protocol says so",
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
    recalibration: str = quantity(
        "recalibration", "what `calibrated` is scored with, and what that was fitted on", default=""
    )
    protocol: str = quantity(
        "protocol",
        "cross-fit: no sample is scored with what it chose; split: fitted on another split; paper: "
        "fitted on the scored split itself, a leak that the paper's code has",
        default="cross-fit",
    )
    bins: tuple[ReliabilityBin, ...] = same_as(Scores, "bins")
    calibrated: Scores | None = quantity(
        "calibrated",
        "the same scores after recalibration; by default after temperature scaling, cross-fitted "
        "over stratified folds: no sample is scored with a temperature that it chose",
        nested=Scores,
    )
    resamples: int = quantity("resamples", "how many bootstrap resamples", default=0)
    intervals: ScoreIntervals | None = quantity("intervals", nested=ScoreIntervals)
    calibrated_intervals: ScoreIntervals | None = quantity(
        "intervals, calibrated", "of the scores after recalibration", nested=ScoreIntervals
    )
    change_intervals: ScoreIntervals | None = quantity(
        "change, 95 %", "of calibrated minus before, on the same resamples", nested=ScoreIntervals
    )
    accuracy_at_coverage: tuple[Coverage, ...] = quantity(
        "accuracy at coverage", "on the most confident share", default=(), records=True
    )
    bin_sensitivity: tuple[BinChoice, ...] = quantity(
        "bin sensitivity", "the ECE with other numbers of bins", default=(), records=True
    )
    notes: tuple[str, ...] = quantity("notes", "why a value is undefined", default=())
