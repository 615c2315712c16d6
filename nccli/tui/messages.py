"""What the background threads and the screen tell the app."""

from __future__ import annotations

from pathlib import Path

from textual.message import Message
from textual.widget import Widget

from nccli.tui.entry import Outcome, Saved
from nccli.tui.state import Listed


class Scanned(Message):
    """The run directories were listed."""

    def __init__(self, listed: tuple[Listed, ...], problem: str | None) -> None:
        super().__init__()
        self.listed = listed
        self.problem = problem


class Measured(Message):
    """One checkpoint was measured, or could not be."""

    def __init__(self, key: Path, saved: Saved, outcome: Outcome) -> None:
        super().__init__()
        self.key = key
        self.saved = saved
        self.outcome = outcome


class Chosen(Message):
    """A chart, a number or a claim was clicked."""

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.widget = widget


class Pick(Message):
    """A run is to be picked, or unpicked."""

    def __init__(self, key: Path) -> None:
        super().__init__()
        self.key = key
