"""Results as what a figure draws: runs by epoch, the seeds of one loss together.

S seeds of one loss, E epochs. Pure: nothing here knows how a figure is made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nccli.errors import UsageError
from nccli.text import group_name

Floats = NDArray[np.float64]
Curve = dict[int, float]  # value by epoch, in order; nan where it is undefined


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSeries:
    """The runs that share a colour: the seeds of one loss, or one run alone."""

    label: str
    kind: int  # of marker and colour, as in the terminal's charts: 0 is cross-entropy
    runs: tuple[Sequence[Any], ...]

    def curves(self, name: str, split: str) -> list[Curve]:
        """Return a field by epoch, one curve a run that has the split.

        Raises UsageError where a run has two results at one epoch.
        """
        found = [_curve(run, name, split) for run in self.runs]
        return [curve for curve in found if curve]


def series_of(results: Sequence[Any]) -> list[RunSeries]:
    """Return the runs of results that have an epoch, by loss: cross-entropy first.

    Runs of one loss whose seeds all differ are one series. Where a seed is unknown or comes twice
    they are no samples of one experiment: each is a series of its own, under its folder's name.
    """
    runs: dict[Any, list[Any]] = {}
    for result in results:
        if result.epoch is not None:
            key = (_folder(result), result.loss_name, result.label_smoothing, result.seed)
            runs.setdefault(key, []).append(result)
    groups: dict[str, list[list[Any]]] = {}
    for run in runs.values():
        groups.setdefault(group_name(run[0].loss_name, run[0].label_smoothing), []).append(run)
    found: list[RunSeries] = []
    kind = 1
    for group in sorted(groups, key=lambda name: (name != "CE", name)):
        for index, (label, members) in enumerate(_labelled(group, groups[group])):
            first = group == "CE" and index == 0
            found.append(RunSeries(label=label, kind=0 if first else kind, runs=tuple(members)))
            kind += 0 if first else 1
    return found


def splits_of(series: Sequence[RunSeries]) -> list[str]:
    """Return the splits that any run has, train first."""
    found = dict.fromkeys(result.split for one in series for run in one.runs for result in run)
    return sorted(found, key=lambda split: split != "train")


def is_defined(series: Sequence[RunSeries], name: str) -> bool:
    """Return whether a field has a value anywhere."""
    values = (getattr(result, name) for one in series for run in one.runs for result in run)
    return any(_number(value) is not None for value in values)


def mean_and_spread(
    curves: Sequence[Curve], *, log: bool
) -> tuple[list[int], Floats, Floats, Floats]:
    """Return the epochs that all curves have, mean, and one standard deviation below and above.

    The deviation divides by S - 1. log: both are of the logarithms (geometric). Where a curve is
    undefined, so is the mean.
    """
    epochs = [epoch for epoch in curves[0] if all(epoch in curve for curve in curves)]
    values_SE = np.array([[curve[epoch] for epoch in epochs] for curve in curves])
    if log:
        positive = values_SE > 0
        values_SE = np.log(np.where(positive, values_SE, 1.0))
        values_SE[~positive] = np.nan
    mean_E, spread_E = values_SE.mean(axis=0), values_SE.std(axis=0, ddof=1)
    found = (mean_E, mean_E - spread_E, mean_E + spread_E)
    mean, low, high = (np.exp(one_E) for one_E in found) if log else found
    return epochs, mean, low, high


def _curve(run: Sequence[Any], name: str, split: str) -> Curve:
    curve: Curve = {}
    for result in run:
        if result.split == split:
            if result.epoch in curve:
                raise UsageError(
                    f"a second result at epoch {result.epoch} of one run",
                    source=result.path,
                    remedy="give each run a folder of its own",
                )
            value = _number(getattr(result, name))
            curve[result.epoch] = math.nan if value is None else value
    return dict(sorted(curve.items()))


def _number(value: Any) -> float | None:
    """A value as a number on an axis; None for what is undefined, infinite or no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def _labelled(group: str, runs: list[list[Any]]) -> list[tuple[str, list[list[Any]]]]:
    seeds = [run[0].seed for run in runs]
    if len(runs) == 1:
        return [(group, runs)]
    if None not in seeds and len(set(seeds)) == len(seeds):
        return [(f"{group}, {len(runs)} seeds", runs)]
    return [(f"{group}, {_folder(run[0]).name}", [run]) for run in runs]


def _folder(result: Any) -> Path:
    folder = Path(result.path or ".").parent
    return folder.parent if folder.name == "checkpoints" else folder
