"""What is shown before the user has chosen: which runs, and how the axis of epochs is spaced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nccli.tui.entry import Entry
from nccli.tui.families import Family

MAX_SEEDS = 5  # runs of a group; our own limit
BASELINE = "CE"


def default_picks(entries: Sequence[Entry]) -> set[Path]:
    """Cross-entropy and the first other loss of the same family, with their seeds."""
    families: dict[Family, dict[str, list[Path]]] = {}
    for entry in entries:
        if entry.group is not None:
            families.setdefault(entry.family, {}).setdefault(entry.group, []).append(entry.key)
    for groups in families.values():
        others = [name for name in groups if name != BASELINE]
        if BASELINE in groups and others:
            return {*groups[BASELINE][:MAX_SEEDS], *groups[others[0]][:MAX_SEEDS]}
    firsts: dict[bool, list[Path]] = {}
    for groups in families.values():
        for name, keys in groups.items():
            firsts.setdefault(name == BASELINE, keys)
    found = {key for keys in firsts.values() for key in keys[:MAX_SEEDS]}
    return found or {entry.key for entry in entries[:1]}


def grow_by_factors(epochs: Sequence[int]) -> bool:
    """Whether saved epochs grow like 1, 2, 4, 8: half of them in the first third of the time."""
    if not epochs or epochs[0] < 1:
        return False
    return epochs[-1] / epochs[0] >= 30 and epochs[len(epochs) // 2] < epochs[-1] / 3
