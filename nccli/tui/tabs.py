"""The tabs with their bar, and the notice that stands in for them while there is nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from textual.containers import Vertical
from textual.widget import Widget

from nccli.tui.calibration import Calibration
from nccli.tui.collapse import Collapse
from nccli.tui.files import Files
from nccli.tui.gram import Gram
from nccli.tui.hessian import Hessian
from nccli.tui.notes import Notes
from nccli.tui.notice import Notice, words
from nccli.tui.overview import Overview
from nccli.tui.pane import Pane
from nccli.tui.state import State
from nccli.tui.tab_bar import TabBar


class Tabs(Vertical):
    """One pane a tab; the state says which is open."""

    DEFAULT_CSS = """
    Tabs { width: 1fr; height: 1fr; }
    """

    def __init__(self, state: State, paths: Sequence[Path], **options: Any) -> None:
        super().__init__(**options)
        self.session = state
        self.bar = TabBar(state)
        self.notice = Notice(state, paths)
        self.panes: dict[str, Pane] = {
            "overview": Overview(state),
            "collapse": Collapse(state),
            "hessian": Hessian(state),
            "calibration": Calibration(state),
            "gram": Gram(state),
            "files": Files(state),
            "notes": Notes(state),
        }

    def compose(self) -> Iterator[Widget]:
        """Bar, notice, and the open pane; the first frame does not wait for the others."""
        yield self.bar
        yield self.notice
        yield self.pane

    def on_mount(self) -> None:
        """After the first frame: the other panes."""
        self.call_after_refresh(self._complete)

    def _complete(self) -> None:
        missing = [pane for pane in self.panes.values() if not pane.is_attached]
        if missing and self.is_attached:
            self.mount_all(missing)

    @property
    def pane(self) -> Pane:
        """The pane of the open tab."""
        return self.panes[self.session.view.tab]

    @property
    def empty(self) -> bool:
        """Whether the notice stands in for the panes."""
        state = self.session
        return state.memo("empty", lambda: bool(words(state, self.notice.paths)))

    def renew(self) -> None:
        """Show what there is to show, drawn again."""
        if self.is_mounted and not self.pane.is_attached:
            self._complete()  # a key came before
        empty = self.empty
        came = self.notice.display and not empty
        self.notice.display = empty
        for name, pane in self.panes.items():
            pane.display = name == self.session.view.tab and not empty
        self.bar.renew()
        self.notice.renew()
        self.pane.renew()
        if came and self.screen.focused is None:
            self.call_after_refresh(self.pane.go)
