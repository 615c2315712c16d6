"""A chart of `nccli.charts` on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nccli.charts import Span
from nccli.tui.messages import Chosen
from nccli.tui.painted import Painted
from nccli.tui.palette import tint
from nccli.tui.pictures import Picture
from nccli.tui.rows import Row
from nccli.tui.state import State


class ChartView(Painted):
    """One picture that can be in focus; `number` is what `i` explains and the scrubber reads."""

    DEFAULT_CSS = """
    ChartView { padding: 0 1 0 0; }
    """

    def __init__(self, state: State, picture: Picture, number: str | None, **options: Any) -> None:
        super().__init__(state, **options)
        self.picture = picture
        self.number = number
        self.note = ""  # behind the title
        self.active = False  # whether the cursor is on it

    def on_click(self) -> None:
        """A click puts the cursor on it."""
        self.post_message(Chosen(self))

    def text(self) -> str:
        """The picture as a text of its own: glyphs where the screen has colours, no focus."""
        state, before = self.session, self.session.look
        state.look = replace(before, colour=False)
        try:
            size = self.content_size
            return self.picture.draw("", max(1, size.width - 1), max(1, size.height)).plain()
        finally:
            state.look = before

    def paint(self, width: int, height: int) -> Sequence[Row]:
        """The rows of the chart, behind a bar where it is in focus.

        Not a border of Textual's: that one lays out and sends the whole screen again.
        """
        look = self.session.look
        bar = ("|" if look.ascii else "▌") if self.active else " "
        gutter = Span(bar, tint(look, "note"))
        rows = self.picture.draw(self.note, width - 1, height).rows
        return [(gutter, *row) for row in (*rows, *[()] * (height - len(rows)))]
