"""A grid of cells to draw on, and braille dots (2 wide, 4 high per cell) for thin lines."""

from collections.abc import Iterator

from nccli.charts.parts import Chart, Look, Span

DOTS_WIDE = 2
DOTS_HIGH = 4
BRAILLE = 0x2800
BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # [dot row][dot column]

Cell = tuple[int, int]  # column, row
Dot = tuple[int, int]  # dot column, dot row


def row_of(share: float, rows: int) -> int:
    """The row (0 on top) of a height in [0, 1], the same for curves, ticks and labels."""
    return round((1 - share) * (rows * DOTS_HIGH - 1)) // DOTS_HIGH


def cell_of(dot: Dot) -> Cell:
    """The cell a dot lies in."""
    return dot[0] // DOTS_WIDE, dot[1] // DOTS_HIGH


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
        for at, glyph in enumerate(text, column):
            if 0 <= at < self.width:
                self._glyphs[row][at] = glyph
                self._styles[row][at] = style

    def chart(self) -> Chart:
        """The finished picture, equal styles joined into spans."""
        rows = (_spans(*pair) for pair in zip(self._glyphs, self._styles, strict=True))
        return Chart(rows=tuple(rows), width=self.width)


class Dots:
    """The dots of one series. Bits merge in here only, so that two series never blend."""

    def __init__(self) -> None:
        self._bits: dict[Cell, int] = {}

    def add(self, dot: Dot) -> None:
        """Set one dot."""
        x, y = dot
        cell = cell_of(dot)
        bit = BITS[y % DOTS_HIGH][x % DOTS_WIDE]
        self._bits[cell] = self._bits.get(cell, 0) | bit

    def line(self, start: Dot, end: Dot) -> None:
        """Set the dots from `start` to `end`, one per step along the longer side."""
        wide, high = end[0] - start[0], end[1] - start[1]
        steps = max(abs(wide), abs(high), 1)
        for step in range(steps + 1):
            x = start[0] + (2 * wide * step + steps) // (2 * steps)  # integer rounding
            y = start[1] + (2 * high * step + steps) // (2 * steps)
            self.add((x, y))

    def cells(self, look: Look) -> Iterator[tuple[int, int, str]]:
        """Column, row and glyph of every cell with a dot in it."""
        for (column, row), bits in self._bits.items():
            yield column, row, "." if look.ascii else chr(BRAILLE + bits)


def _spans(glyphs: list[str], styles: list[str]) -> tuple[Span, ...]:
    """One row as spans. Blanks take the style before them: fewer escapes over SSH."""
    spans: list[tuple[str, str]] = []
    for glyph, style in zip(glyphs[: _visible_length(glyphs, styles)], styles, strict=False):
        text, current = spans[-1] if spans else ("", style)
        joins = style == current or (glyph == " " and not style and " on " not in current)
        if spans and joins:
            spans[-1] = (text + glyph, current)
        else:
            spans.append((glyph, style))
    return tuple(Span(text, style) for text, style in spans)


def _visible_length(glyphs: list[str], styles: list[str]) -> int:
    """Cells up to the last one that shows ink or a filled background."""
    length = len(glyphs)
    while length and glyphs[length - 1] == " " and " on " not in styles[length - 1]:
        length -= 1
    return length
