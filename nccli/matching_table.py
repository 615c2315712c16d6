"""Groups of runs at equal levels of collapse, as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from nccli.collapse_report import CollapseReport
from nccli.result import quantities
from nccli.tables import comparison_table
from nccli.text import plural, visible

if TYPE_CHECKING:  # names of types only: this module brings scipy in
    from nccli.matching import Matched

MAX_NOTES = 4  # below one level; the machine formats have them all


def matching_table(rows: Sequence[Matched]) -> RenderableType:
    """One block a level, from the shallowest to the deepest; columns stand below each other."""
    blocks = [list(block) for _, block in groupby(rows, key=lambda row: row.level)]
    tables = [_table(block) for block in blocks]
    _align(tables)
    parts: list[RenderableType] = []
    for block, table in zip(blocks, tables, strict=True):
        parts += [Text()] if parts else []
        parts += [_heading(block[0]), *([table] if table.row_count else []), *_notes(block)]
    return Group(*parts)


def _table(block: Sequence[Matched]) -> Table:
    table = comparison_table(block)
    table.columns[0].header = ""
    table.header_style = "dim"
    return table


def _align(tables: Sequence[Table]) -> None:
    for columns in zip(*(table.columns for table in tables), strict=True):
        cells = [cell for column in columns for cell in (column.header, *column.cells)]
        width = max(cell_len(str(cell)) for cell in cells)
        for column in columns:
            column.min_width = width


def _heading(row: Matched) -> Text:
    label = quantities(CollapseReport)[row.metric].label
    heading = Text(visible(f"at {label} = {row.level:.3g}"), style="bold")
    epochs = [
        f"{group.partition(' ')[0]} {'never' if epoch is None else f'epoch {epoch:.0f}'}"
        for group, epoch in ((row.baseline, row.baseline_epoch), (row.other, row.other_epoch))
    ]
    return heading.append(visible(f" ({', '.join(epochs)})"), style="not bold")


def _notes(block: Sequence[Matched]) -> list[RenderableType]:
    """What is missing, each said once: a level that is out of reach is so for every row."""
    notes = list(dict.fromkeys(note for row in block for note in row.notes))
    if len(notes) > MAX_NOTES:
        notes = [*notes[:MAX_NOTES], f"and {plural(len(notes) - MAX_NOTES, 'more note')}"]
    return [Padding(Text(visible(note), style="dim"), (0, 0, 0, 2)) for note in notes]
