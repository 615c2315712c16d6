"""Line charts: curves over epochs, and eigenvalue spectra by rank."""

import math
from collections.abc import Iterator, Sequence

from nccli.charts.axes import cursor_tick, on_axis, x_axis, y_axis
from nccli.charts.canvas import Canvas
from nccli.charts.card import empty_card, small_card, too_small
from nccli.charts.curves import Curve, between_ends, curve
from nccli.charts.frame import (
    Frame,
    draw_broken,
    draw_cursor,
    draw_title,
    draw_x_axis,
    draw_y_axis,
    glyphs,
)
from nccli.charts.lettering import clean, short
from nccli.charts.palette import bold, ink, mark, series_style
from nccli.charts.parts import Chart, Look, Reference, Series
from nccli.charts.scale import Axis
from nccli.charts.tags import Tag, fit_tags, place_tags
from nccli.charts.traces import draw_traces
from nccli.charts.view import Range, View
from nccli.text import plural

CHROME_ROWS = 3  # title, x axis, x tick labels
NARROWEST_PLOT = 10
ROOM_FOR_X_LABEL = 40
LOG_LACKS = "nothing above 0 for a log axis"
TAG_GAP = 2  # cells between the plot and the direct labels


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    width: int,
    height: int,
    x_label: str = "epoch",
    y_log: bool = True,
    x_log: bool = False,
    cursor: float | None = None,
    references: Sequence[Reference] = (),
    look: Look = Look(),  # noqa: B008 - frozen
    lines: bool = True,
    x_range: Range | None = None,
    y_range: Range | None = None,
    fit: bool = False,
    broken: Sequence[float] = (),
) -> Chart:
    """Curves as braille lines with a marker on each point, labelled where they end.

    `width` x `height` in cells. `cursor` is an x value, shown as a dashed line behind the
    curves. `lines=False` draws points only. A crowded curve (more than 0.6 points per column)
    marks only every few cells, and always its first, last, lone and cursor points.

    `x_range` shows only that stretch of x, and fits the y axis to it; `y_range` sets the y axis,
    so that charts can share one: its ends are rounded outward as always. What lies beyond is cut
    off at the border, and labels tell the last value in view. `fit` keeps references from
    stretching the y axis. `broken` are x values without a readable file, crossed on the x axis.
    Raises ValueError on a range that is not finite or not low end first.
    """
    view = View(x_log=x_log, y_log=y_log, x_range=x_range, y_range=y_range)
    every = [curve(one, view) for one in series]
    if too_small(width, height):
        values = [(_summary(o, look), series_style(o.kind, look)) for o in _in_view(every, view)]
        return small_card(title, values, width=width, height=height, look=look)
    rows = height - CHROME_ROWS
    found = _on_y_axis(every, () if fit else references, view, rows, look)
    if isinstance(found, str):
        return empty_card(title, found, width=width, height=height, look=look)
    curves, y = found
    tags = [*_curve_tags(curves, y, look), *_reference_tags(references, y, look)]
    texts = fit_tags(tags, _tag_room(width, y), look)
    columns = _columns(width, y, texts, clean(x_label, look))
    x = x_axis(every, broken, view, columns=columns, look=look)
    frame = Frame(left=_left(y), columns=columns, rows=rows, x=x, y=y, look=look)
    canvas = Canvas(width, height)
    draw_title(canvas, title, _notes(curves), _scale_tag(x_log, y_log), look)
    draw_y_axis(canvas, frame)
    tick = cursor_tick(cursor, x.scale, look)
    draw_x_axis(canvas, frame, x_label, tick)
    draw_broken(canvas, frame, on_axis(broken, view))
    _draw_references(canvas, frame, references)
    draw_cursor(canvas, frame, tick)
    draw_traces(canvas, frame, curves, cursor if tick else None, lines=lines)
    for tag in place_tags(tags, texts, frame.rows, ink(look, "note")):
        canvas.put(frame.left + columns + TAG_GAP, frame.top + tag.row, tag.text, tag.style)
    return canvas.chart()


# --- what is in view ------------------------------------------------------------------------


def _on_y_axis(
    curves: Sequence[Curve], references: Sequence[Reference], view: View, rows: int, look: Look
) -> tuple[Sequence[Curve], Axis] | str:
    """The curves in view and their y axis, or why there is nothing to draw."""
    reason = _why_empty(curves, view)
    if reason:
        return reason
    y = y_axis(curves, references, view, rows=rows, look=look)
    if view.y_range:
        curves = [between_ends(one, y.scale) for one in curves]
        if not any(one.runs for one in curves):
            return f"no point between {_ends(view.y_range)} on the y axis"
    return _in_view(curves, view), y


