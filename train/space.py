"""Whether what all runs of a command will write fits on the disk; each run checks its own."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path

from nccli.text import file_size, plural
from train.events import Event, OnEvent


class SpaceWatch:
    """Passes events on, and warns once where the runs together need more than is free.

    Runs that have not begun are taken to need what those that have need in the mean.
    """

    def __init__(self, out: Path, *, runs: int, on_event: OnEvent) -> None:
        self._out = out
        self._runs = runs
        self._on_event = on_event
        self._needs: dict[str, int] = {}
        self._free = 0  # before the first run wrote anything
        self._warned = False
        self._one = threading.Lock()  # runs on streams of one GPU tell from threads of their own

    def __call__(self, event: Event) -> None:
        """Hear an event."""
        if event.needs is None or event.warning is not None:
            self._on_event(event)
        if event.needs is None:
            return
        with self._one:
            warning = self._heard(event.run, event.needs)
        if warning is not None:
            self._on_event(replace(event, warning=warning))

    def _heard(self, run: str, needs: int) -> str | None:
        if self._warned or self._runs == 1:
            return None
        if not self._needs:
            self._free = shutil.disk_usage(self._out).free
        self._needs[run] = needs
        known = list(self._needs.values())
        all_need = round(sum(known) / len(known) * self._runs)
        if all_need <= self._free:
            return None
        self._warned = True
        return (
            f"{self._out}: the {plural(self._runs, 'run')} will write about {file_size(all_need)}, "
            f"{file_size(self._free)} are free; runs that find no room fail"
        )
