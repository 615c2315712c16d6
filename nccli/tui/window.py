"""A window over the screen: paragraphs to read, and the keys that close it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widget import Widget

from nccli.tui.keys import bindings
from nccli.tui.painted import Painted
from nccli.tui.palette import tint
from nccli.tui.rows import Line, Row
from nccli.tui.state import State

WIDEST = 78
Content = Callable[[int], Sequence[Row]]  # the rows for a width


class Page(Painted):
    """The text of a window; it scrolls where it does not fit."""

    DEFAULT_CSS = """
    Page { width: 1fr; height: auto; max-height: 100%; background: $surface; padding: 1 2; }
    """

    def __init__(self, state: State, content: Content, hint: str, **options: Any) -> None:
        super().__init__(state, **options)
        self._content = content
        self._hint = hint
        self._first = 0

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as the text has, and the hint."""
        del container, viewport
        return len(self._content(width)) + 2

    def move(self, steps: int) -> None:
        """Scroll."""
        self._first += steps
        self.renew()

    def paint(self, width: int, height: int) -> Sequence[Row]:
        """The rows in view, and the keys under them."""
        look, rows = self.session.look, list(self._content(width))
        room = max(1, height - 2)
        self._first = max(0, min(self._first, len(rows) - room))
        shown = rows[self._first : self._first + room]
        shown += [()] * (room - len(shown) + 1)
        more = len(rows) > room
        scroll = ("^v scroll  " if look.ascii else "↑↓ scroll  ") if more else ""
        return [*shown, Line(width, look).add(scroll + self._hint, tint(look, "note")).row()]


class Window(ModalScreen[None]):
    """A page in the middle of the screen."""

    BINDINGS = bindings("window")
    DEFAULT_CSS = """
    Window { align: center middle; }
    """

    def __init__(self, state: State, content: Content, *, copies: Sequence[str] = ()) -> None:
        super().__init__()
        self._copies = copies
        offers = [
            f"{key} copy {word}".rstrip() for key, word in zip("cv", ("", "view"), strict=True)
        ]
        hint = "  ".join([*offers[: len(copies)], "esc close"])
        self.page = Page(state, content, hint)
        self.page.styles.max_width = WIDEST

    def compose(self) -> Iterator[Widget]:
        """The page."""
        yield self.page

    def action_line(self, steps: int) -> None:
        """Scroll."""
        self.page.move(steps)

    def action_copy(self, place: int) -> None:
        """Copy what the window offers, if anything."""
        if place < len(self._copies):
            try:
                self.app.copy_to_clipboard(self._copies[place])
            except UnicodeEncodeError:  # a path of bytes that are no text
                self.app.notify("a path in it cannot be copied as text", severity="warning")
            self.dismiss()

    def action_choose(self) -> None:
        """A page to read has no choice: close it."""
        self.dismiss()
