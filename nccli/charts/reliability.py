"""Reliability diagrams: accuracy against confidence, bin by bin, above a log-count strip."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nccli.charts.bars import Bar, bars_of, columns_of
from nccli.charts.canvas import DOTS_HIGH, DOTS_WIDE, Canvas, Dots, row_of
from nccli.charts.card import empty_card, small_card, too_small
from nccli.charts.frame import glyphs
from nccli.charts.lettering import decimal, fit
from nccli.charts.palette import bold, ink, layered, mark, series_style
from nccli.charts.parts import Binned, Chart, Look
from nccli.charts.spark import eighths

NAME = "confidence"
LEFT = 6  # "log n" and the axis
QUARTERS = (0.0, 1.0, 0.5, 0.25, 0.75)  # ticks, most deserving first
TALL = 14  # from this height the count strip has two rows
SLIVER = 1 / 16  # less of a cell than this is rounded away


@dataclass(frozen=True, slots=True, kw_only=True)
class Shades:
    """The fills of a reliability diagram."""

    bar: str
    over: str
    under: str
    caps: str  # low, middle and high in the cell


BLOCKS = Shades(bar="█", over="▒", under="▓", caps="▁━▔")
SEVEN_BIT = Shades(bar="#", over=":", under="%", caps="===")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Where the bars lie on the canvas, in cells, and how they look."""

    columns: int
    rows: int
    kind: int
    look: Look
    top: int = 1
    left: int = LEFT

    @property
    def shades(self) -> Shades:
        """Block elements, or their 7-bit stand-ins."""
        return SEVEN_BIT if self.look.ascii else BLOCKS


def reliability_chart(
    bins: Sequence[Binned],
    *,
    title: str,
    width: int,
    height: int,
    kind: int = 0,
    look: Look = Look(),  # noqa: B008 - frozen
) -> Chart:
    """Solid bar: accuracy; `▒` over-confident gap, `▓` under-confident gap; cap: confidence.

    The dotted diagonal is perfect calibration; a star on the axis marks a bin whose accuracy lies
    outside its band of chance. Bins that hold nothing are drawn empty; those too narrow for a
    column of their own are drawn as the bin they make together. `kind` is the marker and colour
    of the run; ECE, MCE and n belong in the caller's `title`.
    """
    heading = f"{mark(kind, look)} {title}"
    if too_small(width, height):
        return small_card(heading, (), width=width, height=height, look=look)
    strip = 2 if height >= TALL else 1
    columns, rows = columns_of(bins, width - LEFT), height - 3 - strip
    plot = Plot(columns=columns, rows=rows, kind=kind, look=look)
    bars = bars_of(bins, columns, rows)
    if not bars:
        reason = "nothing to draw: every bin is empty"
        return empty_card(heading, reason, width=width, height=height, look=look)
    canvas = Canvas(width, height)
    _draw_title(canvas, title, plot)
    _draw_axes(canvas, plot)
    _draw_diagonal(canvas, plot)
    for bar in bars:
        _draw_bar(canvas, plot, bar)
    _draw_counts(canvas, plot, bars, strip)
    _draw_beyond(canvas, plot, bars)
    return canvas.chart()


# --- frame ----------------------------------------------------------------------------------


def _draw_title(canvas: Canvas, title: str, plot: Plot) -> None:
    """Marker, title, and on the right as much of the legend as fits."""
    look, style = plot.look, bold(series_style(plot.kind, plot.look))
    canvas.put(0, 0, mark(plot.kind, look), style)
    text = fit(title, canvas.width - 2, look)
    canvas.put(2, 0, text, ink(look, "title"))
    shades = plot.shades
    gaps = [(shades.over, "over", "over"), (shades.under, "under", "under")]
    full = [(shades.bar, "accuracy", ""), (shades.caps[1], "confidence", "cap"), *gaps]
    for entries in (full, gaps):
        length = sum(len(word) + 4 for _, word, _ in entries)
        if 2 + len(text) + length <= canvas.width:
            _draw_legend(canvas, canvas.width - length + 2, entries, plot)
            return


def _draw_legend(
    canvas: Canvas, column: int, entries: Sequence[tuple[str, str, str]], plot: Plot
) -> None:
    """Glyph and word for each entry; role "" is the run's own colour."""
    for glyph, word, role in entries:
        style = ink(plot.look, role) if role else series_style(plot.kind, plot.look)
        canvas.put(column, 0, glyph, style)
        canvas.put(column + 2, 0, word, ink(plot.look, "note"))
        column += len(word) + 4


def _draw_axes(canvas: Canvas, plot: Plot) -> None:
    """Accuracy upwards and confidence across, both from 0 to 1 in quarters."""
    line, style = glyphs(plot.look), ink(plot.look, "axis")
    bottom = plot.top + plot.rows
    for row in range(plot.top, bottom):
        canvas.put(plot.left - 1, row, line.up, style)
    canvas.put(plot.left - 1, bottom, line.corner + line.across * plot.columns, style)
    taken: list[int] = []
    for value in QUARTERS:
        row = row_of(value, plot.rows)
        if all(abs(row - other) >= 2 for other in taken):
            taken.append(row)
            _draw_level(canvas, plot, value, plot.top + row)
    _draw_x_ticks(canvas, plot, bottom)


