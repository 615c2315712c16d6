"""How a heatmap shares out its cells: one class each, or blocks of classes, and the labels."""

from collections.abc import Sequence
from dataclasses import dataclass

NARROWEST = 2  # columns of a cell: a cell is about twice as high as a column is wide
NUMBERED = 5  # columns from which a cell holds its number
ROOMY = 6  # columns at which numbers do not touch
HIGHEST = 4  # rows of a cell: larger ones add nothing
MOST_NUMBERED = 20  # classes; more numbers than that are noise
NAME_ROOM = 4  # a name cut below this says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """How the classes are shared out: `size` of them a cell, `count` cells of `wide` x `high`."""

    size: int
    count: int
    wide: int
    high: int

    @property
    def numbered(self) -> bool:
        """Whether each cell has room for its number, and there are not too many."""
        return self.size == 1 and self.count <= MOST_NUMBERED and self.wide >= NUMBERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where everything lies: columns of row labels, rows above the cells, what is left out."""

    left: int
    top: int
    cells: Cells
    readout: bool

    @property
    def bottom(self) -> int:
        """The row below the cells."""
        return self.top + self.cells.count * self.cells.high


def plan_cells(
    numbers: Sequence[str], names: Sequence[str], width: int, height: int
) -> tuple[Plan, list[str]]:
    """The layout and the labels of its rows: single classes if they fit, or else blocks."""
    bare = min(width // 3, 1 + max(map(len, numbers)))
    for header, readout in ((1, 1), (0, 1), (0, 0)):
        rows = height - 2 - header - readout
        cells = _cells(len(numbers), width - bare, rows)
        if cells.size == 1:
            left, labels = _named(numbers, names, cells, bare, width, rows)
            cells = _cells(len(numbers), width - left, rows)
            return Plan(left=left, top=1 + header, cells=cells, readout=bool(readout)), labels
    return _blocks(numbers, width, height)


def _blocks(numbers: Sequence[str], width: int, height: int) -> tuple[Plan, list[str]]:
    """The layout when several classes share a cell, each row labelled with its first and last."""
    header = int(height >= 2 * HIGHEST)
    left = min(width // 3, 2 * max(map(len, numbers)) + 2)
    cells = _cells(len(numbers), width - left, height - 3 - header)
    plan = Plan(left=left, top=1 + header, cells=cells, readout=True)
    ends = [numbers[at : at + cells.size] for at in range(0, len(numbers), cells.size)]
    return plan, [f"{b[0]}-{b[-1]}" if len(b) > 1 else b[0] for b in ends]


def _cells(number: int, columns: int, rows: int) -> Cells:
    """The fewest classes a cell that fit, in cells about square, or wide enough for numbers."""
    size = max(-(-number * NARROWEST // columns), -(-number // max(1, rows)), 1)
    while -(-number // size) * NARROWEST > columns:  # rounding up cells of two columns
        size += 1
    count = -(-number // size)
    widest, tallest = columns // count, max(1, rows // count)
    high = min(tallest, HIGHEST, (widest + 1) // 2)
    wide = min(widest, 2 * high)
    if size == 1 and count <= MOST_NUMBERED and widest >= NUMBERED:
        wide = min(widest, max(wide, ROOMY))
    return Cells(size=size, count=count, wide=wide, high=high)


def _named(
    numbers: Sequence[str], names: Sequence[str], cells: Cells, bare: int, width: int, rows: int
) -> tuple[int, list[str]]:
    """Columns for row labels, and the labels: with as much of the names as costs no number."""
    if not names:
        return bare, list(numbers)
    labels = [f"{n:>{bare - 1}} {name}" for n, name in zip(numbers, names, strict=True)]
    most = min(width // 3, 1 + max(map(len, labels)))
    for left in range(most, bare + NAME_ROOM, -1):
        narrower = _cells(len(numbers), width - left, rows)
        if (narrower.size, narrower.numbered) == (cells.size, cells.numbered):
            return left, labels
    return bare, list(numbers)
