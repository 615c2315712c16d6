"""The line of tabs."""

from __future__ import annotations

from collections.abc import Sequence

from textual.events import Click
from textual.message import Message

from nccli.tui.keys import CURVES
from nccli.tui.painted import Painted
from nccli.tui.palette import tint
from nccli.tui.rows import Line, Row
from nccli.tui.view import MODES, TABS

FULL, ROOMY = 74, 80  # columns for the words of all tabs, and for wider gaps between them


class TabBar(Painted):
    """`1 Overview   2 Collapse   3 Hessian   4 Calibration`, the current one underlined."""

    DEFAULT_CSS = """
    TabBar { height: 1; padding: 0 1; }
    """

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, tab: str) -> None:
            super().__init__()
            self.tab = tab

    def paint(self, width: int, height: int) -> Sequence[Row]:
        """The one row."""
        del height
        look = self.session.look
        line = Line(width, look)
        for start, words, tab in self._labels(width):
            here = tab == self.session.view.tab
            line.to(start).add(words, tint(look, "here" if here else "note"))
        return [line.flush_right([(self._shown(), tint(look, "note"))]).row()]

    def _shown(self) -> str:
        """How the open tab shows things, where that is not the plain way."""
        state, view = self.session, self.session.view
        curves = view.tab in CURVES
        words: list[str] = [view.mode] if view.tab in MODES and len(state.groups) > 1 else []
        words += [f"epochs ×{2**view.zoom}"] if view.zoom and curves else []
        words += ["fit"] if view.fit and curves else []
        words += ["after T"] if view.calibrated and view.tab == "calibration" else []
        return "  ".join(words)

    def _labels(self, width: int) -> list[tuple[int, str, str]]:
        """Start, words and name of each tab; the words of the others go where there is no room."""
        gap = 3 if width >= ROOMY else 2
        labels, start = [], 0
        for number, tab in enumerate(TABS, 1):
            told = width >= FULL or tab == self.session.view.tab
            words = f"{number} {tab.capitalize()}" if told else str(number)
            labels.append((start, words, tab))
            start += len(words) + gap
        return labels

    def on_click(self, event: Click) -> None:
        """A click opens the tab."""
        for start, words, tab in self._labels(self.content_size.width):
            if start <= event.x - 1 < start + len(words):
                self.post_message(self.Chosen(tab))
