"""The frame of a line chart: how the cells are shared out, title row, axes, ticks and grid."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from nccli.charts.canvas import DOTS_HIGH, DOTS_WIDE, Canvas, Dot, row_of
from nccli.charts.lettering import clean, fit
from nccli.charts.palette import ink
from nccli.charts.parts import Look
from nccli.charts.scale import Axis, Tick

ENDS = 2  # the first two ticks of an axis are its ends
LEGIBLE = 4  # cells below which a cut axis name says nothing
APART = 2  # rows from one tick label to the next, the ends excepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """The characters axes are made of."""

    across: str
    up: str
    corner: str
    tick_up: str
    tick_across: str
    grid: str
    cursor: str
    crossing: str
    reference: str
    broken: str


BOX = Glyphs(
    across="─", up="│", corner="└", tick_up="┤", tick_across="┬",
    grid="┈", cursor="┊", crossing="┼", reference="╌", broken="✗",
)  # fmt: skip
SEVEN_BIT = Glyphs(
    across="-", up="|", corner="+", tick_up="+", tick_across="+",
    grid="-", cursor=":", crossing="+", reference="=", broken="x",
)  # fmt: skip


def glyphs(look: Look) -> Glyphs:
    """Box drawing, or its 7-bit stand-ins."""
    return SEVEN_BIT if look.ascii else BOX


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where the plot lies on the canvas (cells) and the axes that fill it.

    `left` counts the cells before the plot (labels and axis), `top` the rows above it.
    """

    left: int
    columns: int
    rows: int
    x: Axis
    y: Axis
    look: Look
    top: int = 1

    def spotter(self) -> Callable[[float, float], Dot]:
        """`spot` with everything worked out once, for very many points."""
        across, down = self.x.scale.sharer(), self.y.scale.sharer()
        wide, high = self.columns * DOTS_WIDE - 1, self.rows * DOTS_HIGH - 1
        return lambda x, y: (round(across(x) * wide), round((1 - down(y)) * high))

    def spot(self, x: float, y: float) -> Dot:
        """The braille dot of a place in the inner units of both axes, from the top left corner."""
        across = round(self.x.scale.share(x) * (self.columns * DOTS_WIDE - 1))
        down = round((1 - self.y.scale.share(y)) * (self.rows * DOTS_HIGH - 1))
        return across, down

    def column(self, share: float) -> int:
        """Plot column at a share of the x axis."""
        return round(share * (self.columns * DOTS_WIDE - 1)) // DOTS_WIDE

    def row(self, share: float) -> int:
        """Plot row at a share of the y axis."""
        return row_of(share, self.rows)


def draw_title(canvas: Canvas, title: str, notes: Sequence[str], tag: str, look: Look) -> None:
    """Title on the left, scale tag on the right, notes between them where there is room."""
    room = canvas.width - len(tag) - 2
    text = fit(title, room, look)
    canvas.put(0, 0, text, ink(look, "title"))
    start = canvas.width - len(tag)
    canvas.put(start, 0, tag, ink(look, "note"))
    for note in notes:
        words = clean(note, look)
        if len(text) + 2 + len(words) + 2 <= start:
            start -= len(words) + 2
            canvas.put(start, 0, words, ink(look, "note"))


def draw_y_axis(canvas: Canvas, frame: Frame) -> None:
    """The axis line, tick labels right-aligned against it, a faint grid line at each tick."""
    look, line = frame.look, glyphs(frame.look)
    style = ink(look, "axis")
    for row in range(frame.rows):
        canvas.put(frame.left - 1, frame.top + row, line.up, style)
    for tick, row in _y_ticks(frame):
        canvas.put(frame.left - 1, frame.top + row, line.tick_up, style)
        canvas.put(frame.left - 1 - len(tick.label), frame.top + row, tick.label, style)
        if 0 < row < frame.rows - 1:
            _draw_grid_line(canvas, frame, frame.top + row)


