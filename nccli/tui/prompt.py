"""A line to type into, over the screen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input

from nccli.tui.painted import Painted
from nccli.tui.palette import tint
from nccli.tui.rows import Line, Row
from nccli.tui.state import State


class Question(Painted):
    """The line above the one to type into."""

    DEFAULT_CSS = """
    Question { height: 1; background: $surface; padding: 0 1; }
    """

    def __init__(self, state: State, words: str, **options: Any) -> None:
        super().__init__(state, **options)
        self._words = words

    def paint(self, width: int, height: int) -> list[Row]:
        """The one row."""
        del height
        return [
            Line(width, self.session.look).add(self._words, tint(self.session.look, "note")).row()
        ]


class Prompt(ModalScreen[str | None]):
    """Gives the text typed, None where the user went back."""

    BINDINGS = [("escape", "dismiss(None)", "back")]  # noqa: RUF012 - Textual reads it from the class
    DEFAULT_CSS = """
    Prompt { align: center bottom; }
    Prompt Input { height: 1; width: 1fr; padding: 0 1; background: $panel; }
    """

    def __init__(self, state: State, words: str, text: str = "") -> None:
        super().__init__()
        self._question = Question(state, words)
        self._input = Input(text, compact=True)
        self._input.cursor_blink = False  # an idle screen sends nothing

    def compose(self) -> Iterator[Widget]:
        """The question, and the line under it."""
        yield self._question
        yield self._input

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter: done."""
        self.dismiss(event.value)


def read_level(text: str) -> float | None:
    """A threshold: a finite number, else None."""
    try:
        level = float(text)
    except ValueError:
        return None
    return level if math.isfinite(level) else None
