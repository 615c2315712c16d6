"""Which runs belong together: those of a directory whose settings differ by loss and seed only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nccli.runs import Run

# What makes another network or another experiment of a run; what it saves, and for how long it is
# trained, does not. Settings of other programs may be anything, and say nothing here.
TELLING = (
    *("data", "model", "width", "depth", "norm", "dropout", "weight_decay", "feature_decay"),
    *("learning_rate", "momentum", "batch_size", "milestones", "gamma", "augment", "pixel_noise"),
    *("train_count", "num_classes", "per_class", "dim", "lambda_w", "lambda_h", "precision"),
    "focal_gamma",
)
LONGEST = 24  # characters of a value; text from files may be longer


class Family(NamedTuple):
    """A directory, and the settings that its runs share."""

    parent: Path
    settings: tuple[tuple[str, str], ...] = ()


def family_of(run: Run) -> Family:
    """Return the family of a run; without a run.json its directory alone tells."""
    settings = tuple((name, _text(run.settings[name])) for name in TELLING if name in run.settings)
    return Family(run.path.absolute().parent, settings)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if not isinstance(value, (str, int, list)):
        return ""
    try:
        text = str(value)
    except (ValueError, RecursionError):  # thousands of digits, lists in lists
        return ""
    return text[:LONGEST]


def unique_names(groups: Sequence[tuple[Family, str]]) -> list[str]:
    """The loss of each group, with what tells it from others of the same loss.

    First the settings in which they differ, then as much of the directory as it takes.
    """
    names = [loss for _, loss in groups]
    known = [dict(family.settings) for family, _ in groups]
    for setting in TELLING:
        same = [name for name in names if names.count(name) > 1]
        for name in dict.fromkeys(same):
            rows = [row for row, one in enumerate(names) if one == name]
            if len({known[row].get(setting) for row in rows}) > 1:
                for row in rows:
                    names[row] = f"{name} {_worded(setting, known[row].get(setting))}"
    worded = list(names)
    for depth in range(1, 1 + max((len(family.parent.parts) for family, _ in groups), default=0)):
        if len(set(names)) == len(names):
            break
        names = [
            "/".join([*family.parent.parts[-depth:], word]) if names.count(name) > 1 else name
            for name, word, (family, _) in zip(names, worded, groups, strict=True)
        ]
    return names


def _worded(setting: str, value: str | None) -> str:
    if value is None:
        return f"no {setting.replace('_', ' ')}"
    return value if setting in ("data", "model", "norm") else f"{setting.replace('_', ' ')} {value}"
