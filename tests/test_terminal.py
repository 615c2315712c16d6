"""`nccli view` in a real terminal, tmux's: that it draws, obeys, and leaves nothing behind.

One tmux server of our own for all of it, with sessions of a plain shell. Waits are for what has to
come on the screen, never for a time.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tui_runs import make_pair

from nccli.tui.card import SMALLEST
from nccli.tui.state import TABS

ROOT = Path(__file__).parents[1]
MOST_SECONDS = 120
BETWEEN_LOOKS = 0.05  # seconds
SIZE = (80, 24)
EARLIER = "what was here before"
NOT_INHERITED = ("TMUX", "NO_COLOR", "ENV", "COLUMNS", "LINES")  # the last two would fix the size
GREYS_OF_256 = {0, 7, 8, 15, 16, 231, *range(232, 256)}
GREYS_OF_16 = {30, 37, 39, 40, 47, 49, 90, 97, 100, 107}
VIEW = (sys.executable, "-m", "nccli", "view")

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Pane:
    """A shell in a terminal of its own."""

    def __init__(self, server: Server, name: str) -> None:
        self._server, self._name = server, name
        width, height = (str(length) for length in SIZE)
        server.tmux("new-session", "-d", "-s", name, "-x", width, "-y", height, "-c", str(ROOT),
                    "/bin/sh")  # fmt: skip
        self.until(str.strip)  # the prompt: what is typed before it comes twice
        self.run(f"echo {EARLIER}")
        self.until(lambda text: f"\n{EARLIER}" in text)

    def _tmux(self, command: str, *words: str) -> str:
        return self._server.tmux(command, "-t", f"={self._name}:", *words)

    def run(self, words: str) -> None:
        """Have the shell run a command."""
        self._tmux("send-keys", "-l", words)
        self.press("Enter")

    def view(self, runs: Path, **environment: str) -> None:
        """Start the UI; the shell tells its exit status."""
        state = {"XDG_STATE_HOME": str(runs / "state" / self._name)}  # not the user's own
        values = " ".join(f"{k}={shlex.quote(v)}" for k, v in (state | environment).items())
        self.run(f'{values} {shlex.join(VIEW)} {shlex.quote(str(runs))}; echo "status $?"')

    def press(self, *keys: str) -> None:
        """Press keys, as tmux names them."""
        self._tmux("send-keys", *keys)

    def resize(self, width: int, height: int) -> None:
        """Make the terminal larger or smaller."""
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def text(self, *options: str) -> str:
        """What is on the screen; with `-e`, its colours too."""
        return self._tmux("capture-pane", "-p", *options)

    def told(self, name: str) -> str:
        """What tmux knows of the terminal."""
        return self._tmux("display-message", "-p", f"#{{{name}}}").strip()

    def until(self, condition: Callable[[str], object]) -> str:
        """Wait until the screen meets a condition, and return it."""
        end = time.monotonic() + MOST_SECONDS
        while not condition(text := self.text()):
            late = time.monotonic() > end
            assert not late, f"waited in vain; the screen:\n{text}"
            time.sleep(BETWEEN_LOOKS)
        return text

    def each_tab(self) -> Iterator[str]:
        """Open the tabs by their numbers; the name of each once it is drawn."""
        for number, tab in enumerate(TABS, 1):
            before = "" if number == 1 else self.text()  # the first is open already
            self.press(str(number))
            label = f"{number} {tab.capitalize()}"
            self.until(lambda text, before=before, label=label: label in text and text != before)
            yield tab


class Server:
    """A tmux server of our own, its socket in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        inherited = {k: v for k, v in os.environ.items() if k not in NOT_INHERITED}
        self._environment = inherited | {
            "TMUX_TMPDIR": str(folder),
            "LC_ALL": "C.UTF-8",
            "COLORTERM": "truecolor",
        }
        self.tmux("start-server", ";", "set-option", "-g", "status", "off", ";",
                  "set-option", "-g", "default-terminal", "screen-256color", ";",
                  "set-option", "-g", "exit-empty", "off")  # fmt: skip

    def tmux(self, *words: str) -> str:
        """Have the server do something."""
        done = subprocess.run(
            ["tmux", "-u", "-f", os.devnull, "-L", "nccli-test", *words],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=MOST_SECONDS,
        )
        assert done.returncode == 0, f"tmux {shlex.join(words)}: {done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def server():
    # not pytest's own folders: the path of a socket has 107 bytes at most
    with tempfile.TemporaryDirectory(prefix="nccli-") as folder:
        server = Server(Path(folder))
        try:
            yield server
        finally:
            server.tmux("kill-server")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return make_pair(tmp_path_factory.mktemp("terminal") / "runs", epochs=(1, 4))