def _in_view(curves: Sequence[Curve], view: View) -> Sequence[Curve]:
    """The curves to label: all of them, or in a stretch those that come into view."""
    if view.x_range is None and view.y_range is None:
        return curves
    return [one for one in curves if one.last is not None]


def _why_empty(curves: Sequence[Curve], view: View) -> str:
    """Why there is nothing to draw; empty where there is something."""
    if any(one.runs for one in curves):
        beneath = view.y_log and view.y_range is not None and view.y_range[1] <= 0
        return LOG_LACKS if beneath else ""
    if not curves:
        return "nothing to draw: no series"
    if any(one.hidden for one in curves):
        return LOG_LACKS
    if view.x_range and any(one.paths for one in curves):
        return f"no point between {_ends(view.x_range)}"
    return "nothing to draw: no finite values"


def _ends(ends: Range) -> str:
    return " and ".join(map(short, ends))


# --- layout ---------------------------------------------------------------------------------


def _left(y: Axis) -> int:
    """Cells before the plot: the widest tick label and the axis."""
    return 1 + max(len(tick.label) for tick in y.ticks)


def _tag_room(width: int, y: Axis) -> int:
    """Cells a direct label may take: two fifths, but the plot comes first."""
    return min(width * 2 // 5, width - _left(y) - NARROWEST_PLOT - TAG_GAP)


def _columns(width: int, y: Axis, texts: Sequence[str], x_label: str) -> int:
    """Cells across the plot; narrow charts give the x label no room of its own."""
    right = TAG_GAP + max(map(len, texts), default=0)
    if width >= ROOM_FOR_X_LABEL:
        right = max(right, min(len(x_label) + TAG_GAP, width // 5))
    return max(1, width - _left(y) - right)


# --- words ----------------------------------------------------------------------------------


def _curve_tags(curves: Sequence[Curve], y: Axis, look: Look) -> Iterator[Tag]:
    for one in curves:
        yield Tag(
            marker=mark(one.kind, look),
            label=one.label,
            value=_last(one),
            style=bold(series_style(one.kind, look)),
            share=_share(y, one.last),
        )


def _reference_tags(references: Sequence[Reference], y: Axis, look: Look) -> Iterator[Tag]:
    """A reference outside the axis keeps its label, with an arrow towards where it lies."""
    up, down = "^v" if look.ascii else "↑↓"
    for one in references:
        if not math.isfinite(one.value):
            continue
        side = _side(one.value, y)
        marker = {0: glyphs(look).reference, 1: up, -1: down}[side]
        yield Tag(
            marker=marker,
            label=one.label,
            value=short(one.value),
            style=ink(look, "reference"),
            share=_share(y, one.value),
        )


def _share(y: Axis, value: float | None) -> float:
    """Height of a value; the bottom for what has no place on the axis."""
    if value is None or (y.scale.log and value <= 0):
        return 0.0
    return y.scale.place(value)


def _side(value: float, y: Axis) -> int:
    """0 for a value on the axis, 1 above it, -1 below it."""
    if y.scale.log and value <= 0:
        return -1
    inner = y.scale.inner(value)
    return (inner > y.scale.high) - (inner < y.scale.low)


def _last(one: Curve) -> str:
    return "no data" if one.last is None else short(one.last)


def _summary(one: Curve, look: Look) -> str:
    return f"{mark(one.kind, look)} {one.label} {_last(one)}"


def _scale_tag(x_log: bool, y_log: bool) -> str:
    if x_log:
        return "log-log" if y_log else "log x"
    return "log" if y_log else "linear"


def _notes(curves: Sequence[Curve]) -> list[str]:
    """What the picture alone would not say."""
    heights = [y for one in curves for _, y in one.points]
    hidden = sum(len(one.hidden) for one in curves)
    notes = [f"{plural(hidden, 'point')} ≤ 0 not shown"] if hidden else []
    if len(heights) == 1:
        notes.append("one point")
    elif len(set(heights)) == 1:
        notes.append("constant")
    return notes


# --- drawing --------------------------------------------------------------------------------


def _draw_references(canvas: Canvas, frame: Frame, references: Sequence[Reference]) -> None:
    dash = glyphs(frame.look).reference
    for one in references:
        if math.isfinite(one.value) and _side(one.value, frame.y) == 0:
            row = frame.top + frame.row(frame.y.scale.place(one.value))
            canvas.put(frame.left, row, dash * frame.columns, ink(frame.look, "reference"))
