"""A series made drawable: points in runs that no gap interrupts, and the spread around them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from nccli.charts.parts import Series
from nccli.charts.scale import Scale
from nccli.charts.view import Point, View

Runs = tuple[tuple[Point, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """The spread at one x. On a log axis `low` may be zero or less: down to the bottom."""

    x: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """`runs` are the stretches of points in view; `last` the last finite y there, drawable or not.

    `paths` are the stretches that lines join, points out of view among them. `hidden` are the
    finite points in view that a log axis cannot show (zero or negative): the x axis holds them.
    """

    label: str
    kind: int
    runs: Runs
    paths: Runs
    spread: tuple[Stroke, ...]
    last: float | None
    hidden: tuple[float, ...]  # their x

    @property
    def is_whole(self) -> bool:
        """Whether every point is in view for certain: nothing was cut."""
        return self.runs is self.paths

    @property
    def points(self) -> list[Point]:
        """All points in view, in order."""
        return [point for run in self.runs for point in run]


def curve(series: Series, view: View) -> Curve:
    """Split a series at its gaps: None, NaN, inf, and what a log axis cannot show."""
    paths: list[list[Point]] = [[]]
    last, hidden = None, []
    for x, y in zip(series.x, series.y, strict=True):
        if y is not None and view.draws(x, y):
            paths[-1].append((float(x), float(y)))
        else:
            paths.append([])
        if y is not None and view.holds(x) and math.isfinite(y):
            last = float(y)
            if not view.draws(x, y) and not (view.x_log and x <= 0):
                hidden.append(float(x))
    kept = runs = tuple(tuple(path) for path in paths if path)
    if view.x_range:
        runs = tuple(
            part for path in kept for part in _runs(path, [view.holds(x) for x, _ in path])
        )
    return Curve(
        label=series.label,
        kind=series.kind,
        runs=runs,
        paths=kept,
        spread=tuple(_strokes(series, view)),
        last=last,
        hidden=tuple(hidden),
    )


def between_ends(one: Curve, scale: Scale) -> Curve:
    """The curve without the points beyond the ends of the y axis."""
    held = tuple(
        run
        for whole in one.runs
        for run in _runs(whole, [scale.low <= scale.inner(y) <= scale.high for _, y in whole])
    )
    return replace(one, runs=held, last=held[-1][-1][1] if held else None)


def _runs(path: Sequence[Point], shown: Sequence[bool]) -> Iterator[tuple[Point, ...]]:
    """The stretches of a path that are shown."""
    run: list[Point] = []
    for point, here in zip(path, shown, strict=True):
        if here:
            run.append(point)
        elif run:
            yield tuple(run)
            run = []
    if run:
        yield tuple(run)


def _strokes(series: Series, view: View) -> Iterator[Stroke]:
    """The spreads of the points in view, lower end first."""
    rows = zip(series.x, series.y, series.low, series.high, strict=False)
    for x, y, low, high in rows:  # none at all without both ends
        if y is None or low is None or high is None:
            continue
        finite = math.isfinite(low) and math.isfinite(high)
        low, high = min(low, high), max(low, high)
        if finite and view.holds(x) and view.draws(x, y) and view.draws(x, high):
            yield Stroke(x=float(x), low=float(low), high=float(high))
