"""How quick the terminal UI is: `python tests/benchmarks/tui/run.py [--help]`.

The real `nccli view` in a pseudo-terminal of 140x44 with true colour and synchronized output, on
runs that are made on the spot (seeded) and deleted again. Linux only: it reads /proc. What is in
the page cache stays there; other programs on the machine make the times larger, so read the
load that is printed with them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from data import make_crowd, make_runs
from pictures import draw_times, every_chart, median_and_worst
from processes import children, cpu_of_all, resident_mb
from report import Row, heading, line, machine
from terminal import Screen, Terminal

from nccli.tui.state import TABS

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 1.0
STEP_KB, STEP_MS = 12.0, 50.0
IDLE_BYTES, IDLE_PERCENT = 0, 0.2
MEMORY_MB = 120
CHART_MS = 10
SCROLL_MS = 50
STEPS = 20  # of the epoch cursor, on each tab
SCROLL_STEPS = 100
SCROLL_QUIET = 0.03  # seconds without a byte after which the next key is pressed
SHORT_WAIT = 20.0  # seconds that measuring may go on before scrolling starts
REST_SECONDS = 1.0  # nothing has come for so long: the screen is at rest
LEFT, DOWN = b"\x1b[D", b"\x1b[B"

# The least that Textual can do: what it takes is not ours.
BARE_WORD = "a bare screen"
BARE = f"""
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static({BARE_WORD!r})
    def key_q(self):
        self.exit()
Bare().run()
"""


def main() -> None:
    options = _options()
    print(f"{machine()}\n{heading()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="nccli-benchmark-", dir=options.dir) as name:
        for what, measure in MEASURES.items():
            if options.only in (None, what):
                for row in measure(Place(Path(name), options)):
                    print(line(row), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--only", choices=MEASURES, help="one measurement instead of all")
    add("--runs", type=int, default=10, help="runs that are shown at the start (10)")
    add("--checkpoints", type=int, default=50, help="checkpoints of each (50)")
    add("--crowd", type=int, default=1000, help="runs that are scrolled through (1000)")
    add("--starts", type=int, default=5, help="starts that are timed (5)")
    add("--seconds", type=float, default=10, help="how long an idle screen is watched (10)")
    add("--dir", type=Path, default=Path(tempfile.gettempdir()), help="where files may lie")
    options = parser.parse_args()
    if options.runs < 2 or options.checkpoints < STEPS + 1:
        parser.error(f"at least 2 --runs and {STEPS + 1} --checkpoints, or keys have no effect")
    if min(options.crowd, options.starts) < 1 or options.seconds <= 0:
        parser.error("--crowd, --starts and --seconds must be greater than 0")
    return options


class Place:
    """Where the runs lie, and programs over them."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.options = folder, options

    def runs(self) -> Path:
        """The runs that are looked at, analysed once, so that a cache of results is there."""
        folder = self.folder / "runs"
        if not folder.exists():
            make_runs(folder, runs=self.options.runs, checkpoints=self.options.checkpoints)
            with self.view(folder):
                pass
        return folder

    def crowd(self) -> Path:
        """Very many runs."""
        folder = self.folder / "crowd"
        return folder if folder.exists() else make_crowd(folder, runs=self.options.crowd)

    @property
    def cached(self) -> bool:
        """Whether what was analysed was kept beside the runs."""
        return any((self.folder / "runs").glob("*/.nccli-cache"))

    @contextmanager
    def view(self, folder: Path, *, whole: bool = True) -> Iterator[Terminal]:
        """`nccli view` once it is at rest; `whole`: not before all is measured."""
        command = [sys.executable, "-m", "nccli", "view", str(folder)]
        with self._running(command) as terminal:
            terminal.until(lambda screen: _runs_listed(screen) and _measured(screen),
                           seconds=None if whole else SHORT_WAIT)  # fmt: skip
            terminal.settle(REST_SECONDS if whole else SCROLL_QUIET)
            yield terminal

    @contextmanager
    def bare(self) -> Iterator[Terminal]:
        """Textual alone, with its one widget on the screen."""
        with self._running([sys.executable, "-c", BARE]) as terminal:
            terminal.until(_bare_shown)
            terminal.settle()
            yield terminal

    @contextmanager
    def _running(self, command: list[str]) -> Iterator[Terminal]:
        # A session starts with the tab that the one before remembered: here, with none.
        with tempfile.TemporaryDirectory(dir=self.folder) as state:
            terminal = Terminal(command, environment={"XDG_STATE_HOME": state}, folder=ROOT)
            try:
                yield terminal
            finally:
                terminal.close()


# --- what is on the screen ----------------------------------------------------------------------


def _runs_listed(screen: Screen) -> bool:
    """Tabs above, runs at the left, keys below."""
    return "Overview" in screen.text and "run-0001" in screen.text and bool(screen.lines[-1])


def _measured(screen: Screen) -> bool:
    return "measuring" not in screen.text


def _bare_shown(screen: Screen) -> bool:
    return BARE_WORD in screen.text


# --- measurements -------------------------------------------------------------------------------


