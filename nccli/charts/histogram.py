"""Histograms: bars of counts over bins, a subset (the wrong ones, say) standing in front."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from nccli.charts.canvas import Canvas
from nccli.charts.card import empty_card, small_card, too_small
from nccli.charts.frame import Frame, draw_x_axis, draw_y_axis
from nccli.charts.lettering import clean, decimal, fit, short
from nccli.charts.palette import faint, ink, layered, mixed, series_style
from nccli.charts.parts import Chart, Counts, Look
from nccli.charts.scale import Axis, step_axis, value_axis
from nccli.charts.spark import EIGHTHS

CHROME_ROWS = 3  # title, x axis, x tick labels
ROOM_FOR_X_LABEL = 40
MOST_WASTE = 1 / 4  # of the room may stay empty to make bars of equal bins equally wide
SHORTEST_TITLE = 8  # the legend does not cut the title below this
LONGEST_LABEL = 16
SHADE_COVER = 3 / 4  # of its cell: what `▓` looks like


@dataclass(frozen=True, slots=True, kw_only=True)
class Fills:
    """The two fills, back and front: glyphs, styles, and the front's colour as its shade shows."""

    glyphs: str
    styles: tuple[str, str]
    tint: str
    look: Look

    @property
    def exact(self) -> bool:
        """Whether the front can end inside a cell: that takes a background colour."""
        return self.look.colour and not self.look.ascii


def histogram(
    edges: Sequence[float],
    counts: Sequence[Counts],
    *,
    title: str,
    width: int,
    height: int,
    x_label: str = "",
    count_log: bool = False,
    look: Look = Look(),  # noqa: B008 - frozen
) -> Chart:
    """Bars over the bins between `edges` (n + 1 rising numbers), one for each of n counts.

    One or two `counts`; the second stands in front of the first, in its own shade, so let it be
    a subset. A bin that holds anything shows at least an eighth of a cell, on a log axis too.
    Bins narrower than a column share it: it shows their mean, and the title row says so.
    Raises ValueError on edges that do not rise, or counts that do not fit them.
    """
    _check(edges, counts)
    fills = _fills(counts, look)
    if too_small(width, height):
        lines = [
            (f"{glyph} {one.label} {short(sum(one.counts))}", style)
            for one, glyph, style in zip(counts, fills.glyphs, fills.styles, strict=False)
        ]
        return small_card(title, lines, width=width, height=height, look=look)
    reason = _why_empty(edges, counts)
    if reason:
        return empty_card(title, reason, width=width, height=height, look=look)
    frame = _frame(edges, counts, clean(x_label, look), width, height, look, log=count_log)
    owners = _owners(edges, frame.columns)
    canvas = Canvas(width, height)
    most = max(map(len, owners))
    notes = [f"a column: the mean of up to {most} bins"] if most > 1 else []
    _draw_title(canvas, title, counts, fills, notes + ["log"] * count_log, look)
    draw_y_axis(canvas, frame)
    draw_x_axis(canvas, frame, x_label, None)
    for column, bins in enumerate(owners):
        means = [math.fsum(one.counts[at] / len(bins) for at in bins) for one in counts]
        back, front, *_ = (*(_level(mean, frame) for mean in means), 0)
        _draw_column(canvas, frame, column, (back, front), fills)
    return canvas.chart()


def _check(edges: Sequence[float], counts: Sequence[Counts]) -> None:
    """Raise ValueError on what cannot be a histogram."""
    if not all(map(math.isfinite, edges)) or any(low >= high for low, high in pairwise(edges)):
        raise ValueError("edges of bins must be finite and rise")
    if len(counts) > 2:
        raise ValueError(f"a histogram holds at most 2 counts, got {len(counts)}")
    for one in counts:
        if len(one.counts) != max(0, len(edges) - 1):
            found = f"{len(edges)} edges, {len(one.counts)} counts"
            raise ValueError(f"counts {one.label!r} must be one fewer than the edges, got {found}")


def _why_empty(edges: Sequence[float], counts: Sequence[Counts]) -> str:
    """Why there is nothing to draw; empty where there is something."""
    if not counts:
        return "nothing to draw: no counts"
    if len(edges) < 2:
        return "nothing to draw: no bins"
    return (
        "" if any(map(any, (o.counts for o in counts))) else "nothing to draw: every bin is empty"
    )


# --- layout ---------------------------------------------------------------------------------