@pytest.fixture(scope="module")
def pane(server, runs):
    """The UI on both runs, shared: each test leaves it as it was."""
    pane = Pane(server, "shared")
    pane.view(runs)
    pane.until(_is_measured)
    return pane


def _is_measured(text: str) -> bool:
    return "NC1" in text and "CE" in text and "measuring" not in text


def _hues(captured: str) -> set[str]:
    """The colours in a screen that are no shade of grey."""
    found = set()
    for sequence in re.findall(r"\x1b\[([\d;:]*)m", captured):
        parts = [int(part or 0) for part in re.split("[;:]", sequence)]
        while parts:
            first, *parts = parts
            if first in (38, 48) and parts[0] == 2:
                _, red, green, blue, *parts = parts
                if not red == green == blue:
                    found.add(f"{red} {green} {blue}")
            elif first in (38, 48):
                _, number, *parts = parts
                found |= {f"number {number}"} - {f"number {grey}" for grey in GREYS_OF_256}
            elif 30 <= first <= 49 or 90 <= first <= 107:
                found |= {str(first)} - {str(grey) for grey in GREYS_OF_16}
    return found


def _assert_restored(pane: Pane) -> None:
    """The shell's own screen is back: its earlier output, its prompt, its cursor."""
    text = pane.text()
    assert EARLIER in text
    assert text.rstrip().endswith(("$", "#"))
    assert pane.told("alternate_on") == "0"
    assert pane.told("cursor_flag") == "1"
    assert pane.told("mouse_any_flag") == "0"
    pane.run("echo the shell is $((40 + 2))")  # it reads lines, and shows what is typed
    assert "echo the shell" in pane.until(lambda text: "the shell is 42" in text)


# --- one session, from start to end; the tests run in this order --------------------------------


@needs_tmux
def test_it_starts_at_80x24_with_both_losses_and_their_nc1(pane):
    text = pane.text()
    assert "CE" in text
    assert "LS 0.05" in text
    assert re.search(r"NC1.*\d", text)
    assert pane.told("alternate_on") == "1"
    assert _hues(pane.text("-e")), "the test of NO_COLOR would see colours"


@needs_tmux
def test_the_list_of_runs_opens_over_the_screen_and_closes(pane):
    before = pane.text()
    pane.press("[")
    pane.until(lambda text: "ce-s0" in text and "ls0.05-s0" in text)
    pane.press("Escape")
    pane.until(lambda text: text == before)


@needs_tmux
def test_each_tab_opens_by_its_number(pane):
    assert list(pane.each_tab()) == list(TABS)
    pane.press("1")


@needs_tmux
def test_it_is_never_blank_at_any_size(pane):
    pane.until(lambda text: "1 Overview" in text and _fills(text, SIZE))
    for size in ((120, 40), (50, 15), (25, 7), SIZE):
        pane.resize(*size)
        pane.until(lambda text, size=size: _fills(text, size))


def _fills(text: str, size: tuple[int, int]) -> bool:
    """Whether the way out stands where it belongs: in the last row, or on the card."""
    width, height = size
    lines = text.rstrip("\n").splitlines()
    fits = len(lines) <= height and max(map(len, lines)) <= width
    if height < SMALLEST[1]:
        return fits and "nccli needs" in text and "q quit" in text
    return fits and len(lines) == height and "NC1" in text and "q quit" in lines[-1]


