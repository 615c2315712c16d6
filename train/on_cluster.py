"""Runs on the workers of an existing Dask cluster (SLURM and others through dask-jobqueue).

A task is one run; what is sent back is its outcome, what it writes goes by path. Dask gives the
runs of a worker that dies to another one, which continues them from their resume state: the lock
on a run's directory dies with the process that held it.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import replace
from typing import Any

from nccli.cluster import connect
from nccli.cluster.connection import CLOSE_SECONDS, killed_worker
from nccli.errors import TrainingError
from train.events import Event, OnEvent, OnOutcome, Outcome, ignore
from train.interrupt import StopRequest
from train.task import Task, execute

_POLL_SECONDS = 0.5
_ASK_SECONDS = 2.0  # how often a worker asks whether to stop


def run_on_cluster(
    tasks: list[Task], scheduler: str, stop: StopRequest, *, on_event: OnEvent, tell: OnOutcome
) -> None:
    """Do all tasks; once asked to stop, start no more and let those going on save.

    Raises what `nccli.cluster.connect` raises, and TrainingError where the scheduler goes away:
    every run then continues with the next call.
    """

    def say(text: str) -> None:
        on_event(Event(run="", epoch=0, epochs=0, warning=text.removeprefix("nccli: ")))

    client = connect(scheduler, say=say)
    name = f"nccli-stop-{uuid.uuid4().hex}"
    try:
        executor = client.get_executor(pure=False)
        absolute = [_absolute(task) for task in tasks]
        futures = {
            executor.submit(_work, there, name): task
            for there, task in zip(absolute, tasks, strict=True)
        }
        _wait(futures, client, name, stop, tell)
    finally:
        with contextlib.suppress(TimeoutError):
            client.close(timeout=CLOSE_SECONDS)


def _absolute(task: Task) -> Task:
    """The task as a worker, whose working directory is another, and a second try need it."""
    place = replace(task.place, data_root=task.place.data_root.resolve())
    return replace(task, path=task.path.resolve(), place=place, resume=True)


def _wait(
    futures: dict[Future[Outcome], Task],
    client: Any,
    name: str,
    stop: StopRequest,
    tell: OnOutcome,
) -> None:
    pending, stopping = set(futures), False
    while pending:
        done, pending = wait(pending, _POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            tell(_outcome(futures[future], future))
        if stop() and not stopping:
            stopping = True
            _flag(client, name).set()  # cancelling would only forget the runs that go on
        if client.status != "running":
            raise TrainingError(
                "the Dask scheduler is gone", remedy="give the same command again to go on"
            )


def _outcome(task: Task, future: Future[Outcome]) -> Outcome:
    try:
        return replace(future.result(), path=task.path)
    except CancelledError:
        return Outcome(path=task.path, ending="interrupted", message="not started")
    except killed_worker():
        message = f"{task.path}: every worker that trained it died; give the same command again"
        return Outcome(path=task.path, ending="failed", message=message)


def _flag(client: Any, name: str) -> Any:
    import distributed

    return distributed.Event(name, client=client)  # type: ignore[no-untyped-call]


# --- in a worker --------------------------------------------------------------------------------


def _work(task: Task, name: str) -> Outcome:
    from distributed import get_client

    stop = _Asked(_flag(get_client(), name))
    if stop():
        return Outcome(path=task.path, ending="interrupted", message="not started")
    return execute(task, stop, ignore)


class _Asked:
    """Whether those who wait want to stop; asks over the network, so not at every epoch."""

    def __init__(self, flag: Any) -> None:
        self._flag = flag
        self._next = time.monotonic()
        self._stop = False

    def __call__(self) -> bool:
        """Tell whether to stop."""
        if not self._stop and time.monotonic() >= self._next:
            self._next = time.monotonic() + _ASK_SECONDS
            with contextlib.suppress(OSError, TimeoutError):  # then the next time
                self._stop = bool(self._flag.is_set())
        return self._stop
