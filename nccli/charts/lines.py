"""Line charts: curves over epochs, and eigenvalue spectra by rank."""

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from nccli.charts.canvas import Canvas, Cell, Dot, Dots, cell_of
from nccli.charts.card import empty_card, small_card, too_small
from nccli.charts.curves import Curve, Point, curve
from nccli.charts.frame import Frame, draw_cursor, draw_title, draw_x_axis, draw_y_axis, glyphs
from nccli.charts.lettering import clean, short
from nccli.charts.palette import bold, ink, mark, series_style
from nccli.charts.parts import Chart, Look, Reference, Series
from nccli.charts.scale import Axis, Scale, Tick, end_tick, step_axis, value_axis
from nccli.charts.tags import Tag, fit_tags, place_tags
from nccli.text import plural

CHROME_ROWS = 3  # title, x axis, x tick labels
NARROWEST_PLOT = 10
ROOM_FOR_X_LABEL = 40
CROWDED = 0.6  # points per column; above it, marking every point hides the line
MARKER_GAP = 8  # dots (4 columns, 2 rows) between the markers of a crowded curve
LONELY = 4  # dots to both neighbours from which a point of a crowded curve keeps its marker
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
) -> Chart:
    """Curves as braille lines with a marker on each point, labelled where they end.

    `width` x `height` in cells. `cursor` is an x value, shown as a dashed line behind the
    curves. `lines=False` draws points only. A crowded curve (more than 0.6 points per column)
    marks only every few cells, and always its first, last, lone and cursor points.
    """
    curves = [curve(one, y_log=y_log, x_log=x_log) for one in series]
    if too_small(width, height):
        values = [(_summary(one, look), series_style(one.kind, look)) for one in curves]
        return small_card(title, values, width=width, height=height, look=look)
    points = [point for one in curves for point in one.points]
    if not points:
        reason = _why_empty(curves)
        return empty_card(title, reason, width=width, height=height, look=look)
    y = _y_axis(points, references, log=y_log, rows=height - CHROME_ROWS, look=look)
    tags = [*_curve_tags(curves, y, look), *_reference_tags(references, y, look)]
    texts = fit_tags(tags, _tag_room(width, y), look)
    x_values = [x for x, _ in points]
    columns = _columns(width, y, texts, clean(x_label, look))
    x = step_axis(x_values, log=x_log, columns=columns, look=look)
    frame = Frame(left=_left(y), columns=columns, rows=height - CHROME_ROWS, x=x, y=y, look=look)
    canvas = Canvas(width, height)
    draw_title(canvas, title, _notes(curves, points), _scale_tag(x_log, y_log), look)
    draw_y_axis(canvas, frame)
    tick = _cursor_tick(cursor, x.scale)
    draw_x_axis(canvas, frame, x_label, tick)
    _draw_references(canvas, frame, references)
    draw_cursor(canvas, frame, tick)
    _draw_dots(canvas, frame, curves, lines=lines)
    _draw_markers(canvas, frame, curves, cursor if tick else None, lines=lines)
    for tag in place_tags(tags, texts, frame.rows, ink(look, "note")):
        canvas.put(frame.left + columns + TAG_GAP, frame.top + tag.row, tag.text, tag.style)
    return canvas.chart()


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


