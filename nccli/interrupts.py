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

_LOCKING = (threading.Condition.__enter__.__code__, threading.Condition.__exit__.__code__)
_A_MOMENT = 0.001  # seconds


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, a moment later where a lock is being taken or given back.

    A signal handler: number and frame are what Python gives one.
    """
    del number
    if frame is not None and frame.f_code in _LOCKING:
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, _A_MOMENT)
        return
    raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C be `interrupt`, where it was Python's own KeyboardInterrupt."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGALRM)
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
