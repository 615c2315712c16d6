"""Many files: one bad file becomes one error in its place, and the rest goes on.

Files are worked on in this process, or by an `Engine`: a pool of processes on this machine
(`nccli.jobs`), or anything else that gives a concurrent.futures.Executor. Answers come out in
the order of the inputs, whoever was ready first.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nccli.errors import ContentError, InputError

if TYPE_CHECKING:
    from nccli.checkpoint import Checkpoint

SCORED = ("test", "val", "train")  # where confidence is judged
CURVED = ("train",)  # whose loss was minimised

# Our own limits, from no source but measurement: a pool costs some 0.4 s to start.
FEW = 8  # files for which no pool is started unasked
QUICK_SECONDS = 1.0  # as long may a batch last before a pool is worth its start
LARGE_BYTES = 32 * 2**20  # a file of this size is not quick
AHEAD = 256  # answers that may wait for a slower one before them

Answer = list[Any]  # of one file: a result a split, or an InputError in its place
Item = Path | InputError | Answer  # a file, or what is known already and keeps its place
Work = Callable[[Path], Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Where work is done: something that opens executors, and says what their losses look like.

    open(n) gives an Executor of n workers inside a `with`; leaving it by an exception (Ctrl-C)
    must end what is still running. `lost` are the exceptions of a future whose worker died.
    """

    open: Callable[[int], AbstractContextManager[Executor]]
    workers: int
    spare: int = 2  # files given out beyond one a worker, so that none has to wait for its next
    lost: tuple[type[BaseException], ...] = (BrokenExecutor,)

    @property
    def in_flight(self) -> int:
        """Files given out at a time."""
        return self.workers + self.spare


def each(
    inputs: Iterable[Item],
    work: Work,
    *,
    engine: Engine | None = None,
    there: Work | None = None,
    unasked: bool = False,
) -> Generator[Answer, None, None]:
    """Yield the answer of every input in order, an InputError in the place of a failed one.

    inputs: files; an InputError or an answer that is there already is passed on in its place.
    engine: where to work, None for this process; the work must be picklable.
    there: what is done there, where that is not `work` itself (with one thread, say).
    unasked: the engine is used only where it pays: not in the first second, nor for few files.

    A worker that dies costs no other file anything; its own is tried once more, alone, and then
    told as an InputError. Close the generator (or leave it by an exception) and the workers end.
    """
    items: Iterator[Item] = iter(inputs)
    if engine is not None and unasked:
        items = yield from _while_quick(items, work)
        ahead = list(islice(items, FEW))
        engine = engine if len(ahead) == FEW else None
        items = chain(ahead, items)
    if engine is None:
        yield from (_answer(item, work) for item in items)
    else:
        yield from _spread(items, there or work, engine)


def preferred_split(checkpoint: Checkpoint, preferred: Sequence[str]) -> str:
    """Return the first of the preferred splits that there is, else the file's first."""
    return next((name for name in preferred if name in checkpoint.splits), min(checkpoint.splits))


def _answer(item: Item, work: Work) -> Answer:
    if isinstance(item, list):
        return item
    try:
        if isinstance(item, InputError):
            raise item
        return list(work(item))
    except InputError as error:
        return [error]
    except MemoryError:
        remedy = "use a larger machine"
        return [ContentError("does not fit into memory", source=item, remedy=remedy)]


def _while_quick(items: Iterator[Item], work: Work) -> Generator[Answer, None, Iterator[Item]]:
    """Work in this process until it takes long; return what is left."""
    end = time.monotonic() + QUICK_SECONDS
    for item in items:
        if isinstance(item, Path) and _is_large(item):
            return chain([item], items)
        yield _answer(item, work)
        if time.monotonic() > end:
            break
    return items


def _is_large(path: Path) -> bool:
    try:
        return path.stat().st_size >= LARGE_BYTES
    except (OSError, ValueError):  # the reader will say what is wrong with it
        return False


# --- with an engine -----------------------------------------------------------------------------


def _spread(items: Iterator[Item], work: Work, engine: Engine) -> Iterator[Answer]:
    line = _Line(items, work, engine)
    while not line.finished:
        with engine.open(engine.workers) as executor:
            while not line.finished and not line.lost:
                line.give_out(executor)
                yield from line.ready()
                line.wait()
            line.wait_for_all()
        line.retry_lost()  # outside: alone on the machine, should memory be what was short


@dataclass(slots=True)
class _Place:
    """The place of one file in the line; its answer comes from a worker."""

    path: Path
    future: Future[Answer]


class _Line:
    """Files and answers in the order of the inputs; at the front what comes out next."""

    def __init__(self, items: Iterator[Item], work: Work, engine: Engine) -> None:
        self._items, self._work, self._engine = items, work, engine
        self._places: deque[_Place | Answer] = deque()
        self._running: set[Future[Answer]] = set()
        self._ahead = max(AHEAD, 2 * engine.in_flight)
        self._exhausted = False
        self.lost = False  # has a worker died?

    @property
    def finished(self) -> bool:
        return self._exhausted and not self._places

    def give_out(self, executor: Executor) -> None:
        """Hand files to the executor, a few at a time: results must not pile up."""
        while len(self._running) < self._engine.in_flight and len(self._places) < self._ahead:
            item = next(self._items, None)
            if item is None:
                self._exhausted = True
                return
            if isinstance(item, Path):
                future = _submitted(executor, item, self._work)
                self._places.append(_Place(item, future))
                self._running.add(future)
            else:
                self._places.append(_answer(item, self._work))

    def ready(self) -> Iterator[Answer]:
        """Yield what is ready at the front."""
        while self._places:
            place = self._places[0]
            if isinstance(place, list):
                yield place
            elif place.future.done() and not self._is_lost(place):
                yield place.future.result()
            else:
                return
            self._places.popleft()

    def wait(self) -> None:
        """Wait until one more file is ready."""
        if self._running:
            done, self._running = wait(self._running, return_when=FIRST_COMPLETED)
            self.lost = any(_has_failed(future, self._engine.lost) for future in done)

    def wait_for_all(self) -> None:
        """Wait until nothing is running."""
        wait(self._running)
        self._running = set()

    def retry_lost(self) -> None:
        """Try the files whose worker died once more, one at a time, each in a fresh pool."""
        for index, place in enumerate(self._places):
            if isinstance(place, _Place) and self._is_lost(place):
                self._places[index] = _alone(place.path, self._work, self._engine)
        self.lost = False

    def _is_lost(self, place: _Place) -> bool:
        return _has_failed(place.future, self._engine.lost)


def _submitted(executor: Executor, path: Path, work: Work) -> Future[Answer]:
    try:
        return executor.submit(_answer, path, work)
    except BrokenExecutor as error:  # a pool that broke a moment ago: the file will be tried alone
        future: Future[Answer] = Future()
        future.set_exception(error)
        return future


def _has_failed(future: Future[Answer], lost: tuple[type[BaseException], ...]) -> bool:
    return future.done() and isinstance(future.exception(), lost)


def _alone(path: Path, work: Work, engine: Engine) -> Answer:
    try:
        with engine.open(1) as executor:
            return executor.submit(_answer, path, work).result()
    except engine.lost:
        return [
            InputError(
                "the worker process died while reading it (out of memory?)",
                source=path,
                remedy="leave it out, or use a machine with more memory",
            )
        ]
