"""What a line chart draws inside its frame: spread, lines and markers, in this order."""

from collections.abc import Sequence
from itertools import accumulate, islice, pairwise

from nccli.charts.canvas import Canvas, Cell, Dot, Dots, cell_of
from nccli.charts.curves import Curve, Stroke
from nccli.charts.frame import Frame, glyphs
from nccli.charts.palette import faint, mark, series_style
from nccli.charts.scale import Scale
from nccli.charts.view import Point, Range, cut

CROWDED = 0.6  # points per column; above it, marking every point hides the line
MARKER_GAP = 8  # dots (4 columns, 2 rows) between the markers of a crowded curve
LONELY = 4  # dots to both neighbours from which a point of a crowded curve keeps its marker


def draw_traces(
    canvas: Canvas, frame: Frame, curves: Sequence[Curve], cursor: float | None, *, lines: bool
) -> None:
    """Everything that belongs to a series; markers last, so that nothing hides them."""
    draw_spread(canvas, frame, curves)
    spot, x_inner, y_inner = frame.spotter(), frame.x.scale.inner, frame.y.scale.inner
    places = [[spot(x_inner(x), y_inner(y)) for x, y in one.points] for one in curves]
    draw_lines(canvas, frame, curves, places, lines=lines)
    draw_markers(canvas, frame, curves, places, cursor, lines=lines)


# --- spread ---------------------------------------------------------------------------------


def draw_spread(canvas: Canvas, frame: Frame, curves: Sequence[Curve]) -> None:
    """A thin stroke from low to high at each point; drawn first, it hides no curve."""
    spot = frame.spotter()
    for one in curves:
        dots = Dots()
        for stroke in one.spread:
            ends = _ends(stroke, frame.y.scale)
            if ends:
                x = frame.x.scale.inner(stroke.x)
                column, bottom = spot(x, ends[0])
                dots.stroke(column, spot(x, ends[1])[1], bottom)
        bar = glyphs(frame.look).up if frame.look.ascii else ""
        canvas.trace(dots, frame.left, frame.top, faint(one.kind, frame.look), frame.look, bar)


def _ends(stroke: Stroke, scale: Scale) -> Range | None:
    """Both ends in inner units, clipped to the axis; None where the stroke lies beyond it."""
    beneath = scale.log and stroke.low <= 0
    low = scale.low if beneath else max(scale.low, scale.inner(stroke.low))
    high = min(scale.high, scale.inner(stroke.high))
    return (low, high) if low <= high else None


# --- lines ----------------------------------------------------------------------------------


def draw_lines(
    canvas: Canvas,
    frame: Frame,
    curves: Sequence[Curve],
    every: Sequence[Sequence[Dot]],
    *,
    lines: bool,
) -> None:
    """Braille lines, or bare dots; where curves share a cell the later one shows."""
    for one, all_places in zip(curves, every, strict=True):
        dots, left = Dots(), iter(all_places)
        for run in one.runs:
            places = list(islice(left, len(run)))
            for place in places:
                dots.add(place)
            if lines and one.is_whole:
                for start, end in pairwise(places):
                    dots.line(start, end)
        if lines and not one.is_whole:
            _join_cut(dots, frame, one)
        style = series_style(one.kind, frame.look)
        canvas.trace(dots, frame.left, frame.top, style, frame.look)


def _join_cut(dots: Dots, frame: Frame, one: Curve) -> None:
    """Lines from point to point, cut where they leave the plot: slower than without a cut."""
    x_scale, y_scale = frame.x.scale, frame.y.scale
    for path in one.paths:
        places = [(x_scale.inner(x), y_scale.inner(y)) for x, y in path]
        for segment in pairwise(places):
            seen = cut(segment, x_scale, y_scale)
            if seen:
                dots.line(frame.spot(*seen[0]), frame.spot(*seen[1]))


# --- markers --------------------------------------------------------------------------------


def draw_markers(
    canvas: Canvas,
    frame: Frame,
    curves: Sequence[Curve],
    places: Sequence[Sequence[Dot]],
    cursor: float | None,
    *,
    lines: bool,
) -> None:
    """Markers on the points. Where curves meet they take turns, so that none hides another."""
    claims: dict[Cell, list[int]] = {}
    for one, dots in zip(curves, places, strict=True):
        for cell in _marked_cells(frame, one, dots, cursor, lines=lines):
            claims.setdefault(cell, []).append(one.kind)
    turn = 0
    for (column, row), kinds in sorted(claims.items()):
        kind = kinds[turn % len(kinds)]
        turn += len(kinds) > 1
        style = series_style(kind, frame.look)
        canvas.put(frame.left + column, frame.top + row, mark(kind, frame.look), style)


def _marked_cells(
    frame: Frame, one: Curve, dots: Sequence[Dot], cursor: float | None, *, lines: bool
) -> set[Cell]:
    """Cells that get a marker: all, or when crowded those some way from the one before."""
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
