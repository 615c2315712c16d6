"""Writing a run directory: run.json, log.jsonl, and one writer at a time.

Reading is `nccli.runs`. A kill at any moment leaves every published file whole.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from enum import Enum
from importlib import metadata
from pathlib import Path
from typing import Any

import nccli
from nccli import runs
from nccli.errors import FormatError, UsageError
from nccli.publish import publish_bytes
from train.config import Settings, completed

RESUME_FILE = "resume.pt"
# of a run that is damaged; not --overwrite, which few commands have, and which is for all its runs
START_AGAIN = "delete the run's directory and give the same command again"


class Standing(Enum):
    """What is to be done with a run directory."""

    START = "start"
    CONTINUE = "continue"
    FINISHED = "finished"  # nothing: it is complete already


def standing(path: Path, settings: Settings, *, resume: bool, overwrite: bool) -> Standing:
    """Tell what to do with a run directory, which may exist already. Changes nothing.

    Raises UsageError rather than silently overwrite a run, or continue it with other settings.
    """
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other", remedy="give one of them")
    if overwrite or (not (path / runs.RUN_FILE).exists() and not _has_checkpoints(path)):
        return Standing.START
    record = _recorded(path)
    if not resume:
        raise UsageError(
            f"this run exists already ({_progress(record)})",
            source=path,
            remedy="--resume continues it, --overwrite starts it again, --out writes elsewhere",
        )
    _check_same_settings(path, record, settings)
    done = record.get("status") == "finished" and not _can_write_its_last(path, settings)
    return Standing.FINISHED if done else Standing.CONTINUE


def _can_write_its_last(path: Path, settings: Settings) -> bool:
    """Whether a run lacks its last checkpoint and has the state to make it; others are lost."""
    lacks = not runs.checkpoint_path(path, settings.save_epochs[-1]).exists()
    return lacks and (path / RESUME_FILE).exists()


def finished_words(path: Path, data_root: Path) -> str:
    """Return what to say of a finished run that is left alone."""
    record = runs.read_run_file(path)
    message, root = record.get("message"), _images(record).get("root")
    words = ["finished already", *([message] if isinstance(message, str) else [])]
    if isinstance(root, str) and root != str(data_root.resolve()):
        words.append(f"with the images of {root}")
    return "; ".join(words)


def check_same_images(path: Path, images: dict[str, str]) -> None:
    """Raise UsageError where a run to be continued has seen the images of another folder."""
    before = _images(runs.read_run_file(path))
    if before and before.get("digest") != images.get("digest"):
        raise UsageError(
            f"cannot resume with other images: the run has those of {before.get('root')}, and "
            f"{images.get('root')} holds others",
            source=path,
            remedy="give the run's own --data-root, or write elsewhere with --out",
        )


def _images(record: dict[str, Any]) -> dict[str, Any]:
    provenance = record.get("provenance")
    found = provenance.get("images") if isinstance(provenance, dict) else None
    return found if isinstance(found, dict) else {}


def _recorded(path: Path) -> dict[str, Any]:
    try:
        return runs.read_run_file(path)
    except FormatError as error:
        error.remedy = START_AGAIN
        raise


def _has_checkpoints(path: Path) -> bool:
    return any((path / runs.CHECKPOINT_FOLDER).glob("*.h5"))


def _progress(record: dict[str, Any]) -> str:
    if not record:
        return "without a run.json"
    settings = record.get("settings")
    epochs = settings.get("epochs") if isinstance(settings, dict) else None
    return f"{record.get('status')}, {record.get('epochs_done')} of {epochs} epochs"


def _check_same_settings(path: Path, record: dict[str, Any], settings: Settings) -> None:
    before, now = record.get("settings"), settings.recorded()
    if not isinstance(before, dict):
        raise FormatError(
            "holds no settings to resume with", source=path / runs.RUN_FILE, remedy=START_AGAIN
        )
    before = completed(before)
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            raise UsageError(
                f"cannot resume with {name.replace('_', ' ')} {now.get(name)}: the run has "
                f"{before.get(name)}",
                source=path,
                remedy="repeat the run's own settings, or write elsewhere with --out",
            )


def clear(path: Path) -> None:
    """Remove what a run wrote, and nothing else."""
    written = [path / runs.LOG_FILE, path / RESUME_FILE, path / runs.RUN_FILE]
    for file in [*written, *(path / runs.CHECKPOINT_FOLDER).glob("epoch-*.h5")]:
        file.unlink(missing_ok=True)


class Log:
    """log.jsonl, append-only: one line per epoch, none torn by a full disk or a kill.

    Lines that do not fit on the disk wait in memory and are tried again with the next one.
    """

    def __init__(self, run: Path, *, keep_epochs: int) -> None:
        """Keep the complete lines up to an epoch (0: none), drop the rest, atomically."""
        kept = [line for line in runs.read_log(run) if _epoch(line) <= keep_epochs]
        self._path = run / runs.LOG_FILE
        publish_bytes(self._path, b"".join(map(_encoded, kept)))
        self._size = self._path.stat().st_size
        self._waiting = b""

    def append(self, line: dict[str, Any]) -> OSError | None:
        """Add a line; returns the error where the disk does not take it now."""
        self._waiting += _encoded(line)
        try:
            with self._path.open("r+b") as file:
                file.truncate(self._size)  # what an earlier failed write may have left
                file.seek(self._size)
                file.write(self._waiting)
        except OSError as error:
            return error
        self._size += len(self._waiting)
        self._waiting = b""
        return None

    def sync(self) -> None:
        """Make all lines durable; raises OSError where some still wait."""
        if self._waiting:
            raise OSError("lines of the log could not be written")
        with self._path.open("rb") as file:
            os.fsync(file.fileno())


def _encoded(line: dict[str, Any]) -> bytes:
    return (json.dumps(line, allow_nan=False) + "\n").encode()


def _epoch(line: dict[str, Any]) -> int:
    epoch = line.get("epoch")
    return epoch if isinstance(epoch, int) else sys.maxsize


class Record:
    """run.json while the run is going on."""

    def __init__(self, run: Path, settings: Settings, *, provenance: dict[str, Any]) -> None:
        self._run = run
        first = runs.read_run_file(run).get("provenance")
        if isinstance(first, dict):  # a continued run keeps where it came from
            provenance = first | {"resumed": [*first.get("resumed", []), provenance]}
        self._values: dict[str, Any] = {
            "name": settings.name,
            "status": "running",
            "epochs_done": 0,
            "message": None,
            "settings": settings.recorded(),
            "provenance": provenance,
        }

    def publish(self, status: str, *, epochs_done: int, message: str | None = None) -> None:
        """Write run.json. Raises OSError."""
        self._values |= {"status": status, "epochs_done": epochs_done, "message": message}
        runs.write_run_file(self._run, self._values)


# --- provenance ---------------------------------------------------------------------------------


def provenance(*, command: str, device: str, images: dict[str, str]) -> dict[str, Any]:
    """Return where a run comes from: command line, versions, commit, machine, a folder's images."""
    return {
        "created": now(),
        "command": command,
        "software": software(),
        "git_commit": git_commit(),
        "device": device,
        "platform": f"{platform.system()} {platform.machine()}",
        **({"images": images} if images else {}),
    }


def now() -> str:
    """Return the time in ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def software() -> dict[str, str]:
    """Return the versions of what makes the numbers."""
    packages = {name: metadata.version(name) for name in ("torch", "numpy", "h5py")}
    return {"nccli": nccli.__version__, "python": platform.python_version()} | packages


@functools.cache
def git_commit() -> str | None:
    """Return the commit of the nccli source, `+changes` if edited; None outside a git checkout."""
    root = Path(nccli.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "--verify", "HEAD")
        return commit + ("+changes" if _git(root, "status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
