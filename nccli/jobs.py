"""A pool of processes on this machine, as a concurrent.futures.Executor.

One thread of this process serves one worker over a pipe. It therefore knows which file a worker
was on when it died: no other file is lost, and no lock can be left behind locked. The pool of the
standard library breaks as a whole, and ends Ctrl-C only when the files at hand are done.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from functools import partial
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, ParamSpec, TypeVar

from nccli.batch import Engine

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
_Task = tuple["Future[Any]", bytes]

# One BLAS thread a worker: there is a worker a core, and threads that wait for each other on a
# busy machine are slower than none. Set the variable yourself to have it otherwise.
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

# Ctrl-C may strike between the taking of a future's lock and the line that gives it back. Who
# waits for that lock never ends; nobody needs it by then.
PATIENCE_SECONDS = 2.0


class WorkerDied(BrokenExecutor):
    """The process that worked on a task is no more: killed, out of memory, or crashed."""


def local_engine(workers: int, *, preload: Sequence[str] = ()) -> Engine:
    """Return an engine of processes on this machine; `preload` names modules that all need."""
    return Engine(open=partial(open_pool, preload=preload), workers=workers)


@contextmanager
def open_pool(workers: int, *, preload: Sequence[str] = ()) -> Iterator[Executor]:
    """Give a LocalPool; leaving it by an exception ends the workers at once."""
    pool = LocalPool(workers, preload=preload)
    try:
        yield pool
    except BaseException:  # Ctrl-C, a closed pipe: nobody waits for the files at hand
        pool.kill()
        raise
    finally:
        pool.shutdown()


class LocalPool(Executor):
    """Processes that are started when there is work for them, and replaced when they die.

    They come from multiprocessing's fork server: no fork of a process with threads, and what all
    workers import is imported once.
    """

    def __init__(self, workers: int, *, preload: Sequence[str] = ()) -> None:
        self._workers = workers
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._processes: set[BaseProcess] = set()
        self._lock = threading.Lock()
        self._killed = False
        self._closed = False

    def submit(
        self,
        fn: Callable[Parameters, Result],
        /,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Future[Result]:
        """Queue a call; `fn` and its arguments must be picklable. See Executor.submit."""
        if self._closed:
            raise RuntimeError("cannot submit after shutdown")
        future: Future[Result] = Future()
        self._tasks.put((future, pickle.dumps((fn, args, kwargs))))
        if not self._threads:
            _prepare()
        if len(self._threads) < self._workers:
            thread = threading.Thread(target=self._serve, daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def prepare(self) -> None:
        """Start the fork server now, while this process still has its own stderr.

        Starting it hands that on; a terminal UI puts something in its place that has no file.
        """
        _prepare()  # it unblocks SIGINT, so it comes first
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited, see _serve
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the workers end after the tasks that are queued. See Executor.shutdown."""
        self._closed = True
        if cancel_futures:
            self._cancel_queued()
        for _ in self._threads:
            self._tasks.put(None)
        if wait:
            deadline = time.monotonic() + PATIENCE_SECONDS
            for thread in self._threads:
                thread.join(max(deadline - time.monotonic(), 0) if self._killed else None)

    def kill(self) -> None:
        """End all workers now; what they were on is lost, what is queued is cancelled."""
        self._killed = True
        with self._lock:
            for process in self._processes:
                process.kill()
        self.shutdown(cancel_futures=True)

    def _cancel_queued(self) -> None:
        while True:
            try:
                task = self._tasks.get_nowait()
            except queue.Empty:
                return
            if task is not None:
                task[0].cancel()

    # --- in the thread that serves one worker ---

    def _serve(self) -> None:
        # Inherited by what this thread starts: Ctrl-C is for the process that prints.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        worker: _Worker | None = None
        while (task := self._tasks.get()) is not None:
            future, call = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                worker = worker or self._started()
                worker.answer(call, future)
            except (EOFError, OSError) as error:
                if worker is not None:
                    self._ended(worker)
                worker = None
                future.set_exception(WorkerDied(str(error)))
        if worker is not None:
            self._ended(worker)

    def _started(self) -> _Worker:
        with self._lock:
            if self._killed:
                raise EOFError("the pool was ended")
            worker = _Worker(self._context)
            self._processes.add(worker.process)
        return worker

    def _ended(self, worker: _Worker) -> None:
        worker.connection.close()  # the sign to go
        worker.process.join()
        with self._lock:
            self._processes.discard(worker.process)
            worker.process.close()


def _prepare() -> None:
    for name in THREAD_VARIABLES:  # read when a process imports numpy: this one has, or will
        os.environ.setdefault(name, "1")
    # The servers of multiprocessing import from the current directory first, and what stands there
    # may be anybody's; the workers are told our paths.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    # Now, because multiprocessing starting it later would let SIGINT through to the workers.
    resource_tracker.ensure_running()


class _Worker:
    """A process, and this side's end of the pipe to it."""

    def __init__(self, context: Any) -> None:
        self.connection, theirs = context.Pipe()
        with theirs:
            self.process: BaseProcess = context.Process(target=_work, args=(theirs,), daemon=True)
            self.process.start()

    def answer(self, call: bytes, future: Future[Any]) -> None:
        """Have one call made. Raises EOFError or OSError where the process dies of it."""
        self.connection.send_bytes(call)
        reply = self.connection.recv_bytes()
        try:
            value, error = pickle.loads(reply)
        except Exception as problem:  # noqa: BLE001 - whatever it is, the waiting side must hear it
            value, error = None, problem
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


# --- in the worker ------------------------------------------------------------------------------


def _work(connection: Connection) -> None:
    """Answer calls until the other side is gone."""
    if os.environ.get("NCCLI_DEBUG") != "1":
        warnings.simplefilter("ignore")  # as on the command line: they are for developers
    try:
        while True:
            connection.send_bytes(_reply(connection.recv_bytes()))
    except (EOFError, OSError):
        return


def _reply(call: bytes) -> bytes:
    try:
        function, args, kwargs = pickle.loads(call)
        return pickle.dumps((function(*args, **kwargs), None))
    except Exception as error:  # noqa: BLE001 - it is raised again in the process that asked
        return pickle.dumps((None, portable(error)))


def portable(error: Exception) -> Exception:
    """Return an error that reaches another process, with a note of where it was raised."""
    error.add_note(f"in a worker process:\n{traceback.format_exc()}")
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - many exceptions cannot be rebuilt; their text can
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
