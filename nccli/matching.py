"""Two groups of runs at the same level of collapse: what they differ in where their NC1 is equal.

At its last epoch a run of label smoothing has collapsed further than one of cross-entropy, and
most other numbers follow. The paper (arXiv 2402.03979) therefore compares NC2 at equal NC1. Here
each run is read where its NC1 (of the train split) first gets down to a level (`nccli.levels`:
between two consecutive saved epochs, never extrapolated). There every other number is interpolated
between the same two epochs: its logarithm in log NC1 where it is positive (so a power law of NC1
comes out exactly), accuracy, ECE and the epoch themselves in log NC1. The values of the runs at one
level are then compared as everywhere, by pairs of seeds (`nccli.paired`).

A run that never gets to a level has no value there; its group's mean is then that of the others,
and `notes` say so, because those that get further are not a fair sample of the group. The
intervals are for one row each, not corrected for the number of rows.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import fmean

from nccli.changes import STUDENT, Method
from nccli.collapse_report import CollapseReport
from nccli.errors import UsageError
from nccli.levels import Reach, extent, first_reach, spread_evenly, why_unreached
from nccli.paired import COMPARED, Compared, Comparison, comparison
from nccli.result import quantities, quantity
from nccli.trajectory import Trajectory

NUM_LEVELS = 5  # our choice: what can still be read; the ends are the runs' own
METRICS = tuple(name for name, meaning in quantities(CollapseReport).items() if meaning.ideal == 0)

_EPOCH = Compared(key="epoch", label="epoch reached")
_KEYS = (
    "train.nc1", "train.nc2_features", "train.nc2_classifier", "train.nc2_duality", "train.nc3",
    "train.accuracy", "test.accuracy", "calibration.nll", "calibration.ece",
    "calibration.calibrated.ece", "train.weight_norm", "train.feature_norm",
)  # fmt: skip
_BY_KEY = {row.key: row for row in COMPARED}
ROWS = (_EPOCH, *(_BY_KEY[key] for key in _KEYS))
_LINEAR = {"train.accuracy", "test.accuracy", "calibration.ece", "calibration.calibrated.ece"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched(Comparison):
    """One quantity in two groups of runs, each run read where its NC1 first reaches a level."""

    metric: str = quantity("matched by", "train-split number that is equal", default="nc1")
    level: float = quantity("level", "its value, the same in all runs", default=0.0)
    baseline_runs: int = quantity("runs of baseline", "that reach the level", default=0)
    other_runs: int = quantity("runs of other", "that reach the level", default=0)
    baseline_epoch: float | None = quantity("epoch of baseline", "at the level, mean over runs")
    other_epoch: float | None = quantity("epoch of other", "at the level, mean over runs")
    notes: tuple[str, ...] = quantity("notes", "which run has no value here, and why", default=())


def check_metric(name: str) -> str:
    """Return the name of a number that runs can be matched by; raises UsageError on another."""
    if name in METRICS:
        return name
    near = difflib.get_close_matches(name, METRICS, n=2)
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(
        f"cannot match runs by '{name}'", remedy=f"{guess}choices: {', '.join(METRICS)}"
    )


def shared_levels(
    runs: Sequence[Trajectory], *, metric: str = "nc1", count: int = NUM_LEVELS
) -> tuple[float, ...]:
    """Return levels that all runs reach, from the shallowest to the deepest, ends included.

    They lie evenly on a logarithmic scale; () where the runs share none. The shallowest is the
    smallest of the runs' first values, the deepest the largest of their smallest ones.
    """
    extents = [extent(run.series(_train(metric))) for run in runs]
    if not extents or None in extents:
        return ()
    shallow = min(one[0] for one in extents if one is not None)
    deep = max(one[1] for one in extents if one is not None)
    return spread_evenly(shallow, deep, count) if deep <= shallow else ()


def why_none_shared(runs: Sequence[Trajectory], *, metric: str = "nc1") -> str:
    """Return in words which runs leave no level that all reach."""
    found = [(run.name, extent(run.series(_train(metric)))) for run in runs]
    ends = [(name, one[0], one[1]) for name, one in found if one is not None]
    if len(ends) < len(found):
        name = next(name for name, one in found if one is None)
        return f"{name}: {_label(metric)} is positive at no saved epoch"
    late = max(ends, key=lambda one: one[2])
    early = min(ends, key=lambda one: one[1])
    return (
        f"{late[0]} gets down to {late[2]:.3g} only, "
        f"{early[0]} is at {early[1]:.3g} at its first saved epoch"
    )


def matched(
    baseline: Sequence[Trajectory],
    other: Sequence[Trajectory],
    *,
    metric: str = "nc1",
    levels: Sequence[float] | None = None,
    rows: Sequence[Compared] = ROWS,
    method: Method = STUDENT,
) -> list[Matched]:
    """Compare two groups of runs at equal levels of a train-split metric, a row a number.

    levels: positive values; None for `shared_levels` of these runs. They come out from the
    shallowest to the deepest, each once. A row of the metric itself is left out: it is equal.
    A value is None where no run of the group has one; `notes` say of each run without one why.
    """
    chosen = shared_levels([*baseline, *other], metric=metric) if levels is None else levels
    found: list[Matched] = []
    for level in sorted(set(chosen), reverse=True):
        place = _Place(runs=(*baseline, *other), metric=metric, level=level)
        for row in rows:
            if row.key != _train(metric):
                found.append(_row(row, baseline, other, place, method))
    return found


def _train(metric: str) -> str:
    return f"train.{metric}"


def _label(metric: str) -> str:
    return quantities(CollapseReport)[metric].label


class _Place:
    """Where each of some runs reaches a level."""

    def __init__(self, *, runs: Sequence[Trajectory], metric: str, level: float) -> None:
        self.metric = metric
        self.level = level
        # by identity: runs of different folders may have one name
        self._reaches = {id(run): first_reach(run.series(_train(metric)), level) for run in runs}

    def reach(self, run: Trajectory) -> Reach | None:
        return self._reaches[id(run)]

    def epoch(self, run: Trajectory) -> float | None:
        reach = self.reach(run)
        return None if reach is None else reach.epoch

    def value(self, run: Trajectory, key: str) -> float | None:
        reach = self.reach(run)
        if reach is None or key == _EPOCH.key:
            return self.epoch(run)
        return reach.value(run.series(key), log=key not in _LINEAR)

    def note(self, run: Trajectory, row: Compared) -> str | None:
        """Say why a run has no value of a row here; None where it has one."""
        reach = self.reach(run)
        if reach is None:
            why = why_unreached(run.series(_train(self.metric)), self.level)
            return f"{run.name}: {_label(self.metric)} {why}"
        if self.value(run, row.key) is not None:
            return None
        series = run.series(row.key)
        missing = " and ".join(str(epoch) for epoch in reach.epochs if epoch not in series)
        return f"{run.name}: {row.label} is not known at epoch {missing}"


def _row(
    row: Compared,
    baseline: Sequence[Trajectory],
    other: Sequence[Trajectory],
    place: _Place,
    method: Method,
) -> Matched:
    compared = comparison(
        row, baseline, other, lambda run: place.value(run, row.key), method=method
    )
    notes = (place.note(run, row) for run in (*baseline, *other))
    epochs = [
        [epoch for run in group if (epoch := place.epoch(run)) is not None]
        for group in (baseline, other)
    ]
    return Matched(
        **{field.name: getattr(compared, field.name) for field in fields(Comparison)},
        metric=place.metric,
        level=place.level,
        baseline_runs=len(epochs[0]),
        other_runs=len(epochs[1]),
        baseline_epoch=fmean(epochs[0]) if epochs[0] else None,
        other_epoch=fmean(epochs[1]) if epochs[1] else None,
        notes=tuple(dict.fromkeys(note for note in notes if note is not None)),
    )
