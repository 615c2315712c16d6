"""The terminal UI: lists and measures in the background, and owns all changes of the runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textual.app import App
from textual.driver import Driver

from nccli.tui import loading
from nccli.tui.card import SMALLEST
from nccli.tui.lean import lean_driver
from nccli.tui.main import Main
from nccli.tui.messages import Measured, Pick, Scanned
from nccli.tui.palette import DARK_THEME, LIGHT_THEME, detect_look, prefers_light
from nccli.tui.state import TABS, State

WIDTHS = [(0, "-tiny"), (SMALLEST[0], "-narrow"), (100, "-wide")]  # columns and their class
HEIGHTS = [(0, "-flat"), (SMALLEST[1], "-tall"), (36, "-roomy")]  # rows and theirs
FOLLOW_SECONDS = 2.0  # between looks at the run directories; our own choice


class ViewApp(App[None]):
    """Runs on the left, tabs on the right, one epoch cursor through all of it."""

    TITLE = "nccli"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    HORIZONTAL_BREAKPOINTS = WIDTHS
    VERTICAL_BREAKPOINTS = HEIGHTS
    CSS = """
    #body { height: 1fr; }
    Main.-roomy TabBar, Main.-roomy RunList { padding: 1; }
    Main.-roomy TabBar { height: 3; }
    Main { layers: base above; }
    Main.-narrow Sidebar { display: none; layer: above; dock: left; }
    Main.-narrow.-overlay Sidebar { display: block; border-right: vkey $foreground 40%; }
    Main.-ascii Sidebar { border-right: none; }
    Main.-tiny #body, Main.-tiny Header, Main.-tiny Scrubber, Main.-tiny Footer,
    Main.-flat #body, Main.-flat Header, Main.-flat Scrubber, Main.-flat Footer { display: none; }
    Main.-tiny Card, Main.-flat Card { display: block; }
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        tab: str | None = None,
        follow_seconds: float = FOLLOW_SECONDS,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.paths = tuple(paths)
        self.session = State(tab=tab or TABS[0])
        self._scanning = False
        self._follow_seconds = follow_seconds
        self.main = Main(self.session, self.paths)
        self.register_theme(DARK_THEME)
        self.register_theme(LIGHT_THEME)
        self.theme = (LIGHT_THEME if prefers_light(os.environ) else DARK_THEME).name
        self._choose_look()

    def get_driver_class(self) -> type[Driver]:
        """The platform's driver, sparing the line it writes to."""
        return lean_driver(super().get_driver_class())

    def get_default_screen(self) -> Main:
        """The one screen."""
        return self.main

    def on_mount(self) -> None:
        """Paint the skeleton; the runs are listed in the background."""
        self.theme_changed_signal.subscribe(self, lambda _: self._choose_look())
        self.set_interval(self._follow_seconds, self._look_again)
        self.call_after_refresh(self._scan)

    @property
    def idle(self) -> bool:
        """Whether everything that the screen wants has been listed and measured."""
        state = self.session
        return state.scanned and not state.measuring and loading.next_file(state) is None

    # --- listing and measuring ------------------------------------------------------------------

    def _scan(self) -> None:
        if not self._scanning:
            self._scanning = True
            loading.start_scan(self.paths, self.post_message)

    def _look_again(self) -> None:
        if self.session.follow:
            self._scan()

    def _measure_next(self) -> None:
        found = loading.next_file(self.session)
        if found is not None and self.session.measuring is None:
            self.session.measuring = found[1]
            loading.start_measuring(*found, self.post_message)

    def on_scanned(self, message: Scanned) -> None:
        """The directories were listed."""
        self._scanning = False
        self.session.absorb(message.listed, message.problem)
        self._go_on()

    def on_measured(self, message: Measured) -> None:
        """One more checkpoint is known."""
        self.session.record(message.key, message.saved, message.outcome)
        self._go_on()

    def on_pick(self, message: Pick) -> None:
        """A run was picked, or unpicked."""
        self.session.toggle(message.key)
        self._go_on()

    def _go_on(self) -> None:
        self._measure_next()
        self.main.renew()

    # --- switches -------------------------------------------------------------------------------

    def action_follow(self) -> None:
        """Watch the run directories, or no longer."""
        self.session.follow = not self.session.follow
        self._look_again()
        self.main.renew()

    def action_light(self) -> None:
        """Light or dark colours."""
        self.theme = (LIGHT_THEME if self.current_theme.dark else DARK_THEME).name

    def action_help_quit(self) -> None:
        """Ctrl-C: say how to leave."""
        self.notify("q quits", timeout=2)

    def _choose_look(self) -> None:
        stream = sys.__stderr__
        self.session.look = detect_look(
            os.environ,
            encoding=None if stream is None else stream.encoding,
            colour=not self.no_color,
            light=not self.current_theme.dark,
        )
        if self.is_running:
            self.main.renew()
