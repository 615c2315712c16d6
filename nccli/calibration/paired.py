"""Label smoothing beside cross-entropy on the same test samples: `nccli calibrate --paired`.

R resamples. Both models are scored on the same resamples of the samples (`resample`), so that the
interval of a difference has none of the noise that both share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nccli.calibration import analysis
from nccli.calibration.intervals import difference
from nccli.calibration.resample import Replicates
from nccli.calibration_report import INTERVALS, CalibrationReport, Interval, Scores
from nccli.checkpoint import Checkpoint
from nccli.logits import load_labels
from nccli.result import Better, quantities, quantity, same_as
from nccli.text import group_name

Resamples = dict[str, list[float | None]]
UNSURE = {"mce"}  # one bin decides it, and another one in each resample


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Replicates as JSON can hold them: undefined ones are None."""

    values: Resamples = field(repr=False)
    biases: dict[str, float] = field(repr=False)

    @classmethod
    def of(cls, found: Replicates) -> Drawn:
        """JSON has no NaN, and NaN is not itself."""
        values = {
            name: [float(value) if np.isfinite(value) else None for value in found.values[name]]
            for name in found.values
        }
        return cls(values=values, biases=found.biases)

    def replicates(self) -> Replicates:
        """As they were."""
        values = {name: np.array(self.values[name], float) for name in self.values}
        return Replicates(values=values, null_95={}, biases=self.biases)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResampledReport:
    """A report with each score's resamples, and which samples they are of."""

    path: str | None
    report: CalibrationReport
    dataset: str | None
    labels_digest: str
    before: Drawn
    after: Drawn | None
    notes: tuple[str, ...] = ()

    @property
    def split(self) -> str:
        """The scored split."""
        return self.report.split


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceReport:
    """One score of two models on the same samples, and of both after recalibration."""

    path: str | None = quantity("file", "checkpoint of the second model, label smoothing")
    baseline_path: str | None = quantity("against", "checkpoint of the first, cross-entropy")
    epoch: int | None = same_as(CalibrationReport, "epoch")
    split: str = same_as(CalibrationReport, "split")
    seed: int | None = same_as(CalibrationReport, "seed")
    baseline: str = quantity("baseline", "loss of the first", default="CE")
    other: str = quantity("other", "loss of the second", default="LS")
    n: int = same_as(CalibrationReport, "n")
    score: str = quantity("score", "which score", default="")
    baseline_value: float | None = quantity("first", "its value of the first model")
    other_value: float | None = quantity("second", "its value of the second")
    difference: float | None = quantity("difference", "second minus first")
    low: float | None = quantity(
        "low", "lower end of its paired 95 % bootstrap interval, bias taken off"
    )
    high: float | None = quantity("high", "its upper end")
    better: str | None = quantity(
        "better", "which is better, where the interval says so and one way is better"
    )
    baseline_calibrated: float | None = quantity(
        "first, after", "of the first model after its own recalibration"
    )
    other_calibrated: float | None = quantity("second, after", "of the second after its own")
    difference_calibrated: float | None = quantity("difference, after", "second minus first")
    low_calibrated: float | None = quantity("low, after", "lower end of its paired interval")
    high_calibrated: float | None = quantity("high, after", "its upper end")
    better_calibrated: str | None = quantity("better, after", "which is better then")
    notes: tuple[str, ...] = same_as(CalibrationReport, "notes")


def analyze(checkpoint: Checkpoint, **options: Any) -> ResampledReport:
    """Return a report with its resamples. Arguments and errors: `nccli.calibration.analyze`."""
    kept: list[Replicates] = []
    report = analysis.analyze(checkpoint, keep=kept.append, **options)
    labels_N = load_labels(checkpoint, report.split)
    return ResampledReport(
        path=report.path,
        report=report,
        dataset=checkpoint.metadata.dataset,
        labels_digest=hashlib.sha256(labels_N.tobytes()).hexdigest(),
        before=Drawn.of(kept[0]),
        after=Drawn.of(kept[1]) if len(kept) > 1 else None,
    )


def differences(results: Sequence[ResampledReport]) -> list[DifferenceReport]:
    """Pair cross-entropy with each smoothing at equal epoch, seed and samples; a row a score."""
    return [row for first, second in pairs(results) for row in differences_of(first, second)]


def pairs(
    results: Sequence[ResampledReport],
) -> Iterator[tuple[ResampledReport, ResampledReport]]:
    """Yield (cross-entropy, smoothed) of the same test samples."""
    baselines: dict[tuple[Any, ...], list[ResampledReport]] = {}
    for one in results:
        if _group(one) == "CE":
            baselines.setdefault(_key(one), []).append(one)
    for one in results:
        partners = baselines.get(_key(one), [])
        if _group(one) != "CE" and one.report.loss_name and len(partners) == 1:
            yield partners[0], one


def _key(one: ResampledReport) -> tuple[Any, ...]:
    report = one.report
    shape = (report.num_classes, len(report.bins), report.resamples)
    return one.dataset, one.labels_digest, report.split, report.epoch, report.seed, shape


def _group(one: ResampledReport) -> str:
    return group_name(one.report.loss_name, one.report.label_smoothing)


def differences_of(first: ResampledReport, second: ResampledReport) -> Iterator[DifferenceReport]:
    """Yield the differences second - first, a row a score, of reports on the same resamples."""
    one, two = first.report, second.report
    meanings = quantities(Scores)
    old, new = first.before.replicates(), second.before.replicates()
    old_after, new_after = (
        None if x.after is None else x.after.replicates() for x in (first, second)
    )
    for name in INTERVALS:
        before = _values(one, two, name, old, new)
        after = _values(one.calibrated, two.calibrated, name, old_after, new_after)
        interval, calibrated = before[2], after[2]
        which = None if name in UNSURE else meanings[name].better
        yield DifferenceReport(
            path=two.path,
            baseline_path=one.path,
            epoch=two.epoch,
            split=two.split,
            seed=two.seed,
            baseline=_group(first),
            other=_group(second),
            n=two.n,
            score=name,
            baseline_value=before[0],
            other_value=before[1],
            difference=_minus(before[1], before[0]),
            low=interval.low,
            high=interval.high,
            better=_better(which, interval, first, second),
            baseline_calibrated=after[0],
            other_calibrated=after[1],
            difference_calibrated=_minus(after[1], after[0]),
            low_calibrated=calibrated.low,
            high_calibrated=calibrated.high,
            better_calibrated=_better(which, calibrated, first, second),
        )


def _better(
    which: Better | None, interval: Interval, first: ResampledReport, second: ResampledReport
) -> str | None:
    """Which is better, where the interval leaves out zero and one way is better."""
    if which is None or interval.low is None or interval.high is None:
        return None
    if interval.low <= 0 <= interval.high:
        return None
    return _group(second if (interval.low > 0) == (which == "higher") else first)


_NONE = Interval(low=None, high=None, bias=None)
_Values = tuple[float | None, float | None, Interval]


def _values(
    one: Any, two: Any, name: str, old: Replicates | None, new: Replicates | None
) -> _Values:
    """Both values and the interval of their difference."""
    first, second = (None if scores is None else getattr(scores, name) for scores in (one, two))
    if old is None or new is None:
        return first, second, _NONE
    return first, second, difference(name, one, two, old, new) or _NONE


def _minus(two: float | None, one: float | None) -> float | None:
    return None if one is None or two is None else two - one