@needs_tmux
def test_a_word_of_a_new_size_that_never_comes_is_missed_for_a_moment_only(server, runs):
    """A signal may be lost on the way, or be blocked by whatever started the UI."""
    code = (
        "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH}); "
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    pane = Pane(server, "blocked")
    words = [sys.executable, "-c", code, *VIEW[1:], str(runs)]
    state = shlex.quote(str(runs / "state" / "blocked"))
    pane.run(f"XDG_STATE_HOME={state} {shlex.join(words)}")
    pane.until(lambda text: "1 Overview" in text and _fills(text, SIZE))
    for size in ((120, 40), (50, 15), SIZE):
        pane.resize(*size)
        pane.until(lambda text, size=size: _fills(text, size))
    pane.press("q")


@needs_tmux
def test_ctrl_c_does_not_end_it(pane):
    pane.press("C-c")
    pane.press("2")  # keys are obeyed in turn: when this one is, ctrl-c has been
    pane.until(lambda text: "2 Collapse" in text and "NC2" in text)
    assert pane.told("alternate_on") == "1"


@needs_tmux
def test_q_quits_and_gives_the_terminal_back(pane):
    pane.press("q")
    pane.until(lambda text: "status 0" in text)
    _assert_restored(pane)


# --- other ways in and out ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(server, runs):
    """The shell after the UI was killed, and the processes that were there before."""
    pane = Pane(server, "killed")
    noted = runs / "pid"
    command = f"echo $$ > {shlex.quote(str(noted))}; exec {shlex.join([*VIEW, str(runs)])}"
    pane.run(f'XDG_STATE_HOME={runs}/state sh -c {shlex.quote(command)}; echo "status $?"')
    pane.until(_is_measured)
    processes = _family(int(noted.read_text()))
    os.kill(processes[0], signal.SIGTERM)
    pane.until(lambda text: re.search(r"status \d+", text))
    return pane, processes


def _family(pid: int) -> list[int]:
    """A process and its descendants, where there is a `ps` to ask."""
    if shutil.which("ps") is None:
        return [pid]
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True)
    pairs = [tuple(map(int, line.split())) for line in table.stdout.splitlines()]
    found = [pid]
    for one in found:
        found += [child for child, parent in pairs if parent == one]
    return found


@needs_tmux
def test_a_kill_ends_it_and_all_of_its_processes(killed):
    _, processes = killed
    end = time.monotonic() + MOST_SECONDS
    while left := [pid for pid in processes if _lives(pid)]:
        assert time.monotonic() < end, f"still there: {left} of {processes}"
        time.sleep(BETWEEN_LOOKS)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@needs_tmux
def test_a_kill_gives_the_terminal_back(killed):
    pane, _ = killed
    _assert_restored(pane)


@needs_tmux
def test_no_color_leaves_nothing_but_shades_of_grey(server, runs):
    pane = Pane(server, "grey")
    pane.view(runs, NO_COLOR="1")
    pane.until(_is_measured)
    for tab in pane.each_tab():
        assert not _hues(pane.text("-e")), tab
    pane.press("q")


@needs_tmux
def test_a_terminal_without_unicode_gets_seven_bit_characters(server, runs):
    pane = Pane(server, "seven-bit")
    pane.view(runs, LC_ALL="C", PYTHONUTF8="0")
    pane.until(_is_measured)
    for tab in pane.each_tab():
        assert pane.text().isascii(), tab
    pane.press("q")


@needs_tmux
def test_a_dumb_terminal_is_refused_in_one_line(server, runs):
    pane = Pane(server, "dumb")
    pane.view(runs, TERM="dumb")
    text = pane.until(lambda text: re.search(r"status \d+|measuring|NC1", text))
    assert "status 2" in text
    told = text.partition('echo "status $?"')[2].strip().partition("status 2")[0].strip()
    assert "terminal" in told


def test_without_a_terminal_it_says_what_to_use_instead_in_one_line(runs):
    done = subprocess.run(
        [*VIEW, str(runs)], stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "needs a terminal" in done.stderr
