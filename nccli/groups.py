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
Words = Sequence[tuple[str, Sequence[Trajectory]]]
By = Literal["auto", "loss", "words"]
BY: tuple[By, ...] = ("auto", "loss", "words")


def grouped(words: Words, by: By = "auto") -> list[Pair]:
    """Return the groups to compare, in pairs.

    words: each word with the runs it names. by: "loss" pools them all and compares every other loss
    with cross-entropy; "words" compares the runs of each further word with those of the first, loss
    by loss where a word names several; "auto" goes by words where there are two, and either each
    names one loss only or they share one.

    Raises NotFoundError where nothing is left to compare, UsageError where a group has one seed
    twice.
    """
    if goes_by_words(words, by):
        return _by_words(words)
    runs = [run for _, found in words for run in found]
    check_seeds(runs)
    return _by_loss(runs)


def groups_of(words: Words, by: By = "auto") -> list[Group]:
    """Return the groups to show together, cross-entropy first: by loss, or word by word.

    Raises UsageError where a group has a seed twice, NotFoundError where there is no run.
    """
    runs = [run for _, found in words for run in found]
    if not runs:
        raise NotFoundError("no run here has a checkpoint that can be read")
    if goes_by_words(words, by):
        groups = [group for found in _named(words) for group in found.values()]
        for group in groups:
            check_seeds(group)
        return groups
    check_seeds(runs)
    losses = by_loss(runs)
    return [losses[name] for name in sorted(losses, key=lambda name: (name != "CE", name))]


def left_out(words: Words, pairs: Sequence[Pair]) -> list[Trajectory]:
    """Return the runs that no pair has: their loss is not the other word's."""
    kept = {id(run.observations) for pair in pairs for group in pair for run in group}
    return [run for _, runs in words for run in runs if id(run.observations) not in kept]


def goes_by_words(words: Words, by: By) -> bool:
    """Tell whether the words are the groups."""
    if by != "auto":
        return by == "words"
    if len(words) != 2 or not all(runs for _, runs in words):
        return False
    first, second = (set(by_loss(runs)) for _, runs in words)
    return len(first) == len(second) == 1 or bool(first & second)


def by_loss(runs: Sequence[Trajectory]) -> dict[str, Group]:
    """Return the runs of each loss, in the order of their names."""
    groups: dict[str, Group] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    return dict(sorted(groups.items()))


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


def _by_words(words: Words) -> list[Pair]:
    named = _named(words)
    if len(named) < 2:
        raise UsageError(
            "only one of the words names runs that are not another's",
            remedy="name two groups: nccli compare 'runs/a*' 'runs/b*'",
        )
    first, *others = named
    pairs: list[Pair] = []
    for found in others:
        if len(first) == len(found) == 1:
            (one,), (two,) = first.values(), found.values()
            pairs.append((one, two))
        else:
            pairs += [(first[loss], found[loss]) for loss in first if loss in found]
    if not pairs:
        raise NotFoundError(
            "the words name no runs of one loss", remedy="compare them by loss: --groups loss"
        )
    for group in (group for pair in pairs for group in pair):
        check_seeds(group)
    return pairs


def _named(words: Words) -> list[dict[str, Group]]:
    """The runs of each word by loss, called by their losses where these tell all words apart."""
    present = [(word, by_loss(runs)) for word, runs in words if runs]
    losses = [loss for _, found in present for loss in found]
    alone = all(len(found) == 1 for _, found in present)
    if alone and len(set(losses)) == len(losses):
        return [found for _, found in present]
    labels = _labels([word for word, _ in present])
    return [
        {
            loss: [replace(run, group=label if alone else f"{label} {loss}") for run in runs]
            for loss, runs in found.items()
        }
        for label, (_, found) in zip(labels, present, strict=True)
    ]


def _labels(words: Sequence[str]) -> list[str]:
    """The last parts of paths, where they tell the words apart."""
    short = [PurePath(word).name or word for word in words]
    return short if len(set(short)) == len(short) else list(words)