def _draw_level(canvas: Canvas, plot: Plot, value: float, row: int) -> None:
    """One y tick and its faint grid line."""
    line, label = glyphs(plot.look), _label(value)
    canvas.put(plot.left - 1 - len(label), row, label, ink(plot.look, "axis"))
    canvas.put(plot.left - 1, row, line.tick_up, ink(plot.look, "axis"))
    if not plot.look.ascii:
        canvas.put(plot.left, row, line.grid * plot.columns, ink(plot.look, "grid"))


def _draw_x_ticks(canvas: Canvas, plot: Plot, bottom: int) -> None:
    """The quarters that fit, and the name of the axis after or else before the last one."""
    line, style = glyphs(plot.look), ink(plot.look, "axis")
    free = plot.columns // 4
    for value in QUARTERS if free >= 6 else QUARTERS[:2]:
        column = plot.left + min(plot.columns - 1, round(value * plot.columns))
        label = _label(value)
        canvas.put(column, bottom, line.tick_across, style)
        canvas.put(column - len(label) // 2, bottom + 1, label, style)
    end = plot.left + plot.columns
    if end + 1 + len(NAME) <= canvas.width:
        canvas.put(end + 1, bottom + 1, NAME, ink(plot.look, "note"))
    elif free >= len(NAME) + 6:
        canvas.put(end - 3 - len(NAME), bottom + 1, NAME, ink(plot.look, "note"))


def _label(value: float) -> str:
    return decimal(value, 2).rstrip("0").rstrip(".") or "0"


def _draw_diagonal(canvas: Canvas, plot: Plot) -> None:
    """Perfect calibration, dotted so that it stays a hint."""
    dots = Dots()
    wide, high = plot.columns * DOTS_WIDE - 1, plot.rows * DOTS_HIGH - 1
    for x in range(0, wide + 1, 2):
        dots.add((x, round((1 - x / wide) * high)))
    canvas.trace(dots, plot.left, plot.top, ink(plot.look, "note"), plot.look)


# --- bars -----------------------------------------------------------------------------------


def _draw_bar(canvas: Canvas, plot: Plot, bar: Bar) -> None:
    """One bin from the bottom up: solid, gap, and the cap over both."""
    width = min(bar.stop, plot.columns) - bar.start
    for floor in range(plot.rows):
        drawn = _cap(plot, bar, floor) or _fill(plot, bar, floor)
        if drawn:
            glyph, style = drawn
            row = plot.top + plot.rows - 1 - floor
            canvas.put(plot.left + bar.start, row, glyph * width, style)


def _fill(plot: Plot, bar: Bar, floor: int) -> tuple[str, str] | None:
    """Glyph and style of the cell from height `floor` to `floor + 1`; None leaves it bare."""
    solid, upper = (min(1.0, max(0.0, edge - floor)) for edge in (bar.solid, bar.upper))
    colour, shades = series_style(plot.kind, plot.look), plot.shades
    role = "over" if bar.over else "under"
    if solid >= 1 - SLIVER:
        return shades.bar, colour
    if solid >= SLIVER and not plot.look.ascii:
        tint = ink(plot.look, f"{role} tint") if upper - solid >= 0.5 * (1 - solid) else ""
        return _part(solid), layered(colour, tint)
    if solid >= 0.5:
        return shades.bar, colour
    if upper - solid >= 0.5:
        return (shades.over if bar.over else shades.under), ink(plot.look, role)
    return None


def _cap(plot: Plot, bar: Bar, floor: int) -> tuple[str, str] | None:
    """The mark of mean confidence, in one of three heights, over what lies around it."""
    if bar.confidence is None or floor != min(plot.rows - 1, int(bar.confidence)):
        return None
    inside = bar.confidence - floor
    third = min(2, int(inside * 3))
    return plot.shades.caps[third], layered(ink(plot.look, "cap"), _behind(plot, bar, floor, third))


def _behind(plot: Plot, bar: Bar, floor: int, third: int) -> str:
    """What fills most of the cap's cell: below a high cap, above a low one."""
    if plot.look.ascii:
        return ""
    probe = floor + (0.25 if third == 2 else 0.75)
    if probe < bar.solid:
        return series_style(plot.kind, plot.look)
    if probe < bar.upper:
        return ink(plot.look, "over tint" if bar.over else "under tint")
    return ""


def _part(share: float) -> str:
    """A block of eighths from the bottom of the cell."""
    return eighths(Look())[min(7, max(0, round(share * 8) - 1))]


def _draw_beyond(canvas: Canvas, plot: Plot, bars: Sequence[Bar]) -> None:
    """A star on the axis below each bin that chance does not explain."""
    bottom, style = plot.top + plot.rows, ink(plot.look, "over")
    for bar in bars:
        if bar.beyond:
            middle = (bar.start + min(bar.stop, plot.columns) - 1) // 2
            canvas.put(plot.left + middle, bottom, "*", style)


def _draw_counts(canvas: Canvas, plot: Plot, bars: Sequence[Bar], rows: int) -> None:
    """How many samples each bin holds, on a log scale; one sample is already visible."""
    look, top = plot.look, plot.top + plot.rows + 2
    canvas.put(0, top, "log n", ink(look, "note"))
    most = math.log1p(max(bar.count for bar in bars))
    for bar in bars:
        level = max(1, round(math.log1p(bar.count) / most * rows * 8))
        width = min(bar.stop, plot.columns) - bar.start
        for floor in range(rows):
            part = min(8, level - floor * 8)
            if part > 0:
                row = top + rows - 1 - floor
                glyph = eighths(look)[part - 1] * width
                canvas.put(plot.left + bar.start, row, glyph, ink(look, "count"))
