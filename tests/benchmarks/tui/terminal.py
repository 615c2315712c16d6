"""A program in a pseudo-terminal: its bytes with the time of each, and the screen they draw."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

FRAME_STARTS, FRAME_ENDS = b"\x1b[?2026h", b"\x1b[?2026l"  # synchronized output
# What a terminal that has synchronized output, and nothing else, answers to Textual's questions.
ANSWERS = {b"\x1b[?2026$p": b"\x1b[?2026;2$y", b"\x1b[?2048$p": b"\x1b[?2048;0$y"}
QUIET_SECONDS = 0.08  # so long without a byte: the answer to a key is complete
LONGEST_ANSWER, LONGEST_SECONDS = 30.0, 180.0  # to a key, and of all waiting
READ_BYTES = 1 << 16

_PIECES = re.compile(
    r"\x1b\[([0-?]*)[ -/]*([@-~])"  # a control sequence: its parameters and what it does
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\^-~]"
    r"|[\r\n]|[^\x00-\x1f\x7f]+|[\x00-\x1f\x7f]"
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*)?\Z")

Condition = Callable[["Screen"], bool]


class Screen:
    """The characters on the screen, of the few control sequences that Textual sends."""

    def __init__(self, columns: int, rows: int) -> None:
        self._columns, self._rows = columns, rows
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self.clear()

    def clear(self) -> None:
        """Nothing on it, the cursor in the corner."""
        self._cells = [[" "] * self._columns for _ in range(self._rows)]
        self._x = self._y = 0

    @property
    def lines(self) -> list[str]:
        """The rows, without trailing blanks."""
        return ["".join(row).rstrip() for row in self._cells]

    @property
    def text(self) -> str:
        """All rows."""
        return "\n".join(self.lines)

    def feed(self, data: bytes) -> None:
        """Draw what was sent; a sequence that is cut off waits for its end."""
        text = self._rest + self._decode(data)
        unfinished = _UNFINISHED.search(text)
        end = unfinished.start() if unfinished else len(text)
        self._rest = text[end:]
        for match in _PIECES.finditer(text, 0, end):
            if match[2]:
                self._control(match[1], match[2])
            else:
                self._put(match[0])

    def _control(self, parameters: str, what: str) -> None:
        if what == "H":
            numbers = [int(part or 1) for part in parameters.split(";")]
            row, column = (*numbers, 1)[:2]
            self._x, self._y = column - 1, row - 1
        elif what == "J" or (what == "h" and parameters == "?1049"):
            self.clear()

    def _put(self, text: str) -> None:
        if text == "\r":
            self._x = 0
        elif text == "\n":
            self._y += 1
        elif text >= " " and self._y < self._rows:
            room = max(0, self._columns - self._x)
            self._cells[self._y][self._x : self._x + min(room, len(text))] = text[:room]
            self._x += len(text)


class Terminal:
    """A program that runs in a terminal of ours. Everything it sends is kept, with its time."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        size: tuple[int, int] = (140, 44),
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._size = size
        self.received: list[tuple[float, bytes]] = []
        self._tail = b""  # of what came: a question may be cut in two
        self._drawn = 0  # pieces that `screen` has drawn
        self._screen = Screen(*size)
        self._leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=_environment(environment or {}),
            cwd=folder,
            start_new_session=True,
            preexec_fn=_control_terminal,
        )
        os.close(follower)

    @property
    def pid(self) -> int:
        """The program's process."""
        return self._process.pid

    # --- reading --------------------------------------------------------------------------------

    def read(self, seconds: float) -> bool:
        """Take in what comes next, and answer questions; False when nothing came in that time."""
        ready, _, _ = select.select([self._leader], [], [], max(0.0, seconds))
        if not ready:
            return False
        try:
            data = os.read(self._leader, READ_BYTES)
        except OSError:  # how Linux says that the other end is closed
            data = b""
        if not data:
            raise SystemExit(f"the program has ended:\n{self.screen.text}")
        self.received.append((time.perf_counter(), data))
        self._answer(data)
        return True

    def _answer(self, data: bytes) -> None:
        recent = self._tail + data
        for question, answer in ANSWERS.items():
            if question in recent:
                os.write(self._leader, answer)
                recent = recent.replace(question, b"")
        self._tail = recent[-max(map(len, ANSWERS)) :]

    def read_for(self, seconds: float) -> int:
        """The number of bytes that come in so many seconds."""
        before, end = len(self.received), time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self.read(left)
        return sum(len(data) for _, data in self.received[before:])

    def settle(self, quiet: float = QUIET_SECONDS) -> None:
        """Read until nothing has come for so long."""
        end = time.perf_counter() + LONGEST_SECONDS
        while self.read(quiet):
            if time.perf_counter() > end:
                raise SystemExit("the screen never comes to rest")

    def until(self, condition: Condition, *, seconds: float | None = None) -> None:
        """Read until the screen meets a condition, or for so long; None: it has to meet it."""
        end = time.perf_counter() + (LONGEST_SECONDS if seconds is None else seconds)
        while not condition(self.screen):
            left = end - time.perf_counter()
            self.read(left)
            if left <= 0 and seconds is None:
                raise SystemExit(f"the wrong screen is still there:\n{self.screen.text}")
            if left <= 0:
                return

    # --- keys -----------------------------------------------------------------------------------

    def send(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._leader, keys)

    def answer_to(self, keys: bytes, *, quiet: float = QUIET_SECONDS) -> tuple[int, float]:
        """Press a key; the bytes of the answer, and seconds from the key to the last of them."""
        before, start = len(self.received), time.perf_counter()
        self.send(keys)
        if not self.read(LONGEST_ANSWER):
            raise SystemExit(f"no answer to {keys!r}:\n{self.screen.text}")
        self.settle(quiet)
        came = self.received[before:]
        return sum(len(data) for _, data in came), came[-1][0] - start

    # --- the screen -----------------------------------------------------------------------------

    @property
    def screen(self) -> Screen:
        """The screen as it is now."""
        for _, data in self.received[self._drawn :]:
            self._screen.feed(data)
        self._drawn = len(self.received)
        return self._screen

    def when(self, condition: Condition) -> float | None:
        """Seconds from the start to the last byte of the first whole frame that meets it.

        Drawn again from what was kept, so that drawing takes no time while the program is timed.
        """
        screen, open_frames = Screen(*self._size), 0
        for moment, data in self.received:
            screen.feed(data)
            open_frames += data.count(FRAME_STARTS) - data.count(FRAME_ENDS)
            if open_frames == 0 and condition(screen):
                return moment - self.started
        return None

    # --- the end --------------------------------------------------------------------------------

    def close(self) -> None:
        """Quit with `q`; a program that does not is killed, with its process group."""
        with contextlib.suppress(OSError):
            self.send(b"q")
        end = time.perf_counter() + 5
        with contextlib.suppress(SystemExit):
            while self._process.poll() is None and time.perf_counter() < end:
                self.read(0.05)
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)  # it leads a session of its own
            self._process.wait()
        os.close(self._leader)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    # as installed: with the bytecode that pip compiles, and the variable keeps from being written
    left_out = {"NO_COLOR", "PYTHONDONTWRITEBYTECODE"}
    inherited = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**inherited, "TERM": "xterm-256color", "COLORTERM": "truecolor", **more}


def _control_terminal() -> None:
    """In the new process: the terminal is the one that controls it, and tells its size."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
