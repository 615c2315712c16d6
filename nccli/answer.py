"""The answer of one file: read it, apply the analysis to each split asked for, keep it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from nccli import cache
from nccli.batch import preferred_split
from nccli.checkpoint import Checkpoint
from nccli.errors import InputError, locate_errors
from nccli.hdf5 import read_checkpoint
from nccli.work import Work


def answer(path: Path, work: Work) -> list[Any | InputError]:
    """Return the results of one file; a split that cannot be used is an error in its place.

    Raises InputError where the file cannot be read. Every InputError names the file.
    """
    seen = cache.look(path) if work.cached else None
    results = _answer(path, work)
    if seen is not None and not any(isinstance(result, InputError) for result in results):
        cache.store(path, work, results, seen=seen)
    return results


def _answer(path: Path, work: Work) -> list[Any | InputError]:
    with locate_errors(path):
        checkpoint = read_checkpoint(path)
        names = _splits(checkpoint, work)
        arguments = _arguments(checkpoint, names, work)
        analyze = partial(work.description.function(), **arguments, path=str(path))
        answers = [_attempted(path, analyze, checkpoint, name) for name in names]
    return [one for answer in answers for one in (answer if isinstance(answer, list) else [answer])]


def _arguments(checkpoint: Checkpoint, names: list[str], work: Work) -> dict[str, Any]:
    arguments = dict(work.options)
    if work.description.threaded:
        arguments["threads"] = work.threads
        if work.watch is not None:  # nobody knows how many passes an iteration takes
            arguments["watch"] = partial(_told, work.watch, None)
    if work.description.passes:
        from nccli.collapse.spans import Threads

        arguments["known"] = {}  # of this file: the class centres that both splits need
        workers = Threads(checkpoint, work.threads)
        if work.watch is not None:
            total = _rows(checkpoint, names, work)
            workers = replace(workers, watch=partial(_told, work.watch, total))
        arguments["workers"] = workers
    return arguments


def _told(watch: Callable[[int, int | None], None], total: int | None, rows: int) -> None:
    watch(rows, total)


def _rows(checkpoint: Checkpoint, names: list[str], work: Work) -> int:
    """How many rows will be run through."""
    passes: int = work.description.passes * (1 + work.options.get("resamples", 0))
    rows = sum(passes * checkpoint.split(name).count for name in names if name in checkpoint.splits)
    if "train" in checkpoint.splits and "train" not in names:
        rows += checkpoint.split("train").count  # for its class centres
    return rows


def _splits(checkpoint: Checkpoint, work: Work) -> list[str]:
    preferred = work.description.preferred
    if work.split == "all" or (work.split is None and not preferred):
        return list(checkpoint.splits)
    return [preferred_split(checkpoint, preferred) if work.split is None else work.split]


def _attempted(path: Path, analyze: Any, checkpoint: Checkpoint, name: str) -> Any | InputError:
    try:
        with locate_errors(path):
            return analyze(checkpoint, split=name)
    except InputError as error:
        return error
