"""Many files on a cluster: an engine for `nccli.batch`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from nccli.batch import AHEAD, Engine
from nccli.cluster.connection import Client, Disconnected, Link, killed_worker, quiet, threads_of
from nccli.cluster.rows import ClusterWorkers, SplitWork, renamed
from nccli.errors import InputError
from nccli.work import Work

SPLIT_BYTES = 256 * 2**20  # our own limit: a file of this size is worth the tasks of splitting it


def _nobody(text: str) -> None:
    """Tell nobody."""


@contextmanager
def cluster_engine(
    address: str, *, files: int, say: Callable[[str], None] = _nobody
) -> Iterator[Engine]:
    """Connect to a Dask scheduler and give an engine for a batch of `files` files.

    A file is one task on one thread. Where there are fewer files than threads in the cluster, one
    of SPLIT_BYTES or more is split into rows that all workers share, one such file at a time; the
    sums are added in the order of the rows, as they are on one machine.

    say: told when there is something to wait for.
    Raises MissingExtraError without distributed, UsageError where no scheduler can be reached, no
    worker comes, or the workers have another nccli.
    """
    link = Link(address, say)
    with quiet():
        try:
            threads = threads_of(link.client())
            split = files < threads
            yield Engine(
                open=partial(_opened, link, split),
                workers=threads,
                spare=AHEAD,  # Dask does the queueing, and workers may join at any time
                lost=(BrokenExecutor, killed_worker()),
            )
        finally:
            link.close()


@contextmanager
def _opened(link: Link, split: bool, workers: int) -> Iterator[Executor]:  # noqa: ARG001
    executor = _FileExecutor(link.client(), split=split)
    try:
        yield executor
    except BaseException:  # Ctrl-C, a closed pipe: nobody waits for the files at hand
        link.close()
        raise
    finally:
        executor.shutdown()


class _FileExecutor(Executor):
    """Dask's own executor for submit(function, path, work); large files may be split instead."""

    def __init__(self, client: Client, *, split: bool) -> None:
        self._client, self._split = client, split
        # not pure: Dask must not take the same path for the same file
        self._tasks = client.get_executor(pure=False)
        self._splitting = ThreadPoolExecutor(1)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:
        """Queue fn(path, work). See Executor.submit."""
        if self._client.status != "running":
            raise Disconnected
        path, work = args
        if self._split and isinstance(work, Work) and _is_split(path, work):
            split = partial(_split_over, self._client, work)
            return _passed_on(self._splitting.submit(fn, path, split))
        if isinstance(work, Work):
            work = replace(work, threads=1, watch=None)
        return _passed_on(self._tasks.submit(_on_worker, fn, path, work, Path.cwd()))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See Executor.shutdown."""
        self._splitting.shutdown(wait, cancel_futures=cancel_futures)


def _is_split(path: Path, work: Work) -> bool:
    try:
        return bool(work.description.passes) and path.stat().st_size >= SPLIT_BYTES
    except OSError:  # the reader will say what is wrong with it
        return False


def _split_over(client: Client, work: Work, path: Path) -> list[Any]:
    return SplitWork.of(work, ClusterWorkers.of(path, client))(path)


def _passed_on(theirs: Future[Any]) -> Future[Any]:
    """Return a future that is never cancelled: Dask cancels what it loses with the scheduler."""
    ours: Future[Any] = Future()

    def pass_on(done: Future[Any]) -> None:
        error = CancelledError() if done.cancelled() else done.exception()
        if error is not None:
            ours.set_exception(Disconnected() if isinstance(error, CancelledError) else error)
        else:
            ours.set_result(done.result())

    theirs.add_done_callback(pass_on)
    return ours


def _on_worker(function: Callable[..., Any], path: Path, work: Any, folder: Path) -> list[Any]:
    """Answer for a file in a worker, whose working directory is another."""
    place = folder / path
    return [_renamed(item, place, path) for item in function(place, work)]


def _renamed(item: Any, place: Path, path: Path) -> Any:
    """Return a result or an error with the path as the user has it."""
    if isinstance(item, InputError):
        return renamed(item, place, path)
    if is_dataclass(item) and not isinstance(item, type) and hasattr(item, "path"):
        return replace(item, path=str(path))
    return item
