"""A table whose rows can be in focus, one at a time; it scrolls to the one that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from textual.events import Click

from nccli.tui.entry import Group
from nccli.tui.listed import Listed
from nccli.tui.messages import Chosen
from nccli.tui.palette import tint
from nccli.tui.rows import Cell, Column, Line, Row, laid_out, over
from nccli.tui.state import State

Exact = Mapping[str, str | float | None]  # the values of a row, by column


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """What `i` says of a row that is no number: a title, and names with texts of any length."""

    title: str
    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What a table shows: `numbers` has the dotted name of each row, or `details` what it is."""

    columns: Sequence[Column]
    cells: Sequence[Sequence[Cell]]
    numbers: Sequence[str] = ()
    details: Sequence[Detail] = ()
    exact: Callable[[], Sequence[Exact]] | None = None  # the rows in full, for an export
    note: str = ""  # under the rows, where there is room


def side_by_side(
    state: State,
    groups: Sequence[Group],
    keys: Sequence[str],
    word: str,
    other: Callable[[str], str],
) -> list[Exact]:
    """A row a number for an export: each group's own value, and beside it, as `GROUP word`, that
    of the number that `other` names."""
    rows: list[Exact] = []
    for key in keys:
        row: dict[str, str | float | None] = {"quantity": key}
        for group in groups:
            row[group.name] = group.value(key, state.epoch)
            row[f"{group.name} {word}"] = group.value(other(key), state.epoch)
        rows.append(row)
    return rows


class NumberTable(Listed[Numbers]):
    """Rows of numbers under a header."""

    DEFAULT_CSS = """
    NumberTable { padding: 0 1; }
    """

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.content.cells)

    @property
    def number(self) -> str | None:
        """The dotted name of the row in focus."""
        numbers = self.content.numbers
        return numbers[min(self.row, len(numbers) - 1)] if numbers else None

    @property
    def detail(self) -> Detail | None:
        """What the row in focus is, where it is no number."""
        details = self.content.details
        return details[min(self.row, len(details) - 1)] if details else None

    def paint(self, width: int, height: int) -> Sequence[Row]:
        """The header, the rows in view, and how many are not."""
        look, numbers = self.session.look, self.content
        if not numbers.cells:
            return []
        header, *body = laid_out(numbers.columns, numbers.cells, width, look)
        room = height - 1
        self._scroll(len(body), room)
        shown = body[self._first : self._first + room]
        if self.active and self._first <= self.row < self._first + len(shown):
            at = self.row - self._first
            shown[at] = over(shown[at], tint(look, "selected"), width)
        if numbers.note and len(shown) + 1 < room:
            shown += [(), Line(width, look).add(numbers.note, tint(look, "note")).row()]
        return [self._counted(header, width, len(body), room), *shown]

    def _scroll(self, count: int, room: int) -> None:
        self.row = max(0, min(self.row, count - 1))
        lowest = max(0, self.row - room + 1)
        self._first = max(0, min(max(self._first, lowest), self.row, max(0, count - room)))

    def _counted(self, header: Row, width: int, count: int, room: int) -> Row:
        """The header, with how many rows lie outside the view at its end."""
        look = self.session.look
        above, below = self._first, max(0, count - room - self._first)
        if not (above or below):
            return header
        line = Line(width, look)
        for span in header:
            line.add(span.text, span.style)
        up, down = ("^", "v") if look.ascii else ("↑", "↓")
        pieces = ([f"{up}{above}"] if above else []) + ([f"{down}{below}"] if below else [])
        return line.flush_right([(" ".join(pieces), tint(look, "note"))]).row()

    def on_click(self, event: Click) -> None:
        """A click puts the row in focus."""
        place = event.y - 1 + self._first
        if event.y >= 1 and place < self.count:
            self.row = place
            self.post_message(Chosen(self))
