"""Calibration of one split: can the confidence be trusted, and what does recalibration repair?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from nccli.calibration.bins import Ranked, ranked
from nccli.calibration.consistency import by_chance, with_bands
from nccli.calibration.intervals import change_intervals, intervals
from nccli.calibration.predictions import (
    Predictions,
    look_like_probabilities,
    of_arrays,
    open_predictions,
    zero_probabilities,
)
from nccli.calibration.recalibration import Recalibration
from nccli.calibration.resample import RESAMPLES, Replicates, groups_of, replicates
from nccli.calibration.scores import bin_sensitivity, bin_sums, scores_of
from nccli.calibration.smooth import coverages
from nccli.calibration.statistics import Scaling, Statistics, TopClasses, collect
from nccli.calibration.temperature import (
    FOLDS,
)
from nccli.calibration_report import CalibrationReport, ScoreIntervals, Scores
from nccli.checkpoint import Checkpoint
from nccli.collapse.spans import nobody
from nccli.errors import ContentError, UsageError
from nccli.logits import Floats, Integers

NUM_BINS = 15  # Guo et al. 2017
PAPER_BINS = 20  # scripts of arXiv 2402.03979
MOST_CELLS = 2**20  # K times bins, up to which class cells are summed; our own limit
FEWEST_PREDICTED = 10  # samples that a class must be predicted for, to be the worst
METHODS = ("temperature", "vector", "isotonic")
PROTOCOLS = ("cross-fit", "paper")
CHANCE = 0.05


def score(
    logits_NK: Floats, labels_N: Integers, *, num_bins: int = NUM_BINS, probabilities: bool = False
) -> Scores:
    """Return all scores of logits (N, K), or probabilities, against labels (N,)."""
    found = collect(of_arrays(logits_NK, labels_N, probabilities=probabilities), num_bins=num_bins)
    return scores_of(found, ranked(found.odds_N), num_bins=num_bins)


def analyze(
    checkpoint: Checkpoint,
    *,
    split: str = "test",
    path: str | None = None,
    num_bins: int | None = None,
    folds: int = FOLDS,
    fit: str | None = None,
    protocol: str = "cross-fit",
    method: str = "temperature",
    probabilities: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    threads: int | None = None,
    watch: Callable[[int], None] = nobody,
    keep: Callable[[Replicates], None] | None = None,
) -> CalibrationReport:
    """Return the calibration of one split, before and after recalibration, with intervals.

    num_bins: 15 where None, 20 under the paper's protocol. fit: the split that the recalibration
    is fitted on; None for cross-fitting over stratified folds. protocol: "paper" fits on the scored
    split itself. method: "temperature", "vector" or "isotonic". probabilities: the stored logits
    are probabilities. resamples: of the bootstrap and the simulation; 0 leaves both out. threads:
    how many cores, None for all; no digit depends on it. watch: told of rows as they are run
    through. keep: given each score's resamples, first before and then after recalibration.

    Raises ContentError where the split has no logits and the file no classifier, UsageError on
    options that make no sense.

    >>> import nccli
    >>> run = nccli.sample_data_path("runs") / "digits-mlp-ls0.05-s0"
    >>> checkpoint = nccli.read_checkpoint(run / "checkpoints" / "epoch-00200.h5")
    >>> report = nccli.calibration.analyze(checkpoint, split="test", resamples=0)
    >>> f"ECE {report.ece:.3f}, T {report.temperature:.2f}, ECE then {report.calibrated.ece:.3f}"
    'ECE 0.046, T 1.06, ECE then 0.032'
    """
    num_bins = num_bins or (PAPER_BINS if protocol == "paper" else NUM_BINS)
    _check(num_bins, folds, fit, protocol, method)
    options: dict[str, Any] = {
        "probabilities": probabilities, "threads": threads, "watch": watch
    }  # fmt: skip
    if fit == split:
        raise ContentError(
            f"{split} cannot be scored with what was fitted on {split} itself",
            remedy="leave --fit out to cross-fit, or say --protocol paper",
        )
    found = open_predictions(checkpoint, split, **options)
    fitted_on = None if fit is None else open_predictions(checkpoint, fit, **options)
    measuring = _Measuring(found, num_bins=num_bins, resamples=resamples, seed=seed)
    before = measuring.scored(found, None)
    again = Recalibration(found, fitted_on, split=split, fit=fit, folds=folds, method=method)
    again.run(paper=protocol == "paper")
    after = None
    if again.predictions is not None:
        after = measuring.scored(again.predictions, again.scaling)
    notes = [*_notes(found, before, num_bins), *again.notes]
    for scored in (before, after):
        if keep is not None and scored is not None and scored.drawn is not None:
            keep(scored.drawn)
    meta = checkpoint.metadata
    delta = meta.label_smoothing
    collapsed = None if delta is None else 1.0 - delta * (1.0 - 1.0 / found.num_classes)
    return CalibrationReport(
        path=path,
        split=split,
        epoch=meta.epoch,
        loss_name=meta.loss,
        label_smoothing=delta,
        seed=meta.seed,
        n=found.count,
        num_classes=found.num_classes,
        **{field.name: getattr(before.scores, field.name) for field in fields(Scores)},
        calibration_p=before.chance.get("calibration_p"),
        ece_null_95=before.chance.get("ece_null_95"),
        confidence_collapsed=collapsed,
        **_worst(before.statistics.top),
        temperature=again.whole.value,
        temperature_standard_error=again.whole.standard_error,
        temperature_status=again.whole.status,
        fold_temperatures=again.fold_temperatures,
        recalibration=again.description,
        protocol="split" if fit is not None else protocol,
        calibrated=None if after is None else after.scores,
        resamples=resamples,
        intervals=before.intervals,
        calibrated_intervals=None if after is None else after.intervals,
        change_intervals=_change(before, after),
        accuracy_at_coverage=coverages(before.samples),
        bin_sensitivity=bin_sensitivity(before.samples),
        notes=tuple(notes),
    )


def _check(num_bins: int, folds: int, fit: str | None, protocol: str, method: str) -> None:
    if num_bins < 1 or folds < 2:
        raise UsageError(f"needs at least 1 bin and 2 folds, got {num_bins} and {folds}")
    for name, value, choices in (
        ("--protocol", protocol, PROTOCOLS),
        ("--recalibrate", method, METHODS),
    ):
        if value not in choices:
            raise UsageError(
                f"{name} knows no {value!r}", remedy=f"choose from {', '.join(choices)}"
            )
    if fit is not None and protocol == "paper":
        raise UsageError("--fit and --protocol paper do not go together", remedy="give one of them")


# --- scores with what they leave open -----------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    """One set of predictions, scored."""

    statistics: Statistics
    samples: Ranked
    scores: Scores
    drawn: Replicates | None
    intervals: ScoreIntervals | None
    chance: dict[str, float]


class _Measuring:
    def __init__(self, found: Predictions, *, num_bins: int, resamples: int, seed: int) -> None:
        self._num_bins, self._resamples, self._seed = num_bins, resamples, seed
        self._classwise = found.num_classes * num_bins <= MOST_CELLS

    def scored(self, found: Predictions, scaling: Scaling | None) -> _Scored:
        """Scores, and where resamples are wanted their intervals and the bands of chance."""
        groups = None
        if self._resamples:
            groups = groups_of(
                found.count, found.num_classes, self._num_bins,
                seed=self._seed, classwise=self._classwise,
            )  # fmt: skip
        statistics = collect(
            found, num_bins=self._num_bins, classwise=self._classwise, groups=groups,
            scaling=scaling,
        )  # fmt: skip
        odds_N = statistics.odds_N if groups is None else statistics.odds_N.copy()
        samples = ranked(odds_N)
        scores = scores_of(statistics, samples, num_bins=self._num_bins)
        if groups is None:
            return _Scored(
                statistics=statistics, samples=samples, scores=scores, drawn=None, intervals=None,
                chance={},
            )  # fmt: skip
        sums = bin_sums(samples, self._num_bins)
        chance = by_chance(samples, sums, simulations=self._resamples, seed=self._seed)
        drawn = replicates(
            statistics, samples, groups, num_bins=self._num_bins,
            resamples=self._resamples, seed=self._seed,
        )  # fmt: skip
        return _Scored(
            statistics=statistics,
            samples=samples,
            scores=replace(scores, bins=with_bands(scores.bins, chance)),
            drawn=drawn,
            intervals=intervals(scores, drawn, found.count),
            chance={"calibration_p": chance.p_value, "ece_null_95": chance.error_95},
        )


def _change(before: _Scored, after: _Scored | None) -> ScoreIntervals | None:
    if after is None or before.drawn is None or after.drawn is None:
        return None
    return change_intervals(before.scores, after.scores, before.drawn, after.drawn)


def _notes(found: Predictions, before: _Scored, num_bins: int) -> list[str]:
    notes = []
    if look_like_probabilities(found):
        notes.append(
            "logits look like probabilities (every row sums to 1): give --probabilities if they are"
        )
    if before.scores.ece_classwise is None:
        notes.append(f"ece_classwise is left out: {found.num_classes} classes in {num_bins} bins")
    if found.count < num_bins:
        notes.append("fewer samples than bins: most bins hold one, and the ECE says little")
    if before.scores.ece <= before.chance.get("ece_null_95", -1.0):
        notes.append(
            "the ECE is no larger than a calibrated model's would be by chance "
            "(ece <= ece_null_95): small ECEs of few samples are noise, see ece_noise_floor"
        )
    if before.drawn is not None and "ece_classwise" not in before.drawn.values:
        notes.append(
            f"classwise scores have no intervals: {found.num_classes} classes in {num_bins} bins "
            "are too many to resample"
        )
    if before.intervals is not None and found.count < 2:
        notes.append("one sample has no spread: no intervals")
    if not np.isfinite(before.statistics.nll):
        notes.append("nll is infinite: some logits are too large for the precision they are in")
    if found.probabilities and (zeros := zero_probabilities(found)):
        notes.append(
            f"{zeros:,} of the labels have a probability of exactly 0: nll and temperature rest on "
            "the smallest number there is in its place"
        )
    return notes


def _worst(top: TopClasses) -> dict[str, Any]:
    noise_K = np.sqrt(top.variances_K)
    beyond_K = np.abs(top.gaps_K) > 2.0 * noise_K
    seen = np.flatnonzero((top.counts_K >= FEWEST_PREDICTED) & beyond_K)
    if not len(seen):
        return {}
    gaps = top.gaps_K[seen] / top.counts_K[seen]
    worst = int(np.abs(gaps).argmax())
    return {"worst_class": int(seen[worst]), "worst_class_gap": float(gaps[worst])}
