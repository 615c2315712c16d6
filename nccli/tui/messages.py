"""What the background threads and the screen tell the app."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual.message import Message
from textual.widget import Widget

from nccli.tui.findings import Job, Outcome
from nccli.tui.state import Listed


class Scanned(Message):
    """The run directories were listed."""

    def __init__(self, listed: tuple[Listed, ...], problem: str | None) -> None:
        super().__init__()
        self.listed = listed
        self.problem = problem


class Measured(Message):
    """Jobs that are done, with what each has found out or why it could not."""

    def __init__(self, done: Sequence[tuple[Job, Outcome]]) -> None:
        super().__init__()
        self.done = done


class Wanted(Message):
    """The screen shows something else, which may have to be found out."""


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
