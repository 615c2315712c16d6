"""Many runs: one after the other in this process, or side by side in a pool of processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event as Flag
from pathlib import Path

from nccli.errors import InputError, Interrupted, TrainingError, UsageError
from nccli.text import plural
from train.catalogue import DATA_SETS
from train.config import Settings
from train.events import Event, OnEvent, OnOutcome, Outcome, ignore
from train.interrupt import StopRequest, resume_command
from train.place import Place, started_by_torchrun
from train.rundir import Standing, finished_words, standing

VISIBLE = "CUDA_VISIBLE_DEVICES"
_POLL_SECONDS = 0.2  # how soon a Ctrl-C is passed on to the workers


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
    waiting = [task for task in tasks if together or not _already_done(task, tell)]
    with StopRequest() as stop:
        if scheduler is not None:
            from train.on_cluster import run_on_cluster  # brings distributed in

            run_on_cluster(waiting, scheduler, stop, on_event=on_event, tell=tell)
        elif jobs > 1 and len(waiting) > 1 and _share_a_gpu(waiting):
            _in_threads(waiting, jobs, stop, on_event, tell)
        elif jobs > 1 and len(waiting) > 1 and not together:
            _Pool(waiting, jobs=jobs, per_gpu=per_gpu, on_event=on_event, tell=tell).run(stop)
        else:
            _in_process(waiting, stop, on_event, tell)
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


def _already_done(task: Task, tell: OnOutcome) -> bool:
    found = standing(task.path, task.settings, resume=task.resume, overwrite=task.overwrite)
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
        remedy=f"continue with: {resume_command(tasks[0].command, resume=tasks[0].resume)}",
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

    def work(task: Task) -> Outcome:
        if stop():
            return Outcome(path=task.path, ending="interrupted", message="not started")
        stream = torch.cuda.Stream() if torch.cuda.is_available() else None  # type: ignore[no-untyped-call]
        with torch.cuda.stream(stream):  # of None: nothing
            return execute(task, stop, on_event)

    with ThreadPoolExecutor(jobs, thread_name_prefix="run") as threads:
        for future in as_completed([threads.submit(work, task) for task in tasks]):
            tell(future.result())


class _Pool:
    """Worker processes, the queue of their events, and the flag that tells them to stop."""

    def __init__(
        self,
        tasks: list[Task],
        *,
        jobs: int,
        per_gpu: int,
        on_event: OnEvent,
        tell: OnOutcome,
    ) -> None:
        # spawn: a forked process would inherit torch's and BLAS's threads as dead locks.
        context = multiprocessing.get_context("spawn")
        self.tasks = tasks
        self.tell = tell
        self.events: SimpleQueue[Event | None] = context.SimpleQueue()
        self.stopping = context.Event()
        self.slots: SimpleQueue[str | None] = context.SimpleQueue()
        workers = min(jobs, len(tasks))
        for slot in _gpu_slots(tasks[0].place, workers, per_gpu):
            self.slots.put(slot)
        self.listener = threading.Thread(target=_listen, args=(self.events, on_event), daemon=True)
        self.executor = ProcessPoolExecutor(
            max_workers=workers,
            mp_context=context,
            initializer=_start_worker,
            initargs=(self.events, self.stopping, self.slots),
        )

    def run(self, stop: StopRequest) -> None:
        """Do all tasks; once asked to stop, start no more and let those going on save."""
        self.listener.start()
        try:
            with _sigint_blocked():
                tasks = {self.executor.submit(_work, task): task for task in self.tasks}
            pending = set(tasks)
            while pending:
                done, pending = wait(pending, _POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    self.tell(_outcome(tasks[future], future))
                if stop():
                    self.stopping.set()
                    pending = {future for future in pending if not future.cancel()}
        except KeyboardInterrupt:  # the second Ctrl-C; what is published survives this
            for worker in multiprocessing.active_children():
                worker.kill()
            raise
        finally:
            self.stopping.set()
            self.executor.shutdown(cancel_futures=True)
            self.events.put(None)
            self.listener.join()


def gpus() -> list[str]:
    """Return the GPUs that may be used, by the names that CUDA_VISIBLE_DEVICES takes."""
    if VISIBLE in os.environ:
        return [name for name in os.environ[VISIBLE].split(",") if name.strip()]
    return [str(number) for number in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]


def _gpu_slots(place: Place, workers: int, per_gpu: int) -> list[str | None]:
    """The GPU of each worker, None for none in particular: each GPU has one before any has two."""
    found = gpus() if place.wants_gpu else []
    slots: list[str | None] = [gpu for _ in range(per_gpu) for gpu in found]
    return [slots[at % len(slots)] if slots else None for at in range(workers)]


def _outcome(task: Task, future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        message = "its process was killed (out of memory?); continue with --resume"
        return Outcome(path=task.path, ending="failed", message=f"{task.path}: {message}")


def _listen(events: SimpleQueue[Event | None], on_event: OnEvent) -> None:
    while (event := events.get()) is not None:
        on_event(event)


@contextlib.contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Keep Ctrl-C from the processes started inside: they inherit the mask, and follow the flag.

    Ignoring it once they run would be too late: a Ctrl-C while they import prints a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# --- in a worker --------------------------------------------------------------------------------

_links: list[tuple[SimpleQueue[Event | None], Flag]] = []  # set once, at the worker's start


def _start_worker(
    events: SimpleQueue[Event | None], stopping: Flag, slots: SimpleQueue[str | None]
) -> None:
    _links.append((events, stopping))
    gpu = slots.get()
    if gpu is not None:  # before torch is imported, which looks at it once
        os.environ[VISIBLE] = gpu
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    # A worker that outlives a killed parent would go on writing into a run that is resumed.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(task: Task) -> Outcome:
    events, stopping = _links[0]
    if stopping.is_set():
        return Outcome(path=task.path, ending="interrupted", message="not started")
    with StopRequest() as stop:
        outcome = execute(task, lambda: stop() or stopping.is_set(), events.put)
    if stop.requested:  # by SIGTERM to this worker: now that its run is saved, obey
        os.kill(os.getpid(), signal.SIGTERM)
    return outcome
