"""When a condition first comes true in a run: `nc1 < 0.01` at epoch 200, and from then on.

The answer is a saved epoch: the first at which the condition is true of the split's numbers. The
condition itself came true somewhere after the saved epoch before it; where both have a value, an
interpolated epoch says about where. An undefined value counts as not true, and a note says so.

NC1 and its like do not fall steadily, so coming true once is not staying true: `lasting` says
whether the condition holds at every later saved epoch too, `epoch_lasting` from when on it does.

A condition that never comes true is an answer, not an error: `epoch` is None. A script reads it
there; exit codes speak of claims only where `--fail-if` makes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nccli.collapse_report import CollapseReport
from nccli.condition import Condition
from nccli.levels import between, share_of_way
from nccli.result import flat, quantity, same_as
from nccli.runs import run_folder
from nccli.text import plural, shortlist


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """When a condition first comes true in one split of one run; None is never, or undefined."""

    path: str | None = quantity("run", "the run's folder; of loose files, the one they stand in")
    split: str = same_as(CollapseReport, "split")
    loss_name: str | None = same_as(CollapseReport, "loss_name")
    label_smoothing: float | None = same_as(CollapseReport, "label_smoothing")
    seed: int | None = same_as(CollapseReport, "seed")
    condition: str = quantity("condition", "as it was asked", default="")
    epoch: int | None = quantity("first at", "first saved epoch at which it is true")
    value: float | None = quantity("value", "of the condition's field at that epoch")
    epoch_before: int | None = quantity("not yet at", "the saved epoch before: not true there")
    value_before: float | None = quantity("value", "of the condition's field at the epoch before")
    epoch_interpolated: float | None = quantity(
        "about",
        "epoch between the two at which the value meets the condition's number: the logarithm of "
        "a positive value (else the value itself) taken as linear in the epoch; None for == and "
        "!=, without an epoch before, or without a value there",
    )
    lasting: bool | None = quantity(
        "lasting", "true at all later saved epochs too (also where there is none); None if never"
    )
    epoch_lasting: int | None = quantity(
        "for good from", "first saved epoch from which it is true to the last one"
    )
    epoch_last: int | None = quantity("last epoch", "the last saved epoch that was looked at")
    notes: tuple[str, ...] = same_as(CollapseReport, "notes")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """One saved epoch: the value of the condition's field, and whether the condition is true."""

    epoch: int
    value: float | None
    truth: bool


def crossings(results: Sequence[CollapseReport], condition: Condition) -> list[Crossing]:
    """Return when a condition first comes true, one answer a (run, split), in order of appearance.

    results: of any number of runs, in any order of epochs. A run is a run directory, or the loose
    files of one folder that share loss and seed. Raises UsageError where the condition's field is
    none of the results', or no number.
    """
    groups: dict[tuple[Any, ...], list[CollapseReport]] = {}
    for result in results:
        groups.setdefault(_run_and_split(result), []).append(result)
    return [_crossing(members, condition) for members in groups.values()]


def _run_and_split(result: CollapseReport) -> tuple[Any, ...]:
    run = run_folder(result.path)
    return run, result.loss_name, result.label_smoothing, result.seed, result.split


def _crossing(members: Sequence[CollapseReport], condition: Condition) -> Crossing:
    points = _points(members, condition)
    index = next((i for i, point in enumerate(points) if point.truth), None)
    last_false = max((i for i, point in enumerate(points) if not point.truth), default=-1)
    found = None if index is None else points[index]
    before = points[index - 1] if index else None
    return Crossing(
        path=run_folder(members[0].path),
        split=members[0].split,
        loss_name=members[0].loss_name,
        label_smoothing=members[0].label_smoothing,
        seed=members[0].seed,
        condition=condition.text,
        epoch=None if found is None else found.epoch,
        value=None if found is None else found.value,
        epoch_before=None if before is None else before.epoch,
        value_before=None if before is None else before.value,
        epoch_interpolated=_interpolated(before, found, condition),
        lasting=None if index is None else last_false < index,
        epoch_lasting=points[last_false + 1].epoch if last_false + 1 < len(points) else None,
        epoch_last=points[-1].epoch if points else None,
        notes=_notes(members, points, condition),
    )


def _points(members: Sequence[CollapseReport], condition: Condition) -> list[_Point]:
    found = []
    for member in members:
        row = flat(member)
        truth = condition.holds(row)  # also checks the field, of a result without an epoch too
        if member.epoch is not None:
            value = row[condition.name]
            found.append(_Point(epoch=member.epoch, value=value, truth=truth is True))
    return sorted(found, key=lambda point: point.epoch)


def _interpolated(
    before: _Point | None, found: _Point | None, condition: Condition
) -> float | None:
    if before is None or found is None or condition.sign in ("==", "!="):
        return None
    if before.value is None or found.value is None:
        return None
    share = share_of_way(before.value, found.value, condition.number)
    return None if share is None else between(before.epoch, found.epoch, share, log=False)


def _notes(
    members: Sequence[CollapseReport], points: Sequence[_Point], condition: Condition
) -> tuple[str, ...]:
    notes = []
    undefined = [point.epoch for point in points if point.value is None]
    if undefined:
        where = "every epoch" if len(undefined) == len(points) else f"epoch {shortlist(undefined)}"
        notes.append(f"{condition.name} is undefined at {where}, counted as not true")
    if len(points) < len(members):
        count = plural(len(members) - len(points), "checkpoint")
        notes.append(f"left out {count} without an epoch")
    epochs = [point.epoch for point in points]
    if twice := sorted({epoch for epoch in epochs if epochs.count(epoch) > 1}):
        notes.append(f"several checkpoints of epoch {shortlist(twice)}: these may be several runs")
    return tuple(notes)