def _y_axis(
    points: Sequence[Point], references: Sequence[Reference], *, log: bool, rows: int, look: Look
) -> Axis:
    """The y axis for the data, stretched to references that do not squeeze them."""
    values = [y for _, y in points]
    near = [r.value for r in references if _within_reach(r.value, values, log=log)]
    room = max(2, rows // 2 if log else rows // 3)
    return value_axis([*values, *near], log=log, room=room, look=look)


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


def _notes(curves: Sequence[Curve], points: Sequence[Point]) -> list[str]:
    """What the picture alone would not say."""
    notes = []
    hidden = sum(one.hidden for one in curves)
    if hidden:
        notes.append(f"{plural(hidden, 'point')} ≤ 0 not shown")
    if len(points) == 1:
        notes.append("one point")
    elif len({y for _, y in points}) == 1:
        notes.append("constant")
    return notes


def _why_empty(curves: Sequence[Curve]) -> str:
    if not curves:
        return "nothing to draw: no series"
    if any(one.hidden for one in curves):
        return "nothing above 0 for a log axis"
    return "nothing to draw: no finite values"


# --- drawing --------------------------------------------------------------------------------


def _cursor_tick(cursor: float | None, scale: Scale) -> Tick | None:
    """The cursor as a tick, if it lies on the x axis."""
    if cursor is None or not math.isfinite(cursor) or (scale.log and cursor <= 0):
        return None
    inner = scale.inner(cursor)
    return end_tick(scale, cursor) if scale.low <= inner <= scale.high else None


def _draw_references(canvas: Canvas, frame: Frame, references: Sequence[Reference]) -> None:
    dash = glyphs(frame.look).reference
    for one in references:
        if math.isfinite(one.value) and _side(one.value, frame.y) == 0:
            row = frame.top + frame.row(frame.y.scale.place(one.value))
            canvas.put(frame.left, row, dash * frame.columns, ink(frame.look, "reference"))


def _draw_dots(canvas: Canvas, frame: Frame, curves: Sequence[Curve], *, lines: bool) -> None:
    """Braille lines, or bare dots; where curves share a cell the later one shows."""
    for one in curves:
        dots = Dots()
        for run in one.runs:
            places = [frame.dot(x, y) for x, y in run]
            for place in places:
                dots.add(place)
            if lines:
                for start, end in pairwise(places):
                    dots.line(start, end)
        style = series_style(one.kind, frame.look)
        for column, row, glyph in dots.cells(frame.look):
            canvas.put(frame.left + column, frame.top + row, glyph, style)


def _draw_markers(
    canvas: Canvas, frame: Frame, curves: Sequence[Curve], cursor: float | None, *, lines: bool
) -> None:
    """Markers on the points. Where curves meet they take turns, so that none hides another."""
    claims: dict[Cell, list[int]] = {}
    for one in curves:
        for cell in _marked_cells(frame, one, cursor, lines=lines):
            claims.setdefault(cell, []).append(one.kind)
    turn = 0
    for (column, row), kinds in sorted(claims.items()):
        kind = kinds[turn % len(kinds)]
        turn += len(kinds) > 1
        style = series_style(kind, frame.look)
        canvas.put(frame.left + column, frame.top + row, mark(kind, frame.look), style)


def _marked_cells(frame: Frame, one: Curve, cursor: float | None, *, lines: bool) -> set[Cell]:
    """Cells that get a marker: all, or when crowded those some way from the one before."""
    dots = [frame.dot(x, y) for x, y in one.points]
    if len(dots) > CROWDED * frame.columns:
        always = {0, len(dots) - 1} | _at_cursor(one.points, cursor) | _lonely(dots)
        always |= _alone(one) if lines else set()
        dots = _thinned(dots, always)
    return {cell_of(dot) for dot in dots}


def _thinned(dots: Sequence[Dot], always: set[int]) -> list[Dot]:
    """The dots at some distance from the one kept before them, and those in `always`."""
    kept = [dots[0]]
    for index, dot in enumerate(dots):
        if index in always or _distance(dot, kept[-1]) >= MARKER_GAP:
            kept.append(dot)
    return kept


def _lonely(dots: Sequence[Dot]) -> set[int]:
    """Dots with room on both sides: on a log axis the low ranks, while the bulk is crowded."""
    steps = [LONELY, *(_distance(a, b) for a, b in pairwise(dots)), LONELY]
    return {index for index, pair in enumerate(pairwise(steps)) if min(pair) >= LONELY}


def _distance(one: Dot, other: Dot) -> int:
    """In dots, which are about square."""
    return max(abs(one[0] - other[0]), abs(one[1] - other[1]))


def _at_cursor(points: Sequence[Point], cursor: float | None) -> set[int]:
    """The points at the cursor's x."""
    return {index for index, (x, _) in enumerate(points) if x == cursor}


def _alone(one: Curve) -> set[int]:
    """Points between two gaps: no line leads to them."""
    starts = accumulate((len(run) for run in one.runs), initial=0)
    return {start for start, run in zip(starts, one.runs, strict=False) if len(run) == 1}
