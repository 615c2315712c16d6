"""What stands in place of the tabs while there is nothing to show in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nccli.tui.painted import Painted
from nccli.tui.palette import tint
from nccli.tui.rows import Row, wrapped
from nccli.tui.state import State


class Notice(Painted):
    """Why there is nothing, and what to do about it."""

    DEFAULT_CSS = """
    Notice { display: none; height: 1fr; padding: 0 1; }
    """

    def __init__(self, state: State, paths: Sequence[Path], **options: Any) -> None:
        super().__init__(state, **options)
        self.paths = tuple(paths)

    def paint(self, width: int, height: int) -> Sequence[Row]:
        """The rows, a third of the way down."""
        look = self.session.look
        title, *rest = words(self.session, self.paths) or [""]
        rows: list[Row] = [*wrapped(title, width, look, style=tint(look, "title"))]
        for paragraph in rest:
            rows += [(), *wrapped(paragraph, min(width, 76), look, style=tint(look, "note"))]
        return [*[()] * max(0, (height - len(rows)) // 3), *rows]


def words(state: State, paths: Sequence[Path]) -> list[str]:
    """A title and paragraphs; empty where the tabs have something to show."""
    if not state.scanned:
        return ["Looking for runs"]
    if not state.entries:
        places = ", ".join(str(path) for path in paths) or "the paths given"
        follow = "This screen fills by itself when one appears." if state.follow else (
            "f watches for one that appears.")  # fmt: skip
        return [
            "No run here",
            state.problem or f"{places}: no directory with run.json or checkpoints/.",
            "nccli train --out DIRECTORY writes runs; nccli demo tells the whole story.",
            follow,
        ]
    picked = state.picked
    if not picked:
        return ["No run is picked", "[ goes to the list of runs, space picks one."]
    if not any(entry.files for entry in picked):
        follow = "It is watched." if state.follow else "f watches it."
        return ["No checkpoint yet", f"{picked[0].name} has saved none so far. {follow}"]
    if all(saved in entry.found for entry in picked for saved in entry.files) and not any(
        entry.observations for entry in picked
    ):
        problems = [text for entry in picked for _, text in entry.problems]
        return ["No checkpoint could be measured", *problems[:5]]
    return []
