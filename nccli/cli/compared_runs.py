"""From words to measured runs: for the commands that compare and show them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from nccli.cli import console
from nccli.errors import UsageError
from nccli.text import shortlist, visible

if TYPE_CHECKING:
    from nccli.compare import Trajectory
    from nccli.errors import InputError
    from nccli.groups import By, Pair

Choice = TypeVar("Choice", bound=str)


def run_directories(words: Sequence[str]) -> tuple[list[Path], int]:
    """Return the run directories that the words name, and how many words named none (each told).

    Raises the first error where there is no run at all.
    """
    found, missing = runs_by_word(words)
    return [run for _, runs in found for run in runs], missing


def runs_by_word(words: Sequence[str]) -> tuple[list[tuple[str, list[Path]]], int]:
    """Return the run directories of each word, and how many words named none (each told).

    A run that several words name is the first one's. Raises the first error where there is no run.
    """
    from nccli.runs import expand_runs

    seen: set[Path] = set()
    found: list[tuple[str, list[Path]]] = []
    errors: list[InputError] = []
    for word in words:
        runs = []
        for item in expand_runs([word]):
            if not isinstance(item, Path):
                errors.append(item)
            elif (real := item.resolve()) not in seen:
                seen.add(real)
                runs.append(item)
        found.append((word, runs))
    if not seen:
        raise errors[0]
    for error in errors:
        console.say(f"nccli: {error}")
    return found, len(errors)


def measure_runs(
    runs: Sequence[Path], *, cached: bool = False
) -> tuple[list[Trajectory], list[InputError]]:
    """Measure every checkpoint of every run; unreadable ones are said and left out."""
    ((_, measured),), problems = measure_words([("", runs)], cached=cached)
    return measured, problems


def measure_words(
    words: Sequence[tuple[str, Sequence[Path]]], *, cached: bool = False
) -> tuple[list[tuple[str, list[Trajectory]]], list[InputError]]:
    """Measure every checkpoint of every word's runs; unreadable ones are said and left out."""
    from nccli.observe import observe_run

    measured: list[tuple[str, list[Trajectory]]] = []
    problems: list[InputError] = []
    total = sum(len(runs) for _, runs in words)
    with console.progress_over(total, "runs measured") as advance:
        for word, runs in words:
            trajectories = []
            for run in runs:
                trajectory, errors = observe_run(run, cached=cached)
                problems += errors
                trajectories += [trajectory] if trajectory.observations else []
                advance()
            measured.append((word, trajectories))
    for error in problems:
        console.say(f"nccli: {error}")
    _say_uneven([run for _, runs in measured for run in runs])
    return measured, problems


def _say_uneven(runs: Sequence[Trajectory]) -> None:
    epochs = sorted({run.last.epoch for run in runs if run.last.epoch is not None})
    if len(epochs) > 1:
        shown = ", ".join(str(epoch) for epoch in epochs)
        console.say(f"nccli: the runs end at different epochs ({shown}); each is taken at its last")


def one_of(option: str, word: str, choices: Sequence[Choice]) -> Choice:
    """Return the choice that a word is; raises UsageError where it is none."""
    for choice in choices:
        if word == choice:
            return choice
    raise UsageError(f"cannot read {option} '{word}'", remedy=f"choices: {', '.join(choices)}")


def say_groups(
    measured: Sequence[tuple[str, list[Trajectory]]], pairs: Sequence[Pair], by: By
) -> int:
    """Say on stderr what a user may not expect of the groups; return how many runs are in none."""
    from nccli.groups import by_loss, goes_by_words, left_out
    from nccli.trajectory import scored_splits

    several = any(len(by_loss(runs)) > 1 for _, runs in measured)
    if by == "auto" and several and goes_by_words(measured, by):
        first, second = (visible(word) for word, _ in measured)
        console.say(f"nccli: {second} against {first}, loss by loss; --groups loss pools them")
    apart = left_out(measured, pairs)
    if apart:
        names = shortlist([visible(run.name) for run in apart])
        console.say(f"nccli: left out, as no other word has runs of that loss: {names}")
    splits = scored_splits([run for pair in pairs for group in pair for run in group])
    if len(splits) > 1:
        console.say(
            f"nccli: calibration is of different splits ({', '.join(sorted(splits))}): not compared"
        )
    return len(apart)