def _frame(
    edges: Sequence[float],
    counts: Sequence[Counts],
    x_label: str,
    width: int,
    height: int,
    look: Look,
    *,
    log: bool,
) -> Frame:
    """Where the bars lie, and both axes."""
    rows = height - CHROME_ROWS
    y = _count_axis(counts, rows, look, log=log)
    left = 1 + max(len(tick.label) for tick in y.ticks)
    right = min(len(x_label) + 2, width // 5) if x_label and width >= ROOM_FOR_X_LABEL else 0
    columns = _columns(edges, width - left - right)
    x = step_axis(edges, log=False, columns=columns, look=look)
    # Bars fill columns from edge to edge, so a tick stands in the first cell of its bar.
    span = x.scale.high / 2 - x.scale.low / 2
    stretched = replace(x.scale, high=x.scale.high - span / columns)
    x = replace(x, scale=stretched)
    return Frame(left=left, columns=columns, rows=rows, x=x, y=y, look=look)


def _count_axis(counts: Sequence[Counts], rows: int, look: Look, *, log: bool) -> Axis:
    """From zero, or on a log axis from below the least count, to the round number above all."""
    known = [count for one in counts for count in one.counts if count > 0]
    least = min(1.0, *known)
    low = (least / 2 or least) if log else 0.0
    room = max(2, rows // 2 if log else rows // 3)
    axis = value_axis([low, max(known)], log=log, room=room, look=look)
    if log or not all(float(count).is_integer() for count in known):
        return axis
    whole = [tick for tick in axis.ticks if float(tick.at).is_integer()]
    ticks = (
        replace(tick, label=decimal(tick.at, 0)) if "." in tick.label and tick.at < 100 else tick
        for tick in whole
    )
    return replace(axis, ticks=tuple(ticks))


def _columns(edges: Sequence[float], room: int) -> int:
    """Cells across: a whole number for each of equal bins, unless that wastes much."""
    number, room = len(edges) - 1, max(1, room)
    bin_width = (edges[-1] / 2 - edges[0] / 2) / number * 2
    equal = all(abs((b - a) - bin_width) <= 1e-6 * bin_width for a, b in pairwise(edges))
    even = room // number * number
    return even if equal and even >= room * (1 - MOST_WASTE) else room


def _owners(edges: Sequence[float], columns: int) -> list[list[int]]:
    """The bins that each column shows: one, or all those too narrow for a column of their own."""
    low, span = edges[0] / 2, edges[-1] / 2 - edges[0] / 2 or 1.0  # the least floats have no half
    places = [(edge / 2 - low) / span * columns for edge in edges]
    owners: list[list[int]] = [[] for _ in range(columns)]
    for at, (start, stop) in enumerate(pairwise(places)):
        cells = range(round(start), round(stop)) or [min(columns - 1, int((start + stop) / 2))]
        for cell in cells:
            owners[cell].append(at)
    return owners


def _level(count: float, frame: Frame) -> int:
    """Height of a bar in eighths of a cell; at least one where there is anything."""
    if count <= 0:
        return 0
    return max(1, round(frame.y.scale.place(count) * frame.rows * 8))


# --- drawing --------------------------------------------------------------------------------


def _fills(counts: Sequence[Counts], look: Look) -> Fills:
    """Solid behind, shaded in front; a front of the same colour steps back, to be told apart."""
    kinds = [one.kind for one in counts] + [0, 0]
    back, front = (series_style(kind, look) for kind in kinds[:2])
    if back == front:
        front = faint(kinds[1], look) if look.colour else ""
    tint = mixed(back, front, SHADE_COVER) if look.colour else ""
    glyphs = "#x" if look.ascii else "█▓"
    return Fills(glyphs=glyphs, styles=(back, front), tint=tint, look=look)


def _draw_title(
    canvas: Canvas,
    title: str,
    counts: Sequence[Counts],
    fills: Fills,
    notes: Sequence[str],
    look: Look,
) -> None:
    """Title on the left; on the right the legend, then as many notes as fit beside both."""
    entries = [fit(one.label, LONGEST_LABEL, look) for one in counts]
    words = clean(title, look)
    length = sum(len(entry) + 4 for entry in entries)
    if canvas.width - length < min(SHORTEST_TITLE, len(words)):
        entries, length = [], 0
    text = fit(title, canvas.width - length, look)
    canvas.put(0, 0, text, ink(look, "title"))
    end = canvas.width
    for note in reversed(notes):
        if len(text) + length + len(note) + 2 <= end:
            end -= len(note) + 2
            canvas.put(end + 2, 0, note, ink(look, "note"))
    column = end - length + 2
    for entry, glyph, style in zip(entries, fills.glyphs, fills.styles, strict=False):
        canvas.put(column, 0, glyph, style)
        canvas.put(column + 2, 0, entry, ink(look, "note"))
        column += len(entry) + 4


def _draw_column(
    canvas: Canvas, frame: Frame, column: int, levels: tuple[int, int], fills: Fills
) -> None:
    """One column of cells from the bottom up; `levels` are the heights of back and front."""
    for floor in range(frame.rows):
        drawn = (_exact if fills.exact else _whole)(levels, floor, fills)
        if drawn is None:
            return
        row = frame.top + frame.rows - 1 - floor
        canvas.put(frame.left + column, row, *drawn)


def _exact(levels: tuple[int, int], floor: int, fills: Fills) -> tuple[str, str] | None:
    """Glyph and style of a cell in colours: both heights to an eighth."""
    back, front = (min(8, max(0, level - 8 * floor)) for level in levels)
    if front == 8:
        return fills.glyphs[1], layered(fills.styles[1], fills.styles[0] if back == 8 else "")
    if front and back == 8:
        return EIGHTHS[front - 1], layered(fills.tint, fills.styles[0])
    higher = max(back, front)
    if not higher:
        return None
    # Both end in this cell, which has no third colour: the front shows where it would vanish.
    in_front = front and (floor == 0 or 2 * front >= back)
    return EIGHTHS[higher - 1], fills.styles[1] if in_front else fills.styles[0]


def _whole(levels: tuple[int, int], floor: int, fills: Fills) -> tuple[str, str] | None:
    """The same without colours or in 7 bits: the front fills whole cells, at least one."""
    back, front = (max(level > 0, round(level / 8)) for level in levels)
    if floor < front:
        return fills.glyphs[1], fills.styles[1]
    if fills.look.ascii:
        return (fills.glyphs[0], fills.styles[0]) if floor < back else None
    part = min(8, levels[0] - 8 * floor)
    return (EIGHTHS[part - 1], fills.styles[0]) if part > 0 else None