def _draw_grid_line(canvas: Canvas, frame: Frame, row: int) -> None:
    """One faint line; sparse in ASCII, where it must not pass for a curve."""
    step = 3 if frame.look.ascii else 1
    grid = glyphs(frame.look).grid
    for column in range(step - 1, frame.columns, step):
        canvas.put(frame.left + column, row, grid, ink(frame.look, "grid"))


def draw_x_axis(canvas: Canvas, frame: Frame, x_label: str, cursor: Tick | None) -> None:
    """The axis line, tick labels under it, the axis name at its end, the cursor's x in bold."""
    look, line = frame.look, glyphs(frame.look)
    row = frame.top + frame.rows
    style = ink(look, "axis")
    canvas.put(frame.left - 1, row, line.corner + line.across * frame.columns, style)
    ticks = [*frame.x.ticks[:ENDS], *([cursor] if cursor else []), *frame.x.ticks[ENDS:]]
    end = 0
    for tick, start in _x_ticks(frame, ticks, canvas.width):
        at = frame.left + frame.column(frame.x.scale.share(tick.at))
        canvas.put(at, row, line.tick_across, style)
        canvas.put(start, row + 1, tick.label, ink(look, "title") if tick is cursor else style)
        end = max(end, start + len(tick.label))
    name = fit(x_label, canvas.width - end - 1, look)
    if len(name) >= min(LEGIBLE, len(x_label)):
        canvas.put(end + 1, row + 1, name, ink(look, "note"))
    if cursor:
        at = frame.left + frame.column(frame.x.scale.share(cursor.at))
        canvas.put(at, row, line.crossing, ink(look, "cursor"))


def draw_broken(canvas: Canvas, frame: Frame, broken: Sequence[float]) -> None:
    """A cross on the x axis where a file could not be read, over any tick there."""
    for x in broken:
        at = frame.left + frame.column(frame.x.scale.place(x))
        cross = glyphs(frame.look).broken
        canvas.put(at, frame.top + frame.rows, cross, ink(frame.look, "broken"))


def draw_cursor(canvas: Canvas, frame: Frame, cursor: Tick | None) -> None:
    """The dashed vertical line; whatever is drawn after it covers it."""
    if cursor is None:
        return
    column = frame.left + frame.column(frame.x.scale.share(cursor.at))
    for row in range(frame.top, frame.top + frame.rows):
        canvas.put(column, row, glyphs(frame.look).cursor, ink(frame.look, "cursor"))


def _y_ticks(frame: Frame) -> Iterator[tuple[Tick, int]]:
    """The ticks that keep their distance, most deserving first, with their rows."""
    ends: list[int] = []
    inside: list[int] = []
    for tick in frame.y.ticks:
        row = frame.row(frame.y.scale.share(tick.at))
        if row in ends or any(abs(row - other) < APART for other in inside):
            continue
        (ends if len(ends) < ENDS else inside).append(row)
        yield tick, row


def _x_ticks(frame: Frame, ticks: Sequence[Tick], width: int) -> Iterator[tuple[Tick, int]]:
    """The ticks whose labels stay a blank apart, most deserving first, with their start column."""
    taken: list[tuple[int, int]] = []
    starts = [_label_start(frame, tick, width) for tick in ticks]
    if len(frame.x.ticks) >= ENDS:
        starts[:ENDS] = _ends_apart(starts, [len(tick.label) for tick in ticks], width)
    for tick, start in zip(ticks, starts, strict=True):
        length = len(tick.label)
        if all(start > stop or start + length < other for other, stop in taken):
            taken.append((start, start + length))
            yield tick, start


def _label_start(frame: Frame, tick: Tick, width: int) -> int:
    """Where a label starts to stand centred under its tick, or as nearly as there is room."""
    middle = frame.left + frame.column(frame.x.scale.share(tick.at))
    length = len(tick.label)
    return max(0, min(middle - length // 2, width - length))


def _ends_apart(starts: Sequence[int], lengths: Sequence[int], width: int) -> list[int]:
    """Starts of the labels of both ends, which are always shown: pushed apart if they collide."""
    second = max(starts[1], min(starts[0] + lengths[0] + 1, width - lengths[1]))
    return [max(0, min(starts[0], second - lengths[0] - 1)), second]
