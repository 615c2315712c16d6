"""A run as it was measured: a `Trajectory` of `Observation`s by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from nccli.calibration_report import CalibrationReport
from nccli.collapse_report import CollapseReport
from nccli.errors import UsageError
from nccli.hessian_report import HessianReport
from nccli.text import group_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was measured at one checkpoint; a part is None where the file does not allow it."""

    path: str | None = None
    epoch: int | None = None
    train: CollapseReport | None = None
    test: CollapseReport | None = None
    calibration: CalibrationReport | None = None
    hessian: HessianReport | None = None
    absent: tuple[tuple[str, str], ...] = ()  # a part that is None, and why

    def why_absent(self, part: str) -> str | None:
        """Return why a part is None, in the words of its analysis."""
        return dict(self.absent).get(part)

    def value(self, key: str) -> float | None:
        """Return a number by its dotted name: `train.nc1`, `calibration.calibrated.ece`."""
        found: Any = self
        for name in key.split("."):
            found = getattr(found, name, None)
        return float(found) if isinstance(found, (int, float)) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """One run: its loss, its seed and its observations by epoch."""

    name: str
    group: str  # "CE" or "LS 0.05"
    delta: float | None
    seed: int | None
    observations: tuple[Observation, ...]

    @property
    def last(self) -> Observation:
        """The observation of the last epoch."""
        return self.observations[-1]

    def series(self, key: str) -> dict[int, float]:
        """Return the defined values of a quantity by epoch."""
        found = {}
        for observation in self.observations:
            value = observation.value(key)
            if observation.epoch is not None and value is not None:
                found[observation.epoch] = value
        return found


def scored_splits(runs: Sequence[Trajectory]) -> set[str]:
    """Return the splits that calibration is of: scores of two splits are no comparison."""
    found = {one.calibration.split for run in runs for one in run.observations if one.calibration}
    return {split for split in found if split}


def trajectory(name: str, observations: Sequence[Observation]) -> Trajectory:
    """Make a trajectory; loss and seed are those of its reports."""
    ordered = sorted(observations, key=lambda one: -1 if one.epoch is None else one.epoch)
    reports = [one.train or one.test or one.calibration or one.hessian for one in ordered]
    report = next((one for one in reversed(reports) if one is not None), None)
    delta = None if report is None else report.label_smoothing
    return Trajectory(
        name=name,
        group=group_name(None if report is None else report.loss_name, delta),
        delta=delta,
        seed=None if report is None else report.seed,
        observations=tuple(ordered),
    )


def check_seeds(runs: Sequence[Trajectory]) -> None:
    """Raise UsageError where two runs of one loss have the same seed: they are no two samples."""
    seen: dict[tuple[str, int], Trajectory] = {}
    for run in runs:
        if run.seed is None:
            continue
        other = seen.setdefault((run.group, run.seed), run)
        if other is not run:
            raise UsageError(
                f"two runs of {run.group} have seed {run.seed}: {_two_names(other, run)}",
                remedy="compare one experiment at a time",
            )


def _two_names(one: Trajectory, two: Trajectory) -> str:
    if one.name != two.name:
        return f"{one.name} and {two.name}"
    return " and ".join(str(PurePath(run.last.path or run.name).parent) for run in (one, two))
