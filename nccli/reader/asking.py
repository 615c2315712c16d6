"""The other process: the only one that opens HDF5 files, so that only it can crash, hang or burst.

It is started when the first file is read, and answers one question at a time over a pipe, in
about a millisecond, in JSON and plain numbers. It runs under limits of
memory and time; when it dies, the question at hand becomes one error, and the next question
starts it anew (`nccli.reader.child`). It imports h5py while this process imports the rest.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import struct
import threading
import time
from pathlib import Path
from typing import Any

from nccli import errors
from nccli.errors import FormatError, InputError
from nccli.reader.child import start_child
from nccli.reader.limits import Limits

HEADER = struct.Struct(">I")  # the length of the JSON that follows; then the numbers
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL,
           signal.SIGSYS)  # fmt: skip
LONGEST_POLL = 1000.0  # seconds; in milliseconds they must fit an int
MAX_ANSWER_BYTES = 64 * 2**20  # of JSON; a thousand class names of a kilobyte are one

_REMEDY = "the file is damaged or made to harm: restore or delete it"


def ask(
    question: str, path: Path, *, into: memoryview | None = None, **details: Any
) -> dict[str, Any]:
    """Return the answer to a question about a file; numbers that come with it fill `into`.

    Raises InputError (without the file's name) for what is wrong with the file, be it that reading
    it killed the other process.
    """
    asked = {"question": question, "path": str(path.absolute()), **details}
    with _lock:
        try:
            return _running().answer(asked, into)
        except _KilledError:  # by whom? the file may have nothing to do with it
            return _running().answer(asked, into)


def start() -> None:
    """Start the other process now, so that it is ready when a file is to be read."""
    with _lock:
        _running()


class _KilledError(FormatError):
    pass


class _Helper:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._child = start_child()
        self._poll = select.poll()
        self._poll.register(self._child.answers, select.POLLIN)

    @property
    def alive(self) -> bool:
        return self._child.questions >= 0 and self._child.status() is None

    def answer(self, asked: dict[str, Any], into: memoryview | None) -> dict[str, Any]:
        self._deadline = time.monotonic() + self._limits.wait_seconds
        try:
            _write_all(self._child.questions, json.dumps(asked).encode() + b"\n")
            told = self._told(into)
        except (EOFError, BrokenPipeError):
            raise self._obituary() from None
        except BaseException:  # Ctrl-C in the middle of an answer: nobody would read the rest
            self.end()
            raise
        if "error" in told:
            raise _error(told)
        return told

    def _told(self, into: memoryview | None) -> dict[str, Any]:
        header = memoryview(bytearray(HEADER.size))
        self._fill(header)
        (length,) = HEADER.unpack(header)
        if length > MAX_ANSWER_BYTES:
            raise FormatError(f"says {length:,} bytes of itself", remedy=_REMEDY)
        words = memoryview(bytearray(length))
        self._fill(words)
        told: dict[str, Any] = json.loads(bytes(words))
        if into is not None and "error" not in told:
            self._fill(into)
        return told

    def _fill(self, buffer: memoryview) -> None:
        done = 0
        while done < len(buffer):
            left = self._deadline - time.monotonic()
            if left <= 0 or not self._poll.poll(1000 * min(left, LONGEST_POLL)):
                if left > LONGEST_POLL:
                    continue
                raise FormatError(
                    f"gave no answer within {self._limits.wait_seconds} s",
                    remedy=f"is its disk slow? {self._limits.variable('wait_seconds')}=600 waits "
                    "for longer",
                )
            count = os.readv(self._child.answers, [buffer[done:]])
            if not count:
                raise EOFError
            done += count

    def _obituary(self) -> FormatError:
        """Say what the process died of."""
        code = self._child.wait(seconds=5)
        self.end()
        if code == -signal.SIGPROF:
            return FormatError(
                f"kept the HDF5 library at work for {self._limits.cpu_seconds} s", remedy=_REMEDY
            )
        if code is not None and -code in CRASHES:
            name = signal.Signals(-code).name
            return FormatError(f"crashes the HDF5 library ({name})", remedy=_REMEDY)
        return _KilledError(
            f"the process that read it was ended from outside (exit status {code})",
            remedy="out of memory? Run it again; if it happens again, leave the file out",
        )

    def kill(self) -> None:
        """End it now; whoever waits for its answer is told."""
        self._child.kill()

    def end(self) -> None:
        """End it now, and forget it."""
        self.kill()
        self.close()

    def close(self) -> None:
        """Let it end: it does where nobody asks any more."""
        self._child.close()

    def disown(self) -> None:
        """Forget it, after a fork: it belongs to the parent."""
        self._child.disown()


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _error(told: dict[str, Any]) -> Exception:
    if told["error"] == "bug":
        return RuntimeError(f"in the process that reads files:\n{told['problem']}")
    kind: type[InputError] = getattr(errors, told["error"])
    assert issubclass(kind, InputError)
    return kind(told["problem"], remedy=told["remedy"])


# --- one of them a process ------------------------------------------------------------------------

_lock = threading.Lock()
_helper: _Helper | None = None


def _running() -> _Helper:
    global _helper
    if _helper is None or not _helper.alive:
        if _helper is not None:
            _helper.close()
        _helper = _Helper(Limits.of_environment())
    return _helper


def stop() -> None:
    """End the other process; the next question starts it anew."""
    global _helper
    with _lock:
        if _helper is not None:
            _helper.close()
        _helper = None


def _leave() -> None:
    """The end of this process waits for nobody: another thread may be waiting for an answer."""
    if _lock.acquire(blocking=False):
        _lock.release()
        stop()
    elif _helper is not None:
        _helper.kill()


def _forget() -> None:
    global _lock, _helper
    _lock = threading.Lock()  # the thread that may have held it is not in the child
    if _helper is not None:
        _helper.disown()
    _helper = None


atexit.register(_leave)
os.register_at_fork(after_in_child=_forget)
