"""Who writes what a run publishes: this thread, or one beside it while training goes on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

Job = Callable[[], None]


class Inline:
    """Does each job at once."""

    def submit(self, job: Job) -> None:
        """Do a job; raises what it raises."""
        job()

    def drain(self) -> None:
        """Wait for nothing."""


class Background:
    """Does jobs on one thread, in their order, at most one ahead: memory for two captures."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="publish")
        self._last: Future[None] | None = None

    def submit(self, job: Job) -> None:
        """Wait for the job before, then leave this one to the thread; raises what that one did."""
        self.drain()
        self._last = self._thread.submit(job)

    def drain(self) -> None:
        """Wait until everything is done; raises what the last job raised."""
        last = self._last
        if last is None:
            return
        try:
            last.result()
        finally:  # a Ctrl-C while it waits does not end the job
            if last.done():
                self._last = None
