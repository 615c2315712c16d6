"""What is measured next, and the threads that list and measure; they change no state.

The threads are daemons of ours, not Textual's workers: those are waited for at exit, and one
large checkpoint would then hold up `q` for as long as its Hessian takes.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path

from textual.message import Message

from nccli.errors import InputError
from nccli.runs import Run, find_runs, read_run
from nccli.tui.entry import Entry, Saved
from nccli.tui.findings import Job, Outcome
from nccli.tui.measuring import Measurer
from nccli.tui.messages import Measured, Scanned
from nccli.tui.standing import standing
from nccli.tui.state import Listed, State

Post = Callable[[Message], object]

AHEAD = 256  # jobs that one thread is given: those whose results are kept are done at once
SHOWN_SECONDS = 0.15  # after so long what was recalled is shown

# --- what is next -------------------------------------------------------------------------------


def next_jobs(state: State) -> list[Job]:
    """What to do next, most urgent first; empty when nothing is left to do."""
    asked = [
        Job(kind, entry.key, saved)
        for kind, entry, saved in state.asked()
        if state.kept(kind, saved) is None
    ]
    if asked:
        return asked
    wanted = (
        Job("observation", entry.key, saved)
        for entry, saved in wanted_files(state)
        if saved not in entry.found
    )
    return list(islice(dict.fromkeys(wanted), AHEAD))


def wanted_files(state: State) -> Iterator[tuple[Entry, Saved]]:
    """The files the screen wants, by urgency.

    Last epochs of the picked runs, then of runs whose loss is not known, then the picked runs
    from coarse to fine. Runs that are not picked cost nothing.
    """
    picked = _taking_turns(state)
    others = [entry for entry in state.entries.values() if entry.key not in state.picks]
    yield from _last_files(picked)
    yield from _last_files([entry for entry in others if entry.group is None])
    for place in coarse_to_fine(max((len(entry.files) for entry in picked), default=0)):
        for entry in picked:
            if place < len(entry.files):
                yield entry, entry.files[-1 - place]


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

    def count() -> tuple[int, int]:
        wanted = {(entry.key, saved): saved in entry.found for entry, saved in wanted_files(state)}
        return sum(wanted.values()), len(wanted)

    return state.memo("progress", count)


# --- threads ------------------------------------------------------------------------------------


def start_scan(paths: Sequence[Path], post: Post) -> None:
    """List the run directories in a thread, which posts `Scanned`."""

    def listed() -> Scanned:
        try:
            return scan(paths)
        except Exception as error:  # noqa: BLE001 - as in `_attempt`
            return Scanned((), f"a bug in nccli: {type(error).__name__}: {error}")

    _start(listed, post)


def start_jobs(jobs: Sequence[Job], measurer: Measurer, post: Post) -> None:
    """Do the first of the jobs in a thread, as many as are done at once; it posts `Measured`."""
    _start(lambda: Measured(done(jobs, measurer)), post)


def _start(work: Callable[[], Message], post: Post) -> None:
    loop = asyncio.get_running_loop()

    def run() -> None:
        message = work()
        try:
            loop.call_soon_threadsafe(post, message)
        except RuntimeError:
            return  # the loop is closed: the app has ended, and nobody waits for this

    threading.Thread(target=run, daemon=True, name="nccli-view").start()


def done(jobs: Sequence[Job], measurer: Measurer) -> list[tuple[Job, Outcome]]:
    """What was found out by the first jobs, one at least, until it is time to show it."""
    found: list[tuple[Job, Outcome]] = []
    end = time.monotonic() + SHOWN_SECONDS
    for job in jobs:
        outcome = _attempt(measurer.recall, job)
        if outcome is None:
            if found and job.kind == "observation":
                break  # it may take long: what is known already is shown before
            outcome = _attempt(measurer.do, job)
        if outcome is not None:
            found.append((job, outcome))
        if time.monotonic() > end:
            break
    return found


def _attempt(do: Callable[[Job], Outcome | None], job: Job) -> Outcome | None:
    """Nothing may end the thread without a word: the screen would wait for ever."""
    try:
        return do(job)
    except Exception as error:  # noqa: BLE001 - the thread's border: it is told, in its place
        return f"{job.saved.path}: a bug in nccli: {type(error).__name__}: {error}"


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
                found.setdefault(run, _listed(read_run(run)))
            except InputError as error:  # it has just been moved away
                problems.append(str(error))
            except OSError as error:
                problems.append(f"{run}: cannot be read ({error.strerror})")
    return Scanned(tuple(found.values()), "; ".join(problems) or None)


def _listed(run: Run) -> Listed:
    files = tuple(Saved.at(file) for file in run.checkpoints)
    return Listed(run=run, files=files, standing=standing(run, files, now=time.time()))
