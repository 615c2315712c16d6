"""The tables for people as LaTeX, in the lines of booktabs; what is not a table is a comment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from nccli.escapes import escaped
from nccli.text import visible

ALIGNED = {"left": "l", "right": "r", "center": "c", "default": "l", "full": "l"}


def latex(renderable: Any) -> str:
    """Return a table, or a group of them, as LaTeX for a document that loads booktabs.

    Symbols need amssymb. Text from files is escaped.
    """
    parts = [part for part in _parts(renderable) if part]
    spaced = ["\n" + part if part[0] != "%" and index else part for index, part in enumerate(parts)]
    return "".join(spaced)


def _parts(renderable: Any) -> Iterator[str]:
    if isinstance(renderable, Table):
        yield _table(renderable)
    elif isinstance(renderable, Group):
        for part in renderable.renderables:
            yield from _parts(part)
    elif isinstance(renderable, Padding):
        yield from _parts(renderable.renderable)
    else:
        yield "".join(f"% {line}\n" for line in _plain(renderable).splitlines() if line.strip())


def _table(table: Table) -> str:
    headings = [_cell(column.header) for column in table.columns]
    columns = [[_cell(cell) for cell in column.cells] for column in table.columns]
    if table.show_header:  # a column's cells begin with its heading
        columns = [cells[-len(table.rows) :] if table.rows else [] for cells in columns]
    lines = [f"\\begin{{tabular}}{{{''.join(ALIGNED[c.justify] for c in table.columns)}}}"]
    title = _plain(table.title).strip() if table.title else ""
    if title:
        lines.insert(0, f"% {title}")
    lines.append(r"\toprule")
    if any(headings):
        lines += [" & ".join(headings) + r" \\", r"\midrule"]
    for row, cells in zip(table.rows, zip(*columns, strict=True), strict=True):
        lines.append(" & ".join(cells) + r" \\")
        if row.end_section:
            lines.append(r"\midrule")
    lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _cell(cell: Any) -> str:
    return escaped(_plain(cell))


def _plain(cell: Any) -> str:
    """The words of a cell or a paragraph, each line harmless."""
    text = cell.plain if isinstance(cell, Text) else str(cell)
    return "\n".join(visible(line) for line in text.split("\n"))
