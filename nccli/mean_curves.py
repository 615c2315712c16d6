"""Runs over their saved epochs as curves: a group averaged, two groups subtracted or divided.

The curve of several seeds is their mean (arithmetic) with the lowest and highest of them; a
difference or ratio is that of runs with the same seed, with the 95 % t-interval over the pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from nccli.charts import Series
from nccli.compare import Trajectory, seed_pairs, t_interval

Spread = tuple[float, float | None, float | None]  # middle, low, high
Change = Callable[[Sequence[tuple[float, float]]], Spread | None]


def averaged(runs: Sequence[Trajectory], key: str, *, label: str, kind: int) -> Series | None:
    """Return the mean of the runs that have a number, at the epochs that all of them have.

    None where fewer than two runs have it, or they share no epoch.
    """
    found = [series for run in runs if (series := run.series(key))]
    epochs = sorted(set.intersection(*map(set, found))) if len(found) > 1 else []
    if not epochs:
        return None
    seen = [[series[epoch] for series in found] for epoch in epochs]
    return Series(
        label=f"{label} ×{len(found)}",
        x=[float(epoch) for epoch in epochs],
        y=[math.fsum(values) / len(values) for values in seen],
        kind=kind,
        low=[min(values) for values in seen],
        high=[max(values) for values in seen],
    )


def curves(runs: Sequence[Trajectory], key: str, *, kind: int) -> list[Series]:
    """Return a group's number over the epochs: its mean, or a curve a run where there is none."""
    mean = averaged(runs, key, label=runs[0].group, kind=kind)
    if mean is not None:
        return [mean]
    found = [(run, values) for run in runs if (values := run.series(key))]
    return [
        Series(
            label=run.group if len(runs) == 1 else run.name,
            x=[float(epoch) for epoch in values],
            y=list(values.values()),
            kind=kind,
        )
        for run, values in found
    ]


def difference(
    first: Sequence[Trajectory], rival: Sequence[Trajectory], key: str, *, label: str, kind: int
) -> Series | None:
    """Return the rival's number minus the first group's, by epoch; None without a pair."""
    return _change(first, rival, key, _difference, label, kind)


def ratio(
    first: Sequence[Trajectory], rival: Sequence[Trajectory], key: str, *, label: str, kind: int
) -> Series | None:
    """Return the rival's number over the first group's, where both are positive."""
    return _change(first, rival, key, _ratio, label, kind)


def _change(
    first: Sequence[Trajectory],
    rival: Sequence[Trajectory],
    key: str,
    change: Change,
    label: str,
    kind: int,
) -> Series | None:
    every = [(one.series(key), other.series(key)) for one, other in _pairs(first, rival)]
    pairs = [(one, other) for one, other in every if one and other]
    if not pairs:
        return None
    epochs = sorted(set.intersection(*(set(one) & set(other) for one, other in pairs)))
    points = [(e, change([(one[e], other[e]) for one, other in pairs])) for e in epochs]
    told = [(epoch, spread) for epoch, spread in points if spread is not None]
    if not told:
        return None
    return Series(
        label=label,
        x=[float(epoch) for epoch, _ in told],
        y=[spread[0] for _, spread in told],
        kind=kind,
        low=[spread[1] for _, spread in told],
        high=[spread[2] for _, spread in told],
    )


def _pairs(
    first: Sequence[Trajectory], rival: Sequence[Trajectory]
) -> list[tuple[Trajectory, Trajectory]]:
    """Runs of one seed; of one run a group, those two, where no seed is told."""
    found = seed_pairs(first, rival)
    if not found and len(first) == len(rival) == 1 and None in (first[0].seed, rival[0].seed):
        return [(first[0], rival[0])]
    return found


def _difference(values: Sequence[tuple[float, float]]) -> Spread | None:
    changes = [other - one for one, other in values]
    low, high = t_interval(changes)
    return math.fsum(changes) / len(changes), low, high


def _ratio(values: Sequence[tuple[float, float]]) -> Spread | None:
    if any(min(pair) <= 0 for pair in values):
        return None
    logs = [math.log(other / one) for one, other in values]
    low, high = t_interval(logs)
    return (
        math.exp(math.fsum(logs) / len(logs)),
        None if low is None else math.exp(min(low, 700.0)),
        None if high is None else math.exp(min(high, 700.0)),
    )
