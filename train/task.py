"""One run of several as a task: picklable, so that any process may do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nccli.errors import InputError, Interrupted, TrainingError, UsageError
from train.config import Settings
from train.events import OnEvent, Outcome
from train.place import Place
from train.rundir import Standing, finished_words


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One run to do."""

    settings: Settings
    path: Path
    resume: bool
    overwrite: bool
    place: Place
    command: str


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
        return skipped(task)
    return Outcome(path=task.path, ending="finished")


def skipped(task: Task) -> Outcome:
    """Return the outcome of a run that is finished already."""
    message = finished_words(task.path, task.place.data_root)
    return Outcome(path=task.path, ending="skipped", message=message)
