"""What a terminal too small for anything else shows: the values at the cursor, as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nccli.charts import mark, series_style
from nccli.render import shown
from nccli.tui.painted import Painted
from nccli.tui.palette import tint
from nccli.tui.readings import label
from nccli.tui.rows import Line, Row
from nccli.tui.state import State

SMALLEST = (30, 8)  # columns and rows under which there is only this


class Card(Painted):
    """Name, epoch, a line a group."""

    DEFAULT_CSS = """
    Card { display: none; height: 1fr; }
    """

    def __init__(self, state: State, number: Callable[[], str], **options: Any) -> None:
        super().__init__(state, **options)
        self._number = number

    def paint(self, width: int, height: int) -> Sequence[Row]:
        """The rows, most important first."""
        state, key = self.session, self._number()
        look = state.look
        epoch = "" if state.epoch is None else f" epoch {state.epoch}"
        rows = [Line(width, look).add(f"{label(key)}{epoch}", tint(look, "strong")).row()]
        for group in state.groups:
            value = shown(group.value(key, state.epoch))
            words = f"{mark(group.kind, look)} {value} {group.name}"
            rows.append(Line(width, look).add(words, series_style(group.kind, look)).row())
        columns, lines = SMALLEST
        hint = f"nccli needs {columns}x{lines}; q quits"
        return [*rows, Line(width, look).add(hint, tint(look, "note")).row()][:height]
