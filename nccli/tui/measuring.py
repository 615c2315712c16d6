"""What is read of one file, in a process of its own: what crashes there ends no screen.

A worker process also keeps the screen smooth: Python runs one thread of a process at a time. What
is heavy to import is imported where it works, so that the first frame does not wait for it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nccli.cache import recall
from nccli.compare import Observation
from nccli.errors import InputError
from nccli.tui.findings import Angles, Job, Kind, Outcome
from nccli.work import observing

if TYPE_CHECKING:
    from nccli.contents import Contents
    from nccli.jobs import LocalPool
    from nccli.tui.findings import Matrix
    from nccli.validate import Finding


class Measurer:
    """Does jobs, in a process of its own where `apart`; `cached`: observations are kept."""

    def __init__(self, *, apart: bool = False, cached: bool = False) -> None:
        self._cached = cached
        self._apart = apart
        self._pool: LocalPool | None = None  # started by the first job that needs it
        self._closed = False

    def recall(self, job: Job) -> Outcome | None:
        """What is kept of a file beside its run; None where it has to be measured."""
        if job.kind != "observation" or not self._cached:
            return None
        kept = recall(job.saved.path, observing(curves=True))
        found: Observation | None = kept[0] if kept else None
        return found

    def do(self, job: Job) -> Outcome:
        """Do a job; whatever goes wrong becomes its text. Waits for it: not for the main thread."""
        path = job.saved.path
        if not self._apart:
            return found_out(job.kind, path, cached=self._cached)
        try:
            return self._started().submit(found_out, job.kind, path, cached=self._cached).result()
        except BrokenExecutor:  # a WorkerDied
            return (
                f"{path}: the process that read it died: the file crashes the HDF5 library, "
                "or there is too little memory"
            )
        except RuntimeError as error:  # the pool was closed: the app has ended
            return f"{path}: {error}"

    def _started(self) -> LocalPool:
        """The pool; where all results are kept there is none, and no process."""
        if self._closed:
            raise RuntimeError("the app has ended")
        if self._pool is None:
            from nccli.jobs import LocalPool

            pool = LocalPool(1)
            # Textual puts something without a file in the place of stderr, and starting hands it on
            with contextlib.redirect_stderr(sys.__stderr__):
                pool.prepare()
            self._pool = pool
        return self._pool

    def close(self) -> None:
        """End the process, whatever it is at."""
        self._closed = True
        if self._pool is not None:
            self._pool.kill()


def found_out(kind: Kind, path: Path, *, cached: bool) -> Outcome:
    """Find out one thing of a file; whatever goes wrong becomes its text, and the rest goes on."""
    try:
        if kind == "observation":
            return _observed(path, cached=cached)
        return _READ[kind](path)
    except InputError as error:
        return str(error)
    except MemoryError:
        return f"{path}: not enough memory to measure it"
    except Exception as error:  # noqa: BLE001 - the border of the worker: it is told, in its place
        return f"{path}: a bug in nccli: {type(error).__name__}: {error}"


def _observed(path: Path, *, cached: bool) -> Observation:
    from nccli.observe import observe

    return observe(path, curves=True, cached=cached)


def _angles(path: Path) -> Angles:
    from nccli.collapse import gram
    from nccli.hdf5 import locate_errors, read_checkpoint

    with locate_errors(path):
        checkpoint = read_checkpoint(path)
        split = "train" if "train" in checkpoint.splits else next(iter(checkpoint.splits))
        report = gram.analyze(checkpoint, split=split)
    return Angles(
        target=report.target,
        classes=report.classes,
        means=_matrix(report.features),
        classifier=_matrix(report.classifier),
        notes=report.notes,
    )


def _matrix(rows: Any) -> Matrix | None:
    import numpy as np

    return None if rows is None else np.array(rows, dtype=np.float32)


def _contents(path: Path) -> Contents:
    from nccli.contents import contents

    return contents(path)


def _finding(path: Path) -> Finding:
    from nccli.validate import validate

    return validate(path)


_READ: dict[Kind, Callable[[Path], Outcome]] = {
    "angles": _angles,
    "contents": _contents,
    "finding": _finding,
}
