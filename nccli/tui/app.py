"""The terminal UI: lists and measures in the background, and owns all changes of the runs."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from textual import events
from textual.app import App
from textual.driver import Driver
from textual.geometry import Size

from nccli.tui import loading
from nccli.tui.card import SMALLEST
from nccli.tui.key_commands import KeyCommands
from nccli.tui.lean import lean_driver
from nccli.tui.main import Main
from nccli.tui.measuring import Measurer
from nccli.tui.memory import Memory
from nccli.tui.messages import Measured, Pick, Scanned
from nccli.tui.palette import DARK_THEME, LIGHT_THEME, detect_look, prefers_light
from nccli.tui.start import USUAL, Start
from nccli.tui.state import State
from nccli.tui.view import View

WIDTHS = [(0, "-tiny"), (SMALLEST[0], "-narrow"), (100, "-wide")]  # columns and their class
HEIGHTS = [(0, "-flat"), (SMALLEST[1], "-tall"), (36, "-roomy")]  # rows and theirs
FOLLOW_SECONDS = 2.0  # between looks at the run directories; our own choice
FOLLOW_SHARE = 20  # and so many times as long as a look takes, on a slow file system


class ViewApp(App[None]):
    """Runs on the left, tabs on the right, one epoch cursor through all of it."""

    TITLE = "nccli"
    COMMANDS = {KeyCommands}  # noqa: RUF012 - Textual reads it from the class
    ALLOW_SELECT = False
    HORIZONTAL_BREAKPOINTS = WIDTHS
    VERTICAL_BREAKPOINTS = HEIGHTS
    CSS = """
    CommandPalette SearchIcon { display: none; }
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
        start: Start = USUAL,
        follow_seconds: float = FOLLOW_SECONDS,
        measurer: Measurer | None = None,
        memory: Memory | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.paths = tuple(paths)
        self.memory = memory or Memory(None)
        view = View()
        view.recall(self.memory.switches)
        self._start, self._usual = start.checked(view), view.remembered
        start.apply(view)
        self.session = State(view=view, chosen=start.chosen, epoch=start.epoch, rival=start.rival)
        self.measurer = measurer or Measurer()
        self._scan_began: float | None = None  # None: no listing is under way
        self._follow_seconds = follow_seconds
        self._next_look = 0.0
        self.main = Main(self.session, self.paths)
        self.register_theme(DARK_THEME)
        self.register_theme(LIGHT_THEME)
        self._light = self.memory.light  # None until the user has chosen
        light = prefers_light(os.environ) if self._light is None else self._light
        self.theme = (LIGHT_THEME if light else DARK_THEME).name
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
        self._end_on_signals()
        self.call_after_refresh(self._scan)

    @property
    def idle(self) -> bool:
        """Whether everything that the screen wants has been listed and measured."""
        state = self.session
        return state.scanned and not state.measuring and not loading.next_jobs(state)

    # --- listing and measuring ------------------------------------------------------------------

    def _scan(self) -> None:
        if self._scan_began is None:
            self._scan_began = time.monotonic()
            loading.start_scan(self.paths, self.post_message)

    def _look_again(self) -> None:
        self._notice_size()
        if self.session.follow and time.monotonic() >= self._next_look:
            self._scan()

    def _notice_size(self) -> None:
        """Take over the terminal's size: its word that it was resized may never come through."""
        size = self.size if self.is_headless else Size(*shutil.get_terminal_size())
        if size != self.size:
            self.post_message(events.Resize(size, size))

    def measure_next(self) -> None:
        """Find out what the screen wants and has not, if nothing is under way."""
        jobs = loading.next_jobs(self.session) if self.session.measuring is None else []
        if jobs:
            self.session.measuring = jobs[0]
            loading.start_jobs(jobs, self.measurer, self.post_message)

    def on_scanned(self, message: Scanned) -> None:
        """The directories were listed."""
        now = time.monotonic()
        self._next_look = now + FOLLOW_SHARE * (now - (self._scan_began or now))
        self._scan_began = None
        if self.session.absorb(message.listed, message.problem):
            self._go_on()

    def on_measured(self, message: Measured) -> None:
        """More is known."""
        self.session.record(message.done)
        self._go_on()

    def on_wanted(self) -> None:
        """The screen shows something else."""
        self.measure_next()

    def on_pick(self, message: Pick) -> None:
        """A run was picked, or unpicked."""
        self.session.toggle(message.key)
        self._go_on()

    def _go_on(self) -> None:
        self.measure_next()
        self.main.renew()

    def _end_on_signals(self) -> None:
        """Asked to end from outside: give the terminal back first. Only where we run in one."""
        if self.is_headless or threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, partial(self.exit, return_code=128 + number))

    def on_unmount(self) -> None:
        """The end: nothing is left running, and the next session starts like this one."""
        self.measurer.close()
        switches = self._start.without(self.session.view.remembered, self._usual)
        self.memory.keep(switches, light=self._light)

    # --- switches -------------------------------------------------------------------------------

    def action_follow(self) -> None:
        """Watch the run directories, or no longer."""
        self.session.follow = not self.session.follow
        self._next_look = 0.0
        self._look_again()
        self.main.renew()

    def action_light(self) -> None:
        """Light or dark colours."""
        self._light = self.current_theme.dark
        self.theme = (LIGHT_THEME if self._light else DARK_THEME).name

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
