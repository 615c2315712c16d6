"""The keys that do something here and now, from the one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nccli.tui.keys import KEYS, Key
from nccli.tui.painted import Painted
from nccli.tui.palette import tint
from nccli.tui.rows import Line, Row, shown_text
from nccli.tui.state import State

NEVER = 9  # the rank from which a key is in the help only
Relevant = Callable[[Key], bool]


class Footer(Painted):
    """`1-4 tabs  ←→ epoch  enter maximise ...  ? keys  q quit`; the least urgent give way."""

    DEFAULT_CSS = """
    Footer { height: 1; background: $panel; padding: 0 1; }
    """

    def __init__(self, state: State, relevant: Relevant, **options: Any) -> None:
        super().__init__(state, **options)
        self._relevant = relevant

    def paint(self, width: int, height: int) -> Sequence[Row]:
        """The one row."""
        del height
        look = self.session.look
        relevant = [line for line in KEYS if line.rank < NEVER and self._relevant(line)]
        hints = [
            (shown_text(cap, look), word, rank)
            for cap, word, rank in merged(sorted(relevant, key=lambda line: line.scope == "screen"))
        ]
        while sum(len(cap) + len(word) + 3 for cap, word, _ in hints) > width + 2 and hints[1:]:
            worst = max(range(len(hints)), key=lambda index: (hints[index][2], index))
            del hints[worst]
        line = Line(width, look)
        for place, (cap, word, _) in enumerate(hints):
            line.add("  " if place else "").add(cap, tint(look, "key"))
            line.add(f" {word}", tint(look, "note"))
        return [line.row()]


def merged(lines: Sequence[Key]) -> list[tuple[str, str, int]]:
    """Cap, word and rank; neighbours of one word share it: `←→ epoch`."""
    found: list[tuple[str, str, int]] = []
    for line in lines:
        if found and found[-1][1] == line.word:
            cap, word, rank = found[-1]
            found[-1] = (cap + line.cap, word, min(rank, line.rank))
        else:
            found.append((line.cap, line.word, line.rank))
    return found
