"""Many files: one bad file becomes one error in its place, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from nccli.checkpoint import Checkpoint
from nccli.errors import ContentError, InputError
from nccli.hdf5 import locate_errors, read_checkpoint

Result = TypeVar("Result")

SCORED = ("test", "val", "train")  # where confidence is judged
CURVED = ("train",)  # whose loss was minimised


def each(
    inputs: Iterable[Path | InputError], function: Callable[[Path], Sequence[Result | InputError]]
) -> Iterator[list[Result | InputError]]:
    """Yield the results of every input in order, an InputError in the place of a failed one."""
    for item in inputs:
        if isinstance(item, InputError):
            yield [item]
            continue
        try:
            yield list(function(item))
        except InputError as error:
            yield [error]
        except MemoryError:
            remedy = "use a larger machine"
            yield [ContentError("does not fit into memory", source=item, remedy=remedy)]


def analyzed(
    path: Path,
    function: Callable[[Checkpoint, str], Result],
    *,
    split: str | None,
    preferred: Sequence[str],
) -> list[Result | InputError]:
    """Read a checkpoint and apply `function` to it and to the name of each split asked for.

    split: a name, "all", or None for the first of `preferred` that the file holds (all splits
    where nothing is preferred). A split that cannot be used is an error in its place; every
    InputError names the file.
    """
    with locate_errors(path):
        checkpoint = read_checkpoint(path)
        if split == "all" or (split is None and not preferred):
            names = list(checkpoint.splits)
        else:
            names = [preferred_split(checkpoint, preferred) if split is None else split]
        return [_attempted(path, function, checkpoint, name) for name in names]


def _attempted(
    path: Path, function: Callable[[Checkpoint, str], Result], checkpoint: Checkpoint, name: str
) -> Result | InputError:
    try:
        with locate_errors(path):
            return function(checkpoint, name)
    except InputError as error:
        return error


def preferred_split(checkpoint: Checkpoint, preferred: Sequence[str]) -> str:
    """Return the first of the preferred splits that there is, else the file's first."""
    return next((name for name in preferred if name in checkpoint.splits), min(checkpoint.splits))
