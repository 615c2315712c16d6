"""Numbers over the epochs as curves: groups overlaid, run by run, as difference or ratio.

Made once until the data change: what moves the cursor draws them again, and no more.
"""

from __future__ import annotations

from collections.abc import Callable

from nccli import mean_curves
from nccli.charts import Series
from nccli.tui.entry import Entry, Group
from nccli.tui.readings import meaning, run_labels
from nccli.tui.state import State

Change = Callable[..., Series | None]


def overlaid(state: State, key: str) -> list[Series]:
    """A curve a group, its seeds averaged; a curve a run where they share no epoch."""
    return state.memo(("overlaid", key), lambda: _overlaid(state, key))


def run_by_run(state: State, group: Group, key: str) -> list[Series]:
    """A curve a run of one group."""
    return state.memo(("runs", group.kind, key), lambda: _run_by_run(group, key))


def differences(state: State, key: str) -> list[Series]:
    """Each further group minus the first, by epoch."""
    return state.memo(
        ("differences", key), lambda: _against_first(state, key, mean_curves.difference)
    )


def ratios(state: State, key: str) -> list[Series]:
    """Each further group over the first, by epoch, where both are positive."""
    return state.memo(("ratios", key), lambda: _against_first(state, key, mean_curves.ratio))


def trend(state: State, group: Group, key: str) -> list[float]:
    """A number of one group over the epochs: the mean of its runs, else its first run's."""
    return [y for one in _of_group(state, group, key) for y in one.y if y is not None]


def first_past(state: State, group: Group, key: str, level: float) -> int | None:
    """The first saved epoch at which a group (the mean of its runs) has come to a level.

    At or below it; for a number of which more is better, at or above it.
    """
    rises = upwards(key)
    series = _of_group(state, group, key)
    points = [point for one in series for point in zip(one.x, one.y, strict=True)]
    past = (int(x) for x, y in points if y is not None and (y >= level if rises else y <= level))
    return next(past, None)


def upwards(key: str) -> bool:
    """Whether a threshold of a number is reached from below."""
    return meaning(key).better == "higher"


def _of_group(state: State, group: Group, key: str) -> list[Series]:
    """One curve of a group: the mean of its runs, else its first run's."""
    return state.memo(
        ("group", group.kind, key),
        lambda: _averaged(group, key, "") or _run_by_run(group, key)[:1],
    )


def _overlaid(state: State, key: str) -> list[Series]:
    groups = state.groups
    short = len({group.name.partition(" ")[0] for group in groups}) == len(groups)
    found: list[Series] = []
    for group in groups:
        name = group.name.partition(" ")[0] if short and len(group.entries) > 1 else group.name
        found += _averaged(group, key, name) or _run_by_run(group, key)
    return found


def _averaged(group: Group, key: str, name: str) -> list[Series]:
    runs = group.trajectories(None) if len(group.entries) > 1 else []
    mean = mean_curves.averaged(runs, key, label=name, kind=group.kind)
    return [] if mean is None else [mean]


def _run_by_run(group: Group, key: str) -> list[Series]:
    return [
        _curve(entry, key, name, group.kind)
        for entry, name in zip(group.entries, run_labels(group), strict=True)
    ]


def _curve(entry: Entry, key: str, name: str, kind: int) -> Series:
    points = [(one.epoch, one.value(key)) for one in entry.observations if one.epoch is not None]
    return Series(
        label=name,
        x=[float(epoch) for epoch, _ in points],
        y=[value for _, value in points],
        kind=kind,
    )


def _against_first(state: State, key: str, change: Change) -> list[Series]:
    if len(state.groups) < 2:
        return []
    first, *rivals = state.groups
    runs = first.trajectories(None)
    found = [
        change(runs, rival.trajectories(None), key, label=rival.name, kind=rival.kind)
        for rival in rivals
    ]
    return [one for one in found if one is not None]
