"""Which runs are compared with which: by their loss, or as the words of a command name them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Literal

from nccli.compare import Trajectory, check_seeds
from nccli.errors import NotFoundError, UsageError

Group = list[Trajectory]
Pair = tuple[Group, Group]  # the baseline, and what is compared with it
By = Literal["auto", "loss", "words"]
BY: tuple[By, ...] = ("auto", "loss", "words")


def grouped(words: Sequence[tuple[str, Sequence[Trajectory]]], by: By = "auto") -> list[Pair]:
    """Return the groups to compare, in pairs.

    words: each word with the runs it names. by: "loss" pools them all and compares every other loss
    with cross-entropy; "words" compares the runs of each further word with those of the first, loss
    by loss where a word names several; "auto" goes by words where there are two, and either each
    names one loss only or pooling them would put one seed into a group twice.

    Raises NotFoundError where nothing is left to compare, UsageError where a group has one seed
    twice.
    """
    runs = [run for _, found in words for run in found]
    if by == "words" or (by == "auto" and _are_groups(words)):
        return _by_words(words)
    check_seeds(runs)
    return _by_loss(runs)


def groups_of(words: Sequence[tuple[str, Sequence[Trajectory]]], by: By = "auto") -> list[Group]:
    """Return the groups to show together, cross-entropy first: those of `grouped`, or one alone.

    Raises UsageError where a group has a seed twice, NotFoundError where there is no run.
    """
    runs = [run for _, found in words for run in found]
    if not runs:
        raise NotFoundError("no run here has a checkpoint that can be read")
    if by == "words" or (by == "auto" and _are_groups(words)):
        groups: list[Group] = []
        for group in (group for pair in _by_words(words) for group in pair):
            if group not in groups:
                groups.append(group)
        return groups
    check_seeds(runs)
    losses = by_loss(runs)
    return [losses[name] for name in sorted(losses, key=lambda name: (name != "CE", name))]


def by_loss(runs: Sequence[Trajectory]) -> dict[str, Group]:
    """Return the runs of each loss, in the order of their names."""
    groups: dict[str, Group] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    return dict(sorted(groups.items()))


def _are_groups(words: Sequence[tuple[str, Sequence[Trajectory]]]) -> bool:
    if len(words) != 2 or not all(runs for _, runs in words):
        return False
    if all(len(by_loss(runs)) == 1 for _, runs in words):
        return True
    try:
        check_seeds([run for _, runs in words for run in runs])
    except UsageError:
        return True
    return False


def _by_loss(runs: Sequence[Trajectory]) -> list[Pair]:
    groups = by_loss(runs)
    have = ", ".join(groups) or "none"
    baseline = groups.pop("CE", [])
    if not baseline or not groups:
        raise NotFoundError(
            f"needs runs of cross-entropy and of label smoothing, found: {have}",
            remedy="train both: nccli train --loss ce,ls; or name two groups: "
            "nccli compare 'runs/a*' 'runs/b*'",
        )
    return [(baseline, group) for group in groups.values()]


def _by_words(words: Sequence[tuple[str, Sequence[Trajectory]]]) -> list[Pair]:
    if len(words) < 2:
        raise UsageError(
            "one word names one group only",
            remedy="name another to compare with, or leave --groups out",
        )
    labels = _labels([word for word, _ in words])
    losses = [by_loss(runs) for _, runs in words]
    pairs: list[Pair] = []
    for label, found in zip(labels[1:], losses[1:], strict=True):
        if len(losses[0]) == len(found) == 1:
            (first,), (second,) = losses[0].values(), found.values()
            pairs.append(_named(first, second, labels[0], label))
        else:
            shared = [loss for loss in losses[0] if loss in found]
            pairs += [_named(losses[0][one], found[one], labels[0], label, one) for one in shared]
    if not pairs:
        raise NotFoundError(
            "the words name no runs of one loss", remedy="compare them by loss: --groups loss"
        )
    for one, two in pairs:
        check_seeds(one)
        check_seeds(two)
    return pairs


def _named(first: Group, second: Group, one: str, two: str, loss: str = "") -> Pair:
    """Call two groups by their losses where these differ, else as the words do."""
    if first[0].group != second[0].group:
        return first, second
    names = [f"{name} {loss}".strip() for name in (one, two)]
    named = [
        [replace(run, group=name) for run in group]
        for name, group in zip(names, (first, second), strict=True)
    ]
    return named[0], named[1]


def _labels(words: Sequence[str]) -> list[str]:
    """The last parts of paths, where they tell the words apart."""
    short = [PurePath(word).name or word for word in words]
    return short if len(set(short)) == len(short) else list(words)
