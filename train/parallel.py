"""Many runs: one after the other in this process, or side by side in a pool of processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from nccli.errors import InputError, Interrupted, TrainingError, UsageError
from nccli.jobs import WorkerDied, portable
from nccli.text import plural
from train.catalogue import DATA_SETS
from train.config import Settings
from train.events import Event, OnEvent, OnOutcome, Outcome, ignore
from train.interrupt import StopRequest, continuation
from train.place import VISIBLE, Place, gpus, started_by_torchrun
from train.rundir import Standing, finished_words, standing
from train.space import SpaceWatch

_POLL_SECONDS = 0.2  # how soon a Ctrl-C is passed on to the workers
_TAKEN = "taken"  # a worker's first word on a run


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One run to do."""

    settings: Settings
    path: Path
    resume: bool
    overwrite: bool
    place: Place
    command: str


def own_name(settings: Settings) -> str:
    """Return the name that a run's settings give it."""
    return settings.name


def run_all(
    settings_list: list[Settings],
    out: Path,
    *,
    jobs: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    place: Place = Place(device="cpu"),  # noqa: B008 - frozen
    command: str = "nccli train",
    name: Callable[[Settings], str] = own_name,
    per_gpu: int = 1,
    scheduler: str | None = None,
    on_event: OnEvent = ignore,
    on_outcome: OnOutcome = ignore,
) -> list[Outcome]:
    """Train each run into out/NAME, `jobs` at a time; return their outcomes in the given order.

    scheduler: the address of a Dask scheduler, whose workers then train; they must see `out` under
    the same name. per_gpu: how many of the `jobs` share a GPU.

    A run that fails does not stop the others. Ctrl-C or SIGTERM lets every run that is going on
    save its state, then raises Interrupted. Raises UsageError, before anything starts, where a
    run exists already or two would have one name, and where no run can be trained at all.
    """
    if jobs < 1:
        raise UsageError(f"there must be at least 1 job, got {jobs}")
    tasks = [
        Task(
            settings=settings,
            path=out / name(settings),
            resume=resume,
            overwrite=overwrite,
            place=place,
            command=command,
        )
        for settings in settings_list
    ]
    outcomes: dict[Path, Outcome] = {}

    def tell(outcome: Outcome) -> None:
        outcomes[outcome.path] = outcome
        if not outcome.refused:  # the same reason often holds for all, and is then said once
            on_outcome(outcome)

    _check_names(tasks)
    # of several processes of torchrun the first decides, for all, run by run
    together = started_by_torchrun()
    waiting = [task for task in tasks if together or not _ended_before(task, tell)]
    on_event = SpaceWatch(out, runs=len(waiting), on_event=on_event)
    with StopRequest() as stop:
        if scheduler is not None:
            from train.on_cluster import run_on_cluster  # brings distributed in

            run_on_cluster(waiting, scheduler, stop, on_event=on_event, tell=tell)
        elif together or jobs == 1 or len(waiting) < 2:
            _in_process(waiting, stop, on_event, tell)
        elif _share_a_gpu(waiting):
            _in_threads(waiting, jobs, stop, on_event, tell)
        else:
            _Pool(waiting, jobs=jobs, per_gpu=per_gpu, on_event=on_event, tell=tell).run(stop)
    refused = [outcome for outcome in outcomes.values() if outcome.refused]
    if refused and len(refused) == len(waiting):
        raise UsageError(refused[0].message or "no run can be trained")
    for outcome in refused:
        on_outcome(outcome)
    if stop.requested and not _all_ended(tasks, outcomes):
        raise _interrupted(tasks, outcomes)
    return [outcomes[task.path] for task in tasks]


def default_jobs(runs: int, *, place: Place, per_gpu: int = 1) -> int:
    """Return how many runs go side by side: one a CPU core, or `per_gpu` on each GPU."""
    if place.wants_gpu:
        return max(1, min(runs, per_gpu * len(gpus())))
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(runs, usable or 1))


def _check_names(tasks: list[Task]) -> None:
    name, count = Counter(task.path.name for task in tasks).most_common(1)[0]
    if count > 1:
        raise UsageError(f"two runs would be called '{name}'", remedy="name each choice once")


def _ended_before(task: Task, tell: OnOutcome) -> bool:
    """Whether nothing is to be done for a run, finished or damaged; then it is told."""
    try:
        found = standing(task.path, task.settings, resume=task.resume, overwrite=task.overwrite)
    except InputError as error:  # its run.json cannot be read; the other runs can be trained
        tell(Outcome(path=task.path, ending="failed", message=str(error)))
        return True
    if found is not Standing.FINISHED:
        return False
    tell(_skipped(task))
    return True


