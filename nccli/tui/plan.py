"""How a pane shares its room between charts and a table. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from textual.geometry import Region, Size

TWO_COLUMNS = 84  # columns from which two charts stand side by side
LOWEST_CHART = 8  # rows: title, five of plot, axis and its labels
GOOD_CHART = 13  # rows that a chart takes before the table has more than its least
LOWEST_TABLE = 6  # rows, the header with them
NARROWEST = 60  # columns under which one thing at a time is shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which charts stand where, and where the table is."""

    charts: tuple[tuple[int, Region], ...] = ()
    table: Region | None = None


def plan(size: Size, *, charts: int, rows: int, at: int | None, wide: int = TWO_COLUMNS) -> Plan:
    """Share `size` between `charts` pictures and a table of `rows` lines (header included).

    `at` is the chart in focus, None where the table is. What does not fit is left out, never what
    is in focus: from all charts and the whole table down to a single one of them.
    """
    if size.width < NARROWEST or size.height < LOWEST_CHART + LOWEST_TABLE or not charts:
        return _only(size, charts, at)
    columns = min(charts, 2 if size.width >= wide else 1)
    lines = -(-charts // columns)
    least = min(rows, LOWEST_TABLE)
    roomy = max(2, (size.height - least) // GOOD_CHART)  # more than two lines of charts
    shown = max(1, min(lines, (size.height - least) // LOWEST_CHART, roomy))
    table = min(rows, max(least, size.height - shown * GOOD_CHART))
    return _stacked(size, charts, columns, shown, table, at or 0)


def _only(size: Size, charts: int, at: int | None) -> Plan:
    if at is None or not charts:
        return Plan(table=size.region)
    return Plan(charts=((at, size.region),))


def _stacked(size: Size, charts: int, columns: int, shown: int, table: int, at: int) -> Plan:
    """`shown` lines of charts, among them that of chart `at`, above `table` rows."""
    first = max(0, at // columns - shown + 1)
    heights = [(size.height - table) * (i + 1) // shown - (size.height - table) * i // shown
               for i in range(shown)]  # fmt: skip
    placed = []
    top = 0
    for line, height in enumerate(heights, first):
        members = range(line * columns, min(charts, (line + 1) * columns))
        width = size.width // columns
        for column, index in enumerate(members):
            last = column == columns - 1
            across = size.width - column * width if last else width
            placed.append((index, Region(column * width, top, across, height)))
        top += height
    return Plan(charts=tuple(placed), table=Region(0, top, size.width, size.height - top))


class Counted(Protocol):
    """A list of rows under a header."""

    @property
    def count(self) -> int: ...


List = TypeVar("List", bound=Counted)
LOWEST_LIST = 3  # rows of a list that has some: its header, and two


def share_rows(size: Size, lists: Sequence[List], focus: object) -> list[tuple[List, Region]]:
    """Lists one above the other, each as high as it needs if there is room.

    Where there is not, the one in focus has more of it; where there is none, it is alone.
    """
    used = [one for one in lists if one.count]
    wants = {id(one): one.count + 2 for one in used}  # header, rows, a blank row
    if size.height < LOWEST_LIST * len(used) or not used:
        return [(next((one for one in lists if one is focus), lists[0]), size.region)]
    heights = {key: min(want, LOWEST_LIST) for key, want in wants.items()}
    spare = size.height - sum(heights.values())
    for one in sorted(used, key=lambda one: one is not focus):
        more = min(spare, wants[id(one)] - heights[id(one)])
        heights[id(one)] += more
        spare -= more
    heights[id(used[-1])] += spare
    placed, top = [], 0
    for one in used:
        placed.append((one, Region(0, top, size.width, heights[id(one)])))
        top += heights[id(one)]
    return placed
