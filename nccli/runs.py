"""Run directories and the words that name inputs on a command line.

    RUN/run.json                    settings, provenance, status
    RUN/log.jsonl                   one line per epoch; a torn last line is ignored
    RUN/checkpoints/epoch-00010.h5  one file per saved epoch, never changed once published
    RUN/resume.pt                   the trainer's own state

An input is a file, a run directory, a directory of runs, a glob, `RUN@12` or `RUN@last`.
"""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nccli.errors import FormatError, InputError, NotFoundError
from nccli.publish import publish_json

RUN_FILE = "run.json"
LOG_FILE = "log.jsonl"
CHECKPOINT_FOLDER = "checkpoints"
RUN_FORMAT = "nccli-run"
STATUSES = ("running", "finished", "interrupted", "failed")

_EPOCH_NAME = re.compile(r"^epoch-(\d+)\.h5$")
_AT_EPOCH = re.compile(r"^(?P<run>.+)@(?P<epoch>\d+|last|first)$")
_MAX_RUN_FILE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training run on disk."""

    path: Path
    checkpoints: tuple[Path, ...]  # by epoch
    record: dict[str, Any] = field(default_factory=dict)  # run.json; {} where there is none
    problem: str | None = None  # why run.json could not be read

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.path.resolve().name

    @property
    def status(self) -> str | None:
        """One of STATUSES, or None where run.json does not say."""
        status = self.record.get("status")
        return status if status in STATUSES else None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings the run was started with."""
        settings = self.record.get("settings")
        return settings if isinstance(settings, dict) else {}


def checkpoint_path(run: Path, epoch: int) -> Path:
    """Return where the checkpoint of an epoch stands."""
    return run / CHECKPOINT_FOLDER / f"epoch-{epoch:05d}.h5"


def run_folder(path: str | None) -> str | None:
    """Return the run directory of a checkpoint file, or the folder that a loose file stands in."""
    if path is None:
        return None
    folder = Path(path).parent
    return str(folder.parent if folder.name == CHECKPOINT_FOLDER else folder)


def run_of(result: Any) -> tuple[Any, ...]:
    """Tell which run a result belongs to: its folder, and for loose files its loss and seed."""
    return run_folder(result.path), result.loss_name, result.label_smoothing, result.seed


def epoch_of(path: Path) -> int | None:
    """Return the epoch that a checkpoint's file name tells, or None."""
    match = _EPOCH_NAME.match(path.name)
    return int(match[1]) if match else None


def write_run_file(run: Path, record: dict[str, Any]) -> None:
    """Publish run.json."""
    publish_json(run / RUN_FILE, {"format": RUN_FORMAT, "format_version": 1} | record)


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read a run directory. A damaged run.json is told in `problem`; checkpoints stay usable.

    >>> import nccli
    >>> run = nccli.sample_data_path("runs") / "digits-mlp-ls0.05-s0"
    >>> found = nccli.read_run(run)
    >>> found.name, found.status, len(found.checkpoints)
    ('digits-mlp-ls0.05-s0', 'finished', 5)
    """
    path = Path(path)
    if not is_run(path):
        raise NotFoundError(
            "not a run directory (no run.json, no checkpoints/)",
            source=path,
            remedy="check the path",
        )
    checkpoints = tuple(_run_checkpoints(path))
    try:
        return Run(path=path, checkpoints=checkpoints, record=read_run_file(path))
    except InputError as error:
        return Run(path=path, checkpoints=checkpoints, problem=str(error))


def read_run_file(run: Path) -> dict[str, Any]:
    """Return run.json's object; {} where there is no such file. Raises FormatError."""
    path = run / RUN_FILE
    if not path.exists():
        return {}
    try:
        if not path.is_file():  # a pipe would be waited for without end
            raise OSError("not a regular file")
        with path.open("rb") as file:
            text = file.read(_MAX_RUN_FILE_BYTES)
        record = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"cannot be read as JSON ({error})", source=path) from None
    if not isinstance(record, dict):
        raise FormatError("must hold a JSON object", source=path)
    return record


def read_log(run: Path) -> list[dict[str, Any]]:
    """Return the lines of log.jsonl in order; lines that are torn or not objects are left out."""
    path = run / LOG_FILE
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return [entry for line in lines[:-1] if (entry := _log_entry(line)) is not None]


def _log_entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def is_run(path: Path) -> bool:
    """Tell whether a directory is a run: it has run.json or checkpoints/."""
    return path.is_dir() and ((path / RUN_FILE).is_file() or (path / CHECKPOINT_FOLDER).is_dir())


def find_runs(path: Path) -> list[Path]:
    """Return the run directories at or below a directory, in natural order of their names.

    Links are followed where they lead to a run, and not searched: a cycle of them never ends.
    """
    if is_run(path):
        return [path]
    if not path.is_dir():
        return []
    found: list[Path] = []
    waiting = [path]
    while waiting:
        directory = waiting.pop()
        if is_run(directory):
            found.append(directory)
        elif directory == path or not directory.is_symlink():
            children = sorted(_subdirectories(directory), key=_natural, reverse=True)
            waiting += children
    return found


def _subdirectories(directory: Path) -> list[Path]:
    try:
        return [child for child in directory.iterdir() if child.is_dir() and child.name[0] != "."]
    except OSError:  # not ours to read
        return []


