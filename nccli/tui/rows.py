"""Rows of styled text: written from the left, cut to their width, harmless whatever a file says."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from rich.cells import cell_len, set_cell_size

from nccli.charts import Look, Span
from nccli.charts.lettering import clean
from nccli.text import visible

Row = tuple[Span, ...]
Cell = tuple[str, str]  # text, style

GAPS = (3, 2)  # cells between the columns of a table, where there is room and where not
NARROWEST_ELASTIC = 16  # cells an elastic column keeps
NARROWEST_NAME = 10  # cells the first column of a table keeps


def shown_text(text: object, look: Look) -> str:
    """Text as this terminal can show it: controls visible, 7-bit where it must be."""
    return clean(text, look) if look.ascii else visible(text)


def cut(text: object, room: int, look: Look) -> str:
    """`text`, harmless and at most `room` cells wide, with an ellipsis at the cut."""
    harmless = shown_text(text, look)
    if (len(harmless) if harmless.isascii() else cell_len(harmless)) <= room:
        return harmless
    dots = "..." if look.ascii else "…"
    if room <= len(dots):
        return dots[: max(0, room)]
    return set_cell_size(harmless, room - len(dots)) + dots


class Line:
    """One row, written from left to right and never wider than `width` cells."""

    def __init__(self, width: int, look: Look) -> None:
        self.width = max(0, width)
        self.look = look
        self.at = 0
        self._spans: list[Span] = []

    def add(self, text: object, style: str = "", *, room: int | None = None) -> Line:
        """Write text, cut where the row (or its own `room`) ends."""
        left = self.width - self.at
        piece = cut(text, left if room is None else min(room, left), self.look)
        if piece:
            self._spans.append(Span(piece, style))
            self.at += cell_len(piece)
        return self

    def to(self, column: int, style: str = "") -> Line:
        """Blanks up to a column."""
        gap = min(column, self.width) - self.at
        return self.add(" " * gap, style) if gap > 0 else self

    def flush_right(self, pieces: Sequence[Cell]) -> Line:
        """Write pieces against the right edge, if they fit whole after a blank."""
        length = sum(cell_len(shown_text(text, self.look)) for text, _ in pieces)
        if self.at + 1 + length <= self.width:
            self.to(self.width - length)
            for text, style in pieces:
                self.add(text, style)
        return self

    def row(self) -> Row:
        """The finished row."""
        return tuple(self._spans)


def over(row: Row, surface: str, width: int) -> Row:
    """A row painted on another surface (a selection), to its full width."""
    length = sum(cell_len(span.text) for span in row)
    filled = (*row, Span(" " * max(0, width - length), ""))
    return tuple(Span(span.text, f"{span.style} {surface}".strip()) for span in filled)


def wrapped(text: object, width: int, look: Look, *, style: str = "", indent: int = 0) -> list[Row]:
    """A paragraph as rows of at most `width` cells."""
    room = max(8, width - indent)
    lines = textwrap.wrap(shown_text(text, look), room, break_on_hyphens=False) or [""]
    return [Line(width, look).to(indent).add(line, style).row() for line in lines]


# --- tables -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table; where there is no room the highest `rank` goes first, 0 never."""

    title: str
    style: str = ""
    align: Literal["left", "right"] = "right"
    rank: int = 0
    widest: int | None = None  # cells at which its texts are cut
    elastic: bool = False  # its texts are cut before a column is left out


def laid_out(
    columns: Sequence[Column], cells: Sequence[Sequence[Cell]], width: int, look: Look
) -> list[Row]:
    """The rows of a table, its header first; columns that do not fit are left out."""
    kept = list(range(len(columns)))
    widths = [_width(columns, cells, index, look) for index in kept]
    gap = GAPS[0]
    _squeeze(columns, widths, sum(widths) + gap * (len(widths) - 1) - width)
    while (excess := sum(widths[i] + gap for i in kept) - gap - width) > 0:
        losers = [index for index in kept if columns[index].rank > 0]
        if gap == GAPS[0]:
            gap = GAPS[1]
        elif losers:
            kept.remove(max(losers, key=lambda index: columns[index].rank))
        else:
            break
    widths[0] = max(min(widths[0], NARROWEST_NAME), widths[0] - max(0, excess))
    header = [(column.title, f"bold {column.style}".strip()) for column in columns]
    places = dict(zip(kept, accumulate((widths[i] + gap for i in kept), initial=0), strict=False))
    return [_table_row(row, columns, places, widths, width, look) for row in [header, *cells]]


def _squeeze(columns: Sequence[Column], widths: list[int], excess: int) -> None:
    """Take what is too much from the elastic columns, as far as they go."""
    for index, column in enumerate(columns):
        if column.elastic and excess > 0:
            less = min(excess, max(0, widths[index] - NARROWEST_ELASTIC))
            widths[index] -= less
            excess -= less


def _width(
    columns: Sequence[Column], cells: Sequence[Sequence[Cell]], index: int, look: Look
) -> int:
    texts: Iterable[str] = (columns[index].title, *(row[index][0] for row in cells))
    needed = max(cell_len(shown_text(text, look)) for text in texts)
    widest = columns[index].widest
    return needed if widest is None else min(needed, widest)


def _table_row(
    row: Sequence[Cell],
    columns: Sequence[Column],
    places: Mapping[int, int],
    widths: Sequence[int],
    width: int,
    look: Look,
) -> Row:
    line = Line(width, look)
    for index, start in places.items():
        text, style = row[index]
        piece = cut(text, widths[index], look)
        spare = widths[index] - cell_len(piece) if columns[index].align == "right" else 0
        line.to(start + spare).add(piece, style)
    return line.row()
