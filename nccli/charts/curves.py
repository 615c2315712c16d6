"""A series made drawable: its points, in runs that no gap interrupts."""

import math
from dataclasses import dataclass

from nccli.charts.parts import Series

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """`runs` are the drawable stretches of a series; `last` its last finite y, drawable or not.

    `hidden` counts finite points that a log axis cannot show (zero or negative).
    """

    label: str
    kind: int
    runs: tuple[tuple[Point, ...], ...]
    last: float | None
    hidden: int

    @property
    def points(self) -> list[Point]:
        """All drawable points, in order."""
        return [point for run in self.runs for point in run]


def curve(series: Series, *, y_log: bool, x_log: bool) -> Curve:
    """Split a series at its gaps: None, NaN, inf, and what a log axis cannot show."""
    runs: list[list[Point]] = [[]]
    last, hidden = None, 0
    for x, y in zip(series.x, series.y, strict=True):
        finite = y is not None and math.isfinite(y) and math.isfinite(x)
        if y is not None and finite:
            last = float(y)
        if y is not None and finite and not (y_log and y <= 0) and not (x_log and x <= 0):
            runs[-1].append((float(x), float(y)))
            continue
        hidden += finite
        runs.append([])
    kept = tuple(tuple(run) for run in runs if run)
    return Curve(label=series.label, kind=series.kind, runs=kept, last=last, hidden=hidden)
