"""The line above the footer: the epoch cursor among the saved epochs, and the values at it."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from typing import Any

from rich.cells import cell_len

from nccli.charts import mark, series_style
from nccli.render import shown
from nccli.tui.comparison import compared_at
from nccli.tui.curves import first_past, upwards
from nccli.tui.entry import Group
from nccli.tui.painted import Painted
from nccli.tui.palette import tint
from nccli.tui.readings import compared_rows, label
from nccli.tui.rows import Cell, Line, Row
from nccli.tui.state import State

NARROW, WIDE = 12, 32  # cells of the track


class Scrubber(Painted):
    """`epoch 12/200 ━━━━━┃────  NC1  ● CE 0.22  ▲ LS 0.0043  0.02×`."""

    DEFAULT_CSS = """
    Scrubber { height: 1; background: $surface; padding: 0 1; }
    """

    def __init__(self, state: State, number: Callable[[], str], **options: Any) -> None:
        super().__init__(state, **options)
        self._number = number

    def paint(self, width: int, height: int) -> Sequence[Row]:
        """The one row."""
        del height
        state = self.session
        line = Line(width, state.look)
        if state.epoch is None:
            return [line.add("no saved epoch", tint(state.look, "note")).row()]
        line.add("epoch ").add(str(state.epoch), tint(state.look, "strong"))
        line.add(f"/{state.epochs[-1]}  ", tint(state.look, "note"))
        readings, length = self._readings(width - line.at)
        room = width - line.at - length - 3
        track = _track(state, max(NARROW, min(WIDE, room))) if room >= NARROW else []
        for text, style in [*track, *([("   ", "")] if track else []), *readings]:
            line.add(text, style)
        return [line.row()]

    def _readings(self, room: int) -> tuple[list[Cell], int]:
        """The number in focus at the cursor, as fully as there is room, and its length."""
        reached = reached_cells(self.session, self._number())
        for named, more in ((True, reached), (False, reached), (False, [])):
            cells = [*self._cells(named=named), *more]
            length = sum(cell_len(text) for text, _ in cells)
            if length <= room:
                break
        return cells, length

    def _cells(self, *, named: bool) -> list[Cell]:
        """Its name, its value in every group, and the ratio of the compared two."""
        state, key = self.session, self._number()
        cells: list[Cell] = [(label(key), tint(state.look, "note"))]
        for group in state.groups:
            name = f"{group.heading(state.epoch)} " if named else ""
            value = shown(group.value(key, state.epoch))
            words = f"  {mark(group.kind, state.look)} {name}{value}"
            cells.append((words, series_style(group.kind, state.look)))
        if not named:
            return cells
        first, rival = state.compared
        if first is not None and rival is not None and _all_pair(first, rival):
            for row in compared_at(state, first, rival, compared_rows([key])):
                ratio = "" if row.ratio is None else f"  {row.ratio:.3g}×"
                cells.append((ratio, tint(state.look, "note")))
        return cells


def _all_pair(first: Group, rival: Group) -> bool:
    """Whether the ratio, which is of pairs of one seed, is that of the means beside it."""
    seeds = [sorted(str(entry.seed) for entry in group.entries) for group in (first, rival)]
    return seeds[0] == seeds[1]


def reached_cells(state: State, key: str) -> list[Cell]:
    """The first saved epoch at which each group has come to the threshold of a number."""
    level = state.view.levels.get(key)
    if level is None:
        return []
    sign = "≥" if upwards(key) else "≤"
    cells: list[Cell] = [(f"  {sign} {shown(level)} first at", tint(state.look, "note"))]
    for group in state.groups:
        epoch = first_past(state, group, key, level)
        words = f"  {mark(group.kind, state.look)} {'never' if epoch is None else epoch}"
        cells.append((words, series_style(group.kind, state.look)))
    return cells


def _track(state: State, width: int) -> list[Cell]:
    """The saved epochs as a line, the cursor on it; marks where they are few enough to tell."""
    count, look = len(state.epochs), state.look
    done, left, stop, here = ("=", "-", "+", "O") if look.ascii else ("━", "─", "┴", "┃")
    last = max(1, count - 1)
    at = round(state.position * (width - 1) / last) if count > 1 else width - 1
    cells = [done] * at + [left] * (width - at)
    if not look.ascii and 2 * count <= width:
        for place in range(state.position + 1, count):
            cells[round(place * (width - 1) / last)] = stop
    for epoch in state.broken:  # a file that could not be read, where it would stand
        place = bisect.bisect_left(state.epochs, epoch)
        cells[min(width - 1, max(0, round((place - 0.5) * (width - 1) / last)))] = (
            "x" if look.ascii else "✗"
        )
    note = tint(look, "note")
    return [
        ("".join(cells[:at]), ""),
        (here, tint(look, "key")),
        ("".join(cells[at + 1 :]), note),
    ]
