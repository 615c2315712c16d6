"""Starting the other process, and what became of it.

Forked where that is safe: a copy of this process has NumPy already. It is not where other threads
may hold a lock, nor where torch may hold a GPU; there a new interpreter is started.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import threading
import time
import warnings
from itertools import pairwise
from pathlib import Path

PIPE_BYTES = 2**20  # what Linux lets everyone have

_SPAWNED = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from nccli.reader.serve import main; main(0, 1)"
)


def start_child() -> Child:
    """Start the process that opens files, with a pipe for questions and one for answers."""
    # Inherited: Ctrl-C is for the process that prints, and it ends this one.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    ends: list[int] = []
    try:
        ends += _pipe()
        ends += _pipe()
        their_questions, questions, answers, their_answers = ends
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):
                fcntl.fcntl(answers, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        start = _fork if _may_fork() else _spawn
        child = Child(start(their_questions, their_answers), questions, answers)
        ends = [their_questions, their_answers]
        return child
    finally:
        for end in ends:
            os.close(end)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pipe() -> list[int]:
    """A pipe whose ends are not 0, 1 or 2, even where those are closed."""
    low = os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) for end in low]
    for end in low:
        os.close(end)
    return ends


class Child:
    """A process, and this side's ends of the pipes to it."""

    def __init__(self, pid: int, questions: int, answers: int) -> None:
        self.questions, self.answers = questions, answers
        self._pid = pid
        self._status: int | None = None

    def status(self) -> int | None:
        """Return the exit status, minus the signal that killed it, or None while it runs."""
        if self._status is None:
            try:
                pid, code = os.waitpid(self._pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has waited for it
                pid, code = self._pid, 0
            if pid:
                self._status = os.waitstatus_to_exitcode(code)
        return self._status

    def wait(self, *, seconds: float) -> int | None:
        """Wait for its end, as long as that; return the exit status or None."""
        deadline = time.monotonic() + seconds
        while self.status() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        return self._status

    def kill(self) -> None:
        """End it now."""
        if self.status() is None:
            os.kill(self._pid, signal.SIGKILL)

    def close(self) -> None:
        """Let it end: it does where nobody asks any more."""
        self.disown()
        if self.wait(seconds=1) is None:
            self.kill()
            self.wait(seconds=10)

    def disown(self) -> None:
        """Close the pipes."""
        for end in (self.questions, self.answers):
            if end >= 0:
                os.close(end)
        self.questions = self.answers = -1


def _may_fork() -> bool:
    alone = threading.active_count() == 1 and threading.current_thread() is threading.main_thread()
    return (alone and "torch" not in sys.modules) or not sys.executable


def _fork(questions: int, answers: int) -> int:
    import numpy as np  # the parent needs it too: the child has it for nothing

    del np
    with warnings.catch_warnings():  # BLAS has threads, and ends them before a fork
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    return pid or _served(questions, answers)


def _served(questions: int, answers: int) -> int:  # pragma: no cover - a fork that writes no file
    """Answer in a fork until nobody asks any more; never return."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGPROF):
            if callable(signal.getsignal(number)):  # what is ignored (nohup) stays so
                signal.signal(number, signal.SIG_DFL)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1) if os.environ.get("NCCLI_DEBUG") == "1" else (0, 1, 2):
            os.dup2(nowhere, descriptor)
        for low, high in _between(sorted({questions, answers})):
            os.closerange(low, high)  # what the parent has open is not for this process
        os.environ.update(_environment())
        from nccli.reader.serve import main

        main(questions, answers)
    finally:
        os._exit(0)


def _between(kept: list[int]) -> list[tuple[int, int]]:
    edges = [2, *kept, os.sysconf("SC_OPEN_MAX")]
    return [(low + 1, high) for low, high in pairwise(edges)]


def _spawn(questions: int, answers: int) -> int:
    paths = [os.fspath(path) or _here() for path in sys.path]
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_DUP2, questions, 0),
        (os.POSIX_SPAWN_DUP2, answers, 1),
    ]
    if os.environ.get("NCCLI_DEBUG") != "1":
        actions.append((os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0))
    return os.posix_spawn(
        sys.executable,
        # -P: nothing is imported from the current directory before our paths are set
        [sys.executable, "-P", "-c", _SPAWNED, json.dumps(paths)],
        os.environ | _environment(),
        file_actions=actions,
    )


def _here() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # it was deleted
        return ""


def _environment() -> dict[str, str]:
    # One BLAS thread: it multiplies nothing. No plug-ins: a file names the filter it wants.
    return {"OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
