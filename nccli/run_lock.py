"""One writer a run directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from nccli.errors import TrainingError
from nccli.publish import sweep_temporaries
from nccli.runs import CHECKPOINT_FOLDER


@contextlib.contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Hold the run directory, made if absent; raises TrainingError while another process holds it.

    The lock is on the open directory itself: a process that dies, however, leaves none behind.
    """
    path.mkdir(parents=True, exist_ok=True)
    (path / CHECKPOINT_FOLDER).mkdir(exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(
                "another process is training this run",
                source=path,
                remedy="wait for it, or stop it",
            ) from None
        except OSError:
            pass  # a file system without locks (some NFS): then the user sees to it
        for folder in (path, path / CHECKPOINT_FOLDER):
            sweep_temporaries(folder)
        yield
    finally:
        # not close alone: a data loader's workers, forked meanwhile, may live on and hold the lock
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