def _natural(path: Path) -> list[tuple[int, str]]:
    # run2 before run10: digits compare as numbers.
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _run_checkpoints(run: Path) -> list[Path]:
    folder = run / CHECKPOINT_FOLDER
    found = [path for path in folder.glob("*.h5") if not path.name.startswith(".")]
    return sorted(found, key=lambda path: (epoch_of(path) or 0, _natural(path)))


# --- inputs -------------------------------------------------------------------------------------


def expand(inputs: Iterable[str]) -> list[Path | InputError]:
    """Return the checkpoint files that command-line words name, in order, each once.

    A word, or a run that it means, that has none becomes an InputError in its place, so that the
    rest goes on.
    """
    found: list[Path | InputError] = []
    seen: set[Path | str] = set()
    for word in inputs:
        for item in _told(_files_named(word), word):
            if isinstance(item, InputError):
                if str(item) not in seen:  # the same word twice is one error
                    seen.add(str(item))
                    found.append(item)
            elif (absolute := item.absolute()) not in seen:
                seen.add(absolute)
                found.append(item)
    return found


def expand_runs(inputs: Iterable[str]) -> list[Path | InputError]:
    """Return the run directories that words name (directories and globs), in order, each once."""
    found: list[Path | InputError] = []
    seen: set[Path] = set()
    for word in inputs:
        for item in _told(_runs_named(word), word):
            if isinstance(item, InputError):
                found.append(item)
            elif (real := item.resolve()) not in seen:
                seen.add(real)
                found.append(item)
    return found


def _told(items: Iterator[Path | InputError], word: str) -> Iterator[Path | InputError]:
    """Yield the items; what is raised on the way is the last of them."""
    try:
        yield from items
    except InputError as error:
        yield error
    except (OSError, ValueError) as error:
        yield NotFoundError(f"cannot be looked up ({error})", source=word)


def _runs_named(word: str) -> Iterator[Path | InputError]:
    places = [Path(word)] if Path(word).exists() or not glob.has_magic(word) else _matches(word)
    found = [run for place in places for run in find_runs(place)]
    if not found or not word:
        raise NotFoundError(
            "no run directory here",
            source=word,
            remedy="give run directories (with run.json or checkpoints/) or their parent",
        )
    yield from found


def _files_named(word: str) -> Iterator[Path | InputError]:
    path = Path(word)
    if not word:
        raise NotFoundError("an empty path", source="''", remedy="is a shell variable unset?")
    if path.is_dir():
        yield from _files_in(path)
    elif path.exists():
        yield path
    elif match := _AT_EPOCH.match(word):
        yield from _files_at(match["run"], match["epoch"])
    elif glob.has_magic(word):
        yield from _files_matching(word)
    else:
        raise NotFoundError("no such file or directory", source=word, remedy="check the path")


def _files_in(directory: Path) -> Iterator[Path | InputError]:
    runs = find_runs(directory)
    loose = [] if is_run(directory) else sorted(directory.glob("*.h5"), key=_natural)
    if not runs and not loose:
        raise NotFoundError(
            "no run and no .h5 file in this directory",
            source=directory,
            remedy="give a checkpoint, a run directory or a directory of runs",
        )
    yield from loose
    for run in runs:
        files = _run_checkpoints(run)
        yield from files
        if not files:
            yield _without_checkpoint(run)


def _without_checkpoint(run: Path) -> NotFoundError:
    remedy = "wait for its first one"
    return NotFoundError("the run has no checkpoint yet", source=run, remedy=remedy)


def _files_at(word: str, epoch: str) -> Iterator[Path | InputError]:
    if not glob.has_magic(word) or Path(word).exists():
        yield _file_at(Path(word), epoch)
        return
    runs = [path for path in _matches(word) if is_run(path)]
    if not runs:
        raise NotFoundError("the pattern before '@' matches no run directory", source=word)
    for run in runs:
        yield _file_at(run, epoch)


def _file_at(run: Path, epoch: str) -> Path | InputError:
    if not is_run(run):
        return NotFoundError("not a run directory", source=run, remedy="check the path before '@'")
    files = _run_checkpoints(run)
    if not files:
        return _without_checkpoint(run)
    if epoch in ("last", "first"):
        return files[-1 if epoch == "last" else 0]
    for path in files:
        if epoch_of(path) == int(epoch):
            return path
    saved = ", ".join(str(epoch_of(path)) for path in files if epoch_of(path) is not None)
    return NotFoundError(
        f"has no checkpoint of epoch {epoch}", source=run, remedy=f"saved: {saved}"
    )


def _files_matching(pattern: str) -> Iterator[Path | InputError]:
    useful = [path for path in _matches(pattern) if path.suffix == ".h5" or _holds_files(path)]
    if not useful:
        raise NotFoundError(
            "the pattern matches no .h5 file and no directory that holds one",
            source=pattern,
            remedy="quote it, and check it with ls",
        )
    for path in useful:
        if path.is_dir():
            yield from _files_in(path)
        else:
            yield path


def _holds_files(path: Path) -> bool:
    return path.is_dir() and (bool(find_runs(path)) or next(path.glob("*.h5"), None) is not None)


def _matches(pattern: str) -> list[Path]:
    # Path.glob refuses absolute patterns.
    names = glob.glob(pattern, recursive=True)  # noqa: PTH207
    return sorted((Path(name) for name in names), key=_by_parts)


def _by_parts(path: Path) -> list[list[tuple[int, str]]]:
    return [_natural(Path(part)) for part in path.parts]
