"""What is measured next, and the threads that list and measure; they change no state.

The threads are daemons of ours, not Textual's workers: those are waited for at exit, and one
large checkpoint would then hold up `q` for as long as its Hessian takes.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from textual.message import Message

from nccli.errors import InputError
from nccli.observe import observe
from nccli.runs import find_runs, read_run
from nccli.tui.entry import Entry, Saved
from nccli.tui.messages import Measured, Scanned
from nccli.tui.state import Listed, State

Post = Callable[[Message], object]


# --- what is next -------------------------------------------------------------------------------


def next_file(state: State) -> tuple[Entry, Saved] | None:
    """The file to measure next; None when nothing is left to do."""
    wanted = ((entry, saved) for entry, saved in wanted_files(state) if saved not in entry.found)
    return next(wanted, None)


def wanted_files(state: State) -> Iterator[tuple[Entry, Saved]]:
    """The files the screen wants, by urgency.

    Last epochs of the picked runs, then of runs whose loss is not known, then the picked runs
    from coarse to fine, at last the last epoch of every other run.
    """
    picked = _taking_turns(state)
    others = [entry for entry in state.entries.values() if entry.key not in state.picks]
    yield from _last_files(picked)
    yield from _last_files([entry for entry in others if entry.group is None])
    for place in coarse_to_fine(max((len(entry.files) for entry in picked), default=0)):
        for entry in picked:
            if place < len(entry.files):
                yield entry, entry.files[-1 - place]
    yield from _last_files(others)


def _taking_turns(state: State) -> list[Entry]:
    """The picked runs, a group after the other: the first two already make a comparison."""
    rounds = zip_longest(*(group.entries for group in state.groups))
    found = [entry for members in rounds for entry in members if entry is not None]
    return found + [entry for entry in state.picked if entry.group is None]


def _last_files(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Saved]]:
    """The last file of each run that can be measured, or has not been tried."""
    for entry in entries:
        usable = (saved for saved in reversed(entry.files)
                  if not isinstance(entry.found.get(saved), str))  # fmt: skip
        last = next(usable, None)
        if last is not None:
            yield entry, last


def coarse_to_fine(count: int) -> list[int]:
    """0..count-1 so that every prefix is spread over the whole: a curve gets its shape early."""
    order: dict[int, None] = {}
    stride = 1 << max(0, count - 1).bit_length()
    while stride:
        order |= dict.fromkeys(range(0, count, stride))
        stride //= 2
    return list(order)


def progress(state: State) -> tuple[int, int]:
    """How many of the wanted files are done, and how many there are."""
    wanted = {(entry.key, saved): saved in entry.found for entry, saved in wanted_files(state)}
    return sum(wanted.values()), len(wanted)


# --- threads ------------------------------------------------------------------------------------


def start_scan(paths: Sequence[Path], post: Post) -> None:
    """List the run directories in a thread, which posts `Scanned`."""
    _start(lambda: scan(paths), post)


def start_measuring(entry: Entry, saved: Saved, post: Post) -> None:
    """Measure one file in a thread, which posts `Measured`."""
    key = entry.key
    _start(lambda: measure(key, saved), post)


def _start(work: Callable[[], Message], post: Post) -> None:
    loop = asyncio.get_running_loop()

    def run() -> None:
        message = work()
        try:
            loop.call_soon_threadsafe(post, message)
        except RuntimeError:
            return  # the loop is closed: the app has ended, and nobody waits for this

    threading.Thread(target=run, daemon=True, name="nccli-view").start()


def scan(paths: Sequence[Path]) -> Scanned:
    """List the runs at or below the paths, each once."""
    found: dict[Path, Listed] = {}
    problems: list[str] = []
    for path in paths:
        try:
            runs = find_runs(path)
        except OSError as error:
            problems.append(f"{path}: cannot be listed ({error.strerror})")
            continue
        for run in runs:
            try:
                found.setdefault(run, _listed(run))
            except InputError as error:  # it has just been moved away
                problems.append(str(error))
            except OSError as error:
                problems.append(f"{run}: cannot be read ({error.strerror})")
    return Scanned(tuple(found.values()), "; ".join(problems) or None)


def _listed(path: Path) -> Listed:
    run = read_run(path)
    return Listed(run=run, files=tuple(Saved.at(file) for file in run.checkpoints))


def measure(key: Path, saved: Saved) -> Measured:
    """Measure one file; whatever goes wrong becomes its text, and the rest goes on."""
    try:
        return Measured(key, saved, observe(saved.path, curves=True))
    except InputError as error:
        return Measured(key, saved, str(error))
    except MemoryError:
        return Measured(key, saved, f"{saved.path}: not enough memory to measure it")
    except Exception as error:  # noqa: BLE001 - the thread's border: it is told, in its place
        text = f"{saved.path}: a bug in nccli: {type(error).__name__}: {error}"
        return Measured(key, saved, text)