def _skipped(task: Task) -> Outcome:
    message = finished_words(task.path, task.place.data_root)
    return Outcome(path=task.path, ending="skipped", message=message)


def _all_ended(tasks: list[Task], outcomes: dict[Path, Outcome]) -> bool:
    return all(
        task.path in outcomes and outcomes[task.path].ending != "interrupted" for task in tasks
    )


def _interrupted(tasks: list[Task], outcomes: dict[Path, Outcome]) -> Interrupted:
    done = sum(outcome.ending in ("finished", "skipped") for outcome in outcomes.values())
    return Interrupted(
        f"interrupted; {done} of {plural(len(tasks), 'run')} finished",
        remedy=continuation(tasks[0].command, resume=tasks[0].resume),
    )


def execute(task: Task, should_stop: Callable[[], bool], on_event: OnEvent) -> Outcome:
    """Do one run; what the user can cause becomes its outcome, bugs are raised."""
    # Deferred: torch costs two seconds, which the parent of a pool does without.
    from train import experiment

    try:
        standing = experiment.run(
            task.settings,
            task.path,
            resume=task.resume,
            overwrite=task.overwrite,
            place=task.place,
            command=task.command,
            should_stop=should_stop,
            on_event=on_event,
        )
    except Interrupted as error:
        return Outcome(path=task.path, ending="interrupted", message=str(error))
    except UsageError as error:
        return Outcome(path=task.path, ending="failed", message=str(error), refused=True)
    except (TrainingError, InputError) as error:
        return Outcome(path=task.path, ending="failed", message=str(error))
    if standing is Standing.FINISHED:
        return _skipped(task)
    return Outcome(path=task.path, ending="finished")


def _in_process(tasks: list[Task], stop: StopRequest, on_event: OnEvent, tell: OnOutcome) -> None:
    for task in tasks:
        if stop():
            return
        outcome = execute(task, stop, on_event)
        tell(outcome)
        if started_by_torchrun() and outcome.ending == "failed":
            raise TrainingError(outcome.message or "failed")  # the others wait for this process


def _share_a_gpu(tasks: list[Task]) -> bool:
    """Whether runs side by side are to have streams of one GPU, not processes of their own.

    Only with graphs: else the threads would wait for each other to launch kernels.
    """
    place = tasks[0].place
    one = place.wants_gpu and place.cuda_graph and len(gpus()) == 1
    return one and all(_lies_on_a_gpu(task.settings.data) for task in tasks)


def _lies_on_a_gpu(data: str) -> bool:
    """Not the UFM, which stays on the CPU, nor folders, which may be decoded as they go."""
    return data in DATA_SETS and bool(DATA_SETS[data].train_count)


def _in_threads(
    tasks: list[Task], jobs: int, stop: StopRequest, on_event: OnEvent, tell: OnOutcome
) -> None:
    """Train side by side in this process, each run on a CUDA stream of its own."""
    import torch

    from train.graphs import MOST_THREADS, stream_of_thread

    broken_off = threading.Event()

    def stopping() -> bool:
        return stop() or broken_off.is_set()

    def work(task: Task) -> Outcome:
        if stopping():
            return Outcome(path=task.path, ending="interrupted", message="not started")
        stream = stream_of_thread("work") if torch.cuda.is_available() else None
        with torch.cuda.stream(stream):  # of None: nothing
            return execute(task, stopping, on_event)

    with ThreadPoolExecutor(min(jobs, MOST_THREADS), thread_name_prefix="run") as threads:
        try:
            for future in as_completed([threads.submit(work, task) for task in tasks]):
                tell(future.result())
        except BaseException:  # a bug: the other runs save, and no more are begun
            broken_off.set()
            raise


class _Pool:
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
        slots = _gpu_slots(tasks[0].place, min(jobs, len(tasks)), per_gpu)
        self.workers = [_Worker(gpu) for gpu in slots]
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

    def _serve(self, worker: _Worker, stop: StopRequest) -> None:
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

    def _outcome(self, task: Task, worker: _Worker, stop: StopRequest) -> Outcome:
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


class _Worker:
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


def _gpu_slots(place: Place, workers: int, per_gpu: int) -> list[str | None]:
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
