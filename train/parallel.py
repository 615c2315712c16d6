"""Many runs: one after the other in this process, or side by side in a pool of processes."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from nccli.errors import InputError, Interrupted, TrainingError, UsageError
from nccli.text import plural
from train.catalogue import DATA_SETS
from train.config import Settings
from train.events import OnEvent, OnOutcome, Outcome, ignore
from train.interrupt import StopRequest, continuation
from train.place import Place, gpus, started_by_torchrun
from train.pool import Pool
from train.rundir import Standing, standing
from train.space import SpaceWatch
from train.task import Task, execute, skipped


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
            Pool(waiting, jobs=jobs, per_gpu=per_gpu, on_event=on_event, tell=tell).run(stop)
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
    tell(skipped(task))
    return True


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
