"""Ctrl-C and SIGTERM as a request to stop at the next good moment."""

from __future__ import annotations

import shlex
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from nccli.interrupts import interrupt

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """While entered, the first SIGINT or SIGTERM sets `requested`, a second one breaks off at once.

    Outside the main thread, where Python allows no signal handlers, it is never set by a signal.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Tell whether to stop."""
        return self.requested

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._receive) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            interrupt(number, frame)
        self.requested = True


def continuation(command: str, *, resume: bool) -> str:
    """Return the remedy for runs that `command` left unfinished: the command that continues them.

    resume: whether the command itself continues runs: with --resume, or because it always does, as
    `nccli sweep` and `nccli demo`, which have no such option.
    """
    if not resume:
        words = [word for word in shlex.split(command) if word != "--overwrite"]
        command = shlex.join([*words, "--resume"])
    return f"continue with: {command}"
