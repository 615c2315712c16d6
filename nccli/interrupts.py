"""Ctrl-C as KeyboardInterrupt, but never in the moment that would leave a lock locked for ever.

Python raises KeyboardInterrupt wherever the main thread happens to be. Between the taking of a
`threading.Condition` and the `with` block that gives it back, that leaves it taken: the thread
that sets the result of a future waits for it, and who joins that thread never ends.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_LOCKING = (threading.Condition.__enter__.__code__, threading.Condition.__exit__.__code__)
_A_MOMENT = 0.001  # seconds


class _Deferred:
    """An interrupt that waits for a moment; signal handlers run in the main thread only."""

    pending = False
    handler: Any = signal.SIG_DFL  # of SIGALRM, before

    def arm(self) -> None:
        self.pending = True
        self.handler = signal.getsignal(signal.SIGALRM)
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, _A_MOMENT)

    def disarm(self) -> None:
        if self.pending:
            self.pending = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self.handler or signal.SIG_DFL)


_deferred = _Deferred()


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, a moment later where a lock is being taken or given back.

    Where it is still so then, another thread has the lock, and may keep it: nothing is waited for.
    A signal handler: number and frame are what Python gives one.
    """
    del number
    if frame is not None and frame.f_code in _LOCKING and not _deferred.pending:
        _deferred.arm()
        return
    _deferred.disarm()
    raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C be `interrupt`, where it was Python's own KeyboardInterrupt."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if _deferred.pending:
            _deferred.disarm()
            raise KeyboardInterrupt
