"""The two axes of a line chart: what each has to hold, and how far references may stretch it."""

import math
from collections.abc import Sequence

from nccli.charts.curves import Curve
from nccli.charts.parts import Look, Reference
from nccli.charts.scale import Axis, Scale, Tick, end_tick, step_axis, value_axis
from nccli.charts.view import Range, View


def y_axis(
    curves: Sequence[Curve], references: Sequence[Reference], view: View, *, rows: int, look: Look
) -> Axis:
    """The y axis for what is in view, stretched to references that do not squeeze it.

    With a `y_range` it holds that and nothing else.
    """
    log, values = view.y_log, _heights(curves, log=view.y_log)
    if view.y_range:
        values = list(_positive(view.y_range, values) if log else view.y_range)
    else:
        values += [r.value for r in references if _within_reach(r.value, values, log=log)]
    room = max(2, rows // 2 if log else rows // 3)
    return value_axis(values, log=log, room=room, look=look)


def x_axis(
    curves: Sequence[Curve], broken: Sequence[float], view: View, *, columns: int, look: Look
) -> Axis:
    """The x axis for all points and broken files, or for just the `x_range`.

    A `y_range` does not narrow it: points above or below still count.
    """
    log = view.x_log
    points = [x for one in curves for path in one.paths for x, _ in path if view.holds(x)]
    points += [x for one in curves for x in one.hidden]
    values = points + on_axis(broken, view)
    ends = view.x_range
    if ends and log:
        ends = _positive(ends, values)
    return step_axis(values, log=log, columns=columns, look=look, ends=ends)


def on_axis(broken: Sequence[float], view: View) -> list[float]:
    """The broken x values that have a place in view."""
    return [float(x) for x in broken if view.holds(x) and not (view.x_log and x <= 0)]


def cursor_tick(cursor: float | None, scale: Scale, look: Look) -> Tick | None:
    """The cursor as a tick, if it lies on the x axis."""
    if cursor is None or not math.isfinite(cursor) or (scale.log and cursor <= 0):
        return None
    inner = scale.inner(cursor)
    return end_tick(scale, cursor, look) if scale.low <= inner <= scale.high else None


def _heights(curves: Sequence[Curve], *, log: bool) -> list[float]:
    """Every y in view and both ends of its spread; the axis is not stretched to what it lacks."""
    points = [y for one in curves for _, y in one.points]
    ends = [end for one in curves for stroke in one.spread for end in (stroke.low, stroke.high)]
    return points + [end for end in ends if not log or end > 0]


def _positive(ends: Range, values: Sequence[float]) -> Range:
    """A range for a log axis: one that starts at zero or below starts at the lowest value."""
    low, high = ends
    if low > 0:
        return ends
    return min((value for value in values if value <= high), default=high), high


def _within_reach(value: float, values: Sequence[float], *, log: bool) -> bool:
    """Whether an axis stretched to `value` leaves the data a third of it or more."""
    if not math.isfinite(value) or (log and value <= 0):
        return False
    low, high = min(values), max(values)
    if log:
        value, low, high = math.log10(value), math.log10(low), math.log10(high)
    span = high / 2 - low / 2
    beyond = max(value / 2 - high / 2, low / 2 - value / 2)
    return span == 0 or beyond <= 2 * span