def measure_start(place: Place) -> Iterator[Row]:
    """The first frame and all numbers, side by side with Textual alone."""
    runs = place.runs()
    note = "from the cache" if place.cached else "no cache: measured anew"
    frames, numbers, bare = [], [], []
    for _ in range(place.options.starts if place.cached else 1):
        with place.bare() as terminal:
            bare.append(_seconds(terminal, _bare_shown))
        with place.view(runs) as terminal:
            rest = terminal.screen.text
            frames.append(_seconds(terminal, _runs_listed))
            numbers.append(_seconds(terminal, lambda screen, rest=rest: screen.text == rest))
    count = place.options.runs * place.options.checkpoints
    yield _often("start: Textual alone, first frame", bare, "s")
    yield _often(f"start: {count} checkpoints, first frame", frames, "s", START_SECONDS)
    yield _often(f"start: {count} checkpoints, all numbers", numbers, "s", note=note)


def _seconds(terminal: Terminal, condition: Callable[[Screen], bool]) -> float:
    found = terminal.when(condition)
    if found is None:
        raise SystemExit(f"no whole frame shows what was waited for:\n{terminal.screen.text}")
    return found


def measure_step(place: Place) -> Iterator[Row]:
    """One epoch back, on each tab."""
    with place.view(place.runs()) as terminal:
        for number, tab in enumerate(TABS, 1):
            terminal.send(f"{number}G".encode())  # to the tab, and to the last epoch
            terminal.settle(REST_SECONDS)
            answers = [terminal.answer_to(LEFT) for _ in range(STEPS)]
            sizes = [size / 1000 for size, _ in answers]
            times = [1000 * seconds for _, seconds in answers]
            yield _often(f"cursor step, {tab}: bytes", sizes, "kB", STEP_KB)
            yield _often(f"cursor step, {tab}: time", times, "ms", STEP_MS)


def measure_idle(place: Place) -> Iterator[Row]:
    """What a screen at rest sends and takes, not following the runs and following them."""
    with place.view(place.runs()) as terminal:
        yield from _idle_rows(terminal, place.options.seconds, "idle", targets=True)
        terminal.answer_to(b"f", quiet=REST_SECONDS)
        yield from _idle_rows(terminal, place.options.seconds, "idle, following", targets=False)


def _idle_rows(terminal: Terminal, seconds: float, name: str, *, targets: bool) -> Iterator[Row]:
    before = cpu_of_all(terminal.pid)
    sent = terminal.read_for(seconds)
    after = cpu_of_all(terminal.pid)
    spent = sum(cpu - before.get(pid, 0.0) for pid, cpu in after.items())
    yield Row(name=f"{name}: bytes in {seconds:g} s", value=sent, unit="B",
              target=IDLE_BYTES if targets else None)  # fmt: skip
    yield Row(name=f"{name}: CPU, children too", value=100 * spent / seconds, unit="%",
              target=IDLE_PERCENT if targets else None)  # fmt: skip


def measure_memory(place: Place) -> Iterator[Row]:
    """Resident memory once all is on the screen."""
    with place.bare() as terminal:
        yield Row(name="memory: Textual alone", value=resident_mb(terminal.pid), unit="MB")
    with place.view(place.runs()) as terminal:
        below = children(terminal.pid)
        own = resident_mb(terminal.pid)
        yield Row(name="memory: the process", value=own, unit="MB", target=MEMORY_MB)
        yield Row(name=f"memory: its {len(below)} children, shared pages too",
                  value=sum(map(resident_mb, below)), unit="MB")  # fmt: skip


def measure_charts(place: Place) -> Iterator[Row]:
    """Each chart at 140x40, in this process."""
    del place
    for name, draw in every_chart():
        times = [1000 * seconds for seconds in draw_times(draw)]
        yield _often(f"chart: {name}", times, "ms", CHART_MS)


def measure_scroll(place: Place) -> Iterator[Row]:
    """Down through very many runs, each key as soon as the one before has its answer."""
    with place.view(place.crowd(), whole=False) as terminal:
        note = "" if _measured(terminal.screen) else "while still measuring"
        terminal.answer_to(b"[")
        answers = [terminal.answer_to(DOWN, quiet=SCROLL_QUIET) for _ in range(SCROLL_STEPS)]
        times = [1000 * seconds for _, seconds in answers]
        name = f"scroll, {place.options.crowd:,} runs"
        yield _often(f"{name}: key to the end of its answer", times, "ms", SCROLL_MS, note=note)
        sizes = [size / 1000 for size, _ in answers]
        yield _often(f"{name}: bytes", sizes, "kB")


def _often(
    name: str, values: list[float], unit: str, target: float | None = None, *, note: str = ""
) -> Row:
    median, worst = median_and_worst(values)
    return Row(name=name, value=median, worst=worst, unit=unit, target=target, note=note)


MEASURES: dict[str, Callable[[Place], Iterator[Row]]] = {
    "start": measure_start,
    "step": measure_step,
    "idle": measure_idle,
    "memory": measure_memory,
    "charts": measure_charts,
    "scroll": measure_scroll,
}


if __name__ == "__main__":
    main()
