"""Many files: one bad file becomes one error in its place, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from nccli.checkpoint import Checkpoint
from nccli.errors import ContentError, InputError
from nccli.hdf5 import locate_errors, read_checkpoint

Result = TypeVar("Result")

ALL_SPLITS: tuple[str, ...] = ()  # no preference: every split of the file
SCORED = ("test", "val", "train")  # where confidence is judged
CURVED = ("train",)  # whose loss was minimised


def each(
    inputs: Iterable[Path | InputError], function: Callable[[Path], Sequence[Result]]
) -> Iterator[list[Result] | InputError]:
    """Yield the results of every input in order, or its InputError."""
    for item in inputs:
        if isinstance(item, InputError):
            yield item
            continue
        try:
            yield list(function(item))
        except InputError as error:
            yield error
        except MemoryError:
            yield ContentError(
                "does not fit into memory", source=item, remedy="use a larger machine"
            )


def analyzed(
    path: Path,
    function: Callable[[Checkpoint, list[str]], Sequence[Result]],
    *,
    split: str | None,
    preferred: Sequence[str],
) -> Sequence[Result]:
    """Read a checkpoint and apply `function` to it and to the names of the splits asked for.

    split: a name, "all", or None for the first of `preferred` that the file holds (all splits
    where nothing is preferred). Every InputError names the file.
    """
    with locate_errors(path):
        checkpoint = read_checkpoint(path)
        if split == "all" or (split is None and not preferred):
            names = list(checkpoint.splits)
        else:
            names = [preferred_split(checkpoint, preferred) if split is None else split]
        return function(checkpoint, names)


def preferred_split(checkpoint: Checkpoint, preferred: Sequence[str]) -> str:
    """Return the first of the preferred splits that there is, else the file's first."""
    return next((name for name in preferred if name in checkpoint.splits), min(checkpoint.splits))
