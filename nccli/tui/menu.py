"""A few choices, one in focus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textual.events import Click
from textual.geometry import Size

from nccli.tui.painted import Painted
from nccli.tui.palette import tint
from nccli.tui.rows import Line, Row, over
from nccli.tui.state import State

WIDEST = 64
NAME = 6  # cells of a choice's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One line of a menu."""

    key: str
    name: str
    means: str
    possible: bool = True


class Menu(Painted):
    """A title, the choices, and the keys under them."""

    DEFAULT_CSS = """
    Menu { width: 1fr; height: auto; background: $surface; padding: 1 2; }
    """

    def __init__(self, state: State, title: str, choices: Sequence[Choice], **options: Any) -> None:
        super().__init__(state, **options)
        self.styles.max_width = WIDEST
        self._title = title
        self._choices = choices
        self._at = 0

    @property
    def chosen(self) -> str | None:
        """The choice in focus; None where it is not possible here."""
        choice = self._choices[self._at] if self._choices else None
        return choice.key if choice is not None and choice.possible else None

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Title, blank, choices, blank, keys."""
        del container, viewport, width
        return len(self._choices) + 4

    def move(self, steps: int) -> None:
        """To another choice."""
        self._at = max(0, min(len(self._choices) - 1, self._at + steps))
        self.renew()

    def paint(self, width: int, height: int) -> Sequence[Row]:
        """The rows."""
        del height
        look = self.session.look
        rows: list[Row] = [Line(width, look).add(self._title, tint(look, "title")).row(), ()]
        for place, choice in enumerate(self._choices):
            style = tint(look, "strong" if choice.possible else "note")
            line = Line(width, look).add(f" {choice.name}", style).to(NAME)
            row = line.add(choice.means, tint(look, "note")).row()
            rows.append(over(row, tint(look, "selected"), width) if place == self._at else row)
        hint = (
            "^v choose  enter write  esc close"
            if look.ascii
            else "↑↓ choose  enter write  esc close"
        )
        return [*rows, (), Line(width, look).add(hint, tint(look, "note")).row()]

    def on_click(self, event: Click) -> None:
        """A click puts the choice in focus."""
        place = event.y - 3
        if 0 <= place < len(self._choices):
            self._at = place
            self.renew()
