"""Runs side by side in worker processes, on the CPU's cores or on several GPUs."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from nccli.jobs import WorkerDied, portable
from train.events import Event, OnEvent, OnOutcome, Outcome
from train.interrupt import StopRequest, continuation
from train.place import VISIBLE, Place, gpus
from train.task import Task, execute

_POLL_SECONDS = 0.2  # how soon a Ctrl-C is passed on to the workers
_TAKEN = "taken"  # a worker's first word on a run


class Pool:
    """Worker processes, each served by a thread of this one over a pipe of its own.

    So a worker that is killed costs the run that it was on and no other: it is known which one
    that was, and no queue or lock is shared that it could leave torn or locked.
    """

    def __init__(
        self,
        tasks: list[Task],
        *,
        jobs: int,
        per_gpu: int,
        on_event: OnEvent,
        tell: OnOutcome,
    ) -> None:
        self.waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
        for task in tasks:
            self.waiting.put(task)
        slots = gpu_slots(tasks[0].place, min(jobs, len(tasks)), per_gpu)
        self.workers = [Worker(gpu) for gpu in slots]
        # of the threads: how runs ended, what is a bug, and None from each that has no more to do
        self.ends: queue.SimpleQueue[Outcome | Exception | None] = queue.SimpleQueue()
        self.on_event = on_event
        self.one_event = threading.Lock()
        self.tell = tell
        self.broken_off = False

    def run(self, stop: StopRequest) -> None:
        """Do all tasks; once asked to stop, start no more and let those going on save."""
        # Now, because multiprocessing starting it later would let SIGINT through to the workers.
        resource_tracker.ensure_running()
        threads = [
            threading.Thread(target=self._serve, args=(worker, stop), daemon=True)
            for worker in self.workers
        ]
        try:
            for thread in threads:
                thread.start()
            for outcome in self._outcomes():
                self.tell(outcome)
        except KeyboardInterrupt:  # the second Ctrl-C; what is published survives this
            for worker in self.workers:
                worker.kill()
            raise
        finally:
            self.broken_off = True
            for thread in threads:
                if thread.ident is not None:
                    thread.join()

    def _outcomes(self) -> Iterator[Outcome]:
        """Yield how the runs end, until no thread has more to do; raises what is a bug."""
        serving = len(self.workers)
        while serving:
            try:  # with a limit: a signal that strikes another thread does not wake this one
                end = self.ends.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if end is None:
                serving -= 1
            elif isinstance(end, Outcome):
                yield end
            else:
                raise end

    # --- in the thread that serves one worker ---

    def _serve(self, worker: Worker, stop: StopRequest) -> None:
        # Inherited by the processes that this thread starts: a Ctrl-C is for their parent, which
        # passes it on. Ignoring it once they run would be too late: it prints a traceback while
        # they import.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            while not self._stopping(stop):
                task = self.waiting.get_nowait()
                self.ends.put(self._outcome(task, worker, stop))
        except queue.Empty:
            pass
        except Exception as error:  # noqa: BLE001 - it is raised again in the main thread
            self.ends.put(error)
        finally:
            worker.close()
            self.ends.put(None)

    def _stopping(self, stop: StopRequest) -> bool:
        return stop() or self.broken_off

    def _outcome(self, task: Task, worker: Worker, stop: StopRequest) -> Outcome:
        try:
            outcome = worker.do(task, lambda: self._stopping(stop), self._hear)
        except WorkerDied:
            remedy = continuation(task.command, resume=task.resume)
            message = f"{task.path}: its process was killed (out of memory?); {remedy}"
            return Outcome(path=task.path, ending="failed", message=message)
        if outcome.ending == "interrupted" and not self._stopping(stop):
            return replace(outcome, ending="failed")  # by a SIGTERM to this worker alone
        return outcome

    def _hear(self, event: Event) -> None:
        with self.one_event:  # who listens need not expect two at once
            self.on_event(event)


class Worker:
    """A process that does one run after the other; where it is gone, another takes its place."""

    def __init__(self, gpu: str | None) -> None:
        # spawn: a forked process would inherit torch's and BLAS's threads as dead locks.
        self._context = multiprocessing.get_context("spawn")
        self._gpu = gpu
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._lock = threading.Lock()  # killing, by the main thread, against starting and ending
        self._killed = False

    def do(self, task: Task, stopping: Callable[[], bool], on_event: OnEvent) -> Outcome:
        """Have one run done; raises what is a bug there, and WorkerDied where the process dies."""
        self._hand_over(task)
        told = False
        while True:
            if stopping() and not told:
                told = True
                self._send(None)
            message = self._received()
            if isinstance(message, Event):
                on_event(message)
            elif isinstance(message, Exception):
                raise message
            elif message is not None:
                assert isinstance(message, Outcome)
                return message

    def close(self) -> None:
        """Let the process go: at once where it has no run, else when the run is saved."""
        if self._process is None or self._connection is None:
            return
        self._connection.close()  # the sign to go
        self._process.join()
        with self._lock:
            self._process.close()
            self._process = self._connection = None

    def kill(self) -> None:
        """End the process now, and start no other."""
        with self._lock:
            self._killed = True
            if self._process is not None:
                self._process.kill()

    def _hand_over(self, task: Task) -> None:
        """Give a process the run: the one there is, or a new one where that has left meanwhile."""
        if self._process is not None:
            with contextlib.suppress(WorkerDied):
                self._give(task)
                return
            self.close()
        self._start()
        self._give(task)

    def _start(self) -> None:
        with self._lock:
            if self._killed:
                raise WorkerDied("killed before it started")
            connection, theirs = self._context.Pipe()
            with theirs, _death_told():  # of memory that is short for a new process, too
                process = self._context.Process(target=_work, args=(theirs, self._gpu))
                process.start()
            self._process, self._connection = process, connection

    def _give(self, task: Task) -> None:
        self._send(task)
        while self._received() != _TAKEN:
            pass

    def _send(self, what: Task | None) -> None:
        assert self._connection is not None
        with _death_told():
            self._connection.send(what)

    def _received(self) -> Any:
        """What the process says, None where it says nothing for a moment."""
        assert self._connection is not None
        assert self._process is not None
        alive = self._process.is_alive()  # asked first: the last words of the dead are heard
        with _death_told():
            if self._connection.poll(_POLL_SECONDS):
                return self._connection.recv()
        if not alive:  # though its data loader's processes may hold the pipe for a while
            raise WorkerDied
        return None


@contextlib.contextmanager
def _death_told() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        raise WorkerDied(str(error)) from None


def gpu_slots(place: Place, workers: int, per_gpu: int) -> list[str | None]:
    """The GPU of each worker, None for none in particular: each GPU has one before any has two."""
    found = gpus() if place.wants_gpu else []
    slots: list[str | None] = [gpu for _ in range(per_gpu) for gpu in found]
    return [slots[at % len(slots)] if slots else None for at in range(workers)]


# --- in a worker --------------------------------------------------------------------------------


def _work(connection: Connection, gpu: str | None) -> None:
    """Do the runs that come, until the word to stop or the parent's end of the pipe closes."""
    if gpu is not None:  # before torch is imported, which looks at it once
        os.environ[VISIBLE] = gpu
    threading.Thread(target=_die_with_parent, daemon=True).start()
    one_word = threading.Lock()

    def say(what: Event | Outcome | Exception | str) -> None:
        # a run that publishes in the background has two threads with something to say
        with one_word, contextlib.suppress(OSError):  # nobody listens: the run is still to be saved
            connection.send(what)

    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        while (task := connection.recv()) is not None:
            say(_TAKEN)
            with StopRequest() as stop:
                # while a run goes on the parent has one word to say: that it is to stop
                say(_answer(task, lambda: stop() or connection.poll(), say))
            if stop.requested:  # by SIGTERM to this worker: now that its run is saved, obey
                return


def _answer(task: Task, should_stop: Callable[[], bool], on_event: OnEvent) -> Outcome | Exception:
    if should_stop():
        return Outcome(path=task.path, ending="interrupted", message="not started")
    try:
        return execute(task, should_stop, on_event)
    except Exception as error:  # noqa: BLE001 - it is raised again in the parent
        return portable(error)


def _die_with_parent() -> None:
    # A worker that outlives a killed parent would go on writing into a run that is resumed.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
