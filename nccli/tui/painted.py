"""The widget all others are made of: rows of spans, of which only changed cells are sent.

Over SSH this is what a step of the epoch cursor costs: the cells that moved, not the screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import zip_longest
from typing import Any

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from nccli.tui.rows import Row
from nccli.tui.state import State


class Painted(Widget):
    """A widget that draws rows of spans from the state; `renew` after the state has changed."""

    def __init__(self, state: State, **options: Any) -> None:
        super().__init__(**options)
        self.session = state
        self._rows: tuple[Row, ...] = ()
        self._size_drawn: Size | None = None
        self._look_drawn = state.look

    def paint(self, width: int, height: int) -> Sequence[Row]:
        """The rows of the picture, from top to bottom."""
        raise NotImplementedError

    def renew(self) -> None:
        """Draw again; only the cells that differ are marked for sending."""
        if not self.is_attached or not self.size:
            self._size_drawn = None  # not on the screen: drawn when it is
            return
        before, size, look = self._rows, self._size_drawn, self._look_drawn
        self._draw()
        if look != self._look_drawn or size != self._size_drawn:
            self.refresh()  # what was hidden comes back in its old size: Textual has kept its lines
        elif changed := changed_regions(before, self._rows):
            self.refresh(*changed)

    def plain(self) -> str:
        """The picture without styles."""
        return "\n".join("".join(span.text for span in row).rstrip() for row in self._rows)

    def render_line(self, y: int) -> Strip:
        """One row, on the widget's own background."""
        if self.content_size != self._size_drawn:
            self._draw()
        spans = self._rows[y] if y < len(self._rows) else ()
        segments = [Segment(span.text, Style.parse(span.style)) for span in spans]
        width = self.content_size.width
        return Strip(segments).adjust_cell_length(width).apply_style(self.rich_style)

    def _draw(self) -> None:
        size = self.content_size
        self._size_drawn, self._look_drawn = size, self.session.look
        self._rows = tuple(self.paint(size.width, size.height))[: size.height]


def changed_regions(before: Sequence[Row], after: Sequence[Row]) -> list[Region]:
    """The stretch of each row that holds its differences.

    One a row: Textual sends what is dirty from the left edge of its widget, each time.
    """
    regions = []
    for y, (old, new) in enumerate(zip_longest(before, after, fillvalue=())):
        if old != new and (stretch := _difference(_cells(old), _cells(new))):
            left, right = stretch
            regions.append(Region(left, y, right - left, 1))
    return regions


def _cells(row: Row) -> list[tuple[str, str]]:
    """Character and style of each cell; the second half of a wide character is empty."""
    cells: list[tuple[str, str]] = []
    for text, style in ((span.text, span.style) for span in row):
        if text.isascii():
            cells += [(character, style) for character in text]
            continue
        for character in text:
            cells.append((character, style))
            cells += [("", style)] * (_width(character) - 1)
    return cells


_width = cache(cell_len)  # of one character: a screen has some hundred different ones


def _difference(
    old: Sequence[tuple[str, str]], new: Sequence[tuple[str, str]]
) -> tuple[int, int] | None:
    """First differing column, and the one after the last."""
    pairs = zip_longest(old, new, fillvalue=(" ", ""))
    unequal = [x for x, (one, other) in enumerate(pairs) if one != other]
    return (unequal[0], unequal[-1] + 1) if unequal else None
