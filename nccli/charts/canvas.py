"""A grid of cells to draw on, and braille dots (2 wide, 4 high per cell) for thin lines."""

from nccli.charts.parts import Chart, Look, Span

DOTS_WIDE = 2
DOTS_HIGH = 4
BRAILLE = 0x2800
BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # [dot row][dot column]

# bits of one side of a cell, from the first of its dot rows to the last
STROKES = [
    [[sum(BITS[row][side] for row in range(first, last + 1)) for last in range(DOTS_HIGH)]
     for first in range(DOTS_HIGH)]
    for side in range(DOTS_WIDE)
]  # fmt: skip

Cell = tuple[int, int]  # column, row
Dot = tuple[int, int]  # dot column, dot row


def row_of(share: float, rows: int) -> int:
    """The row (0 on top) of a height in [0, 1], the same for curves, ticks and labels."""
    return round((1 - share) * (rows * DOTS_HIGH - 1)) // DOTS_HIGH


def cell_of(dot: Dot) -> Cell:
    """The cell a dot lies in."""
    return dot[0] // DOTS_WIDE, dot[1] // DOTS_HIGH


class Dots:
    """The dots of one series. Bits merge in here only, so that two series never blend."""

    def __init__(self) -> None:
        self.bits: dict[Cell, int] = {}  # of each cell with a dot in it

    def add(self, dot: Dot) -> None:
        """Set one dot."""
        x, y = dot
        cell = cell_of(dot)
        bit = BITS[y % DOTS_HIGH][x % DOTS_WIDE]
        self.bits[cell] = self.bits.get(cell, 0) | bit

    def line(self, start: Dot, end: Dot) -> None:
        """Set the dots from `start` to `end`, one per step along the longer side."""
        (left, top), bits = start, self.bits
        wide, high = end[0] - left, end[1] - top
        steps = max(abs(wide), abs(high), 1)
        for step in range(steps + 1):
            x = left + (2 * wide * step + steps) // (2 * steps)  # integer rounding
            y = top + (2 * high * step + steps) // (2 * steps)
            cell = (x // DOTS_WIDE, y // DOTS_HIGH)  # `add` itself would cost as much again
            bits[cell] = bits.get(cell, 0) | BITS[y % DOTS_HIGH][x % DOTS_WIDE]

    def stroke(self, x: int, top: int, bottom: int) -> None:
        """Set the dots of one column from `top` to `bottom`, a cell at a time."""
        column, side = x // DOTS_WIDE, x % DOTS_WIDE
        for row in range(top // DOTS_HIGH, bottom // DOTS_HIGH + 1):
            first, last = (
                max(top - row * DOTS_HIGH, 0),
                min(bottom - row * DOTS_HIGH, DOTS_HIGH - 1),
            )
            cell = (column, row)
            self.bits[cell] = self.bits.get(cell, 0) | STROKES[side][first][last]


class Canvas:
    """`width` x `height` cells; whatever falls outside is clipped."""

    def __init__(self, width: int, height: int) -> None:
        self.width = max(0, width)
        self.height = max(0, height) if width > 0 else 0
        self._glyphs = [[" "] * self.width for _ in range(self.height)]
        self._styles = [[""] * self.width for _ in range(self.height)]

    def put(self, column: int, row: int, text: str, style: str = "") -> None:
        """Write single-cell characters from (column, row) to the right."""
        if not 0 <= row < self.height:
            return
        end = column + len(text)
        if column >= 0 and end <= self.width:  # nearly always
            self._glyphs[row][column:end] = text
            self._styles[row][column:end] = [style] * len(text)
            return
        for at, glyph in enumerate(text, column):
            if 0 <= at < self.width:
                self._glyphs[row][at] = glyph
                self._styles[row][at] = style

    def trace(self, dots: Dots, left: int, top: int, style: str, look: Look, bar: str = "") -> None:
        """Draw the dots of a series from a corner on; `bar`: this glyph in place of each cell's."""
        for (across, down), bits in dots.bits.items():
            column, row = left + across, top + down
            if 0 <= row < self.height and 0 <= column < self.width:
                glyph = bar or ("." if look.ascii else chr(BRAILLE + bits))
                self._glyphs[row][column] = glyph
                self._styles[row][column] = style

    def chart(self) -> Chart:
        """The finished picture, equal styles joined into spans."""
        rows = (_spans(*pair) for pair in zip(self._glyphs, self._styles, strict=True))
        return Chart(rows=tuple(rows), width=self.width)


def _spans(glyphs: list[str], styles: list[str]) -> tuple[Span, ...]:
    """One row as spans. Blanks take the style before them: fewer escapes over SSH."""
    end = _visible_length(glyphs, styles)
    if not end:
        return ()
    spans: list[Span] = []
    start, current = 0, styles[0]
    filled = " on " in current
    for at in range(1, end):
        style = styles[at]
        if style == current or (not style and glyphs[at] == " " and not filled):
            continue
        spans.append(Span("".join(glyphs[start:at]), current))
        start, current, filled = at, style, " on " in style
    return (*spans, Span("".join(glyphs[start:end]), current))


def _visible_length(glyphs: list[str], styles: list[str]) -> int:
    """Cells up to the last one that shows ink or a filled background."""
    length = len(glyphs)
    while length and glyphs[length - 1] == " " and " on " not in styles[length - 1]:
        length -= 1
    return length
