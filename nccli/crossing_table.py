"""When a condition first comes true, run by run: a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nccli.crossing import Crossing
from nccli.render import shown
from nccli.tables import short_path
from nccli.text import group_name, visible


def crossings_table(found: Sequence[Crossing]) -> RenderableType:
    """One line a (run, split), by the folder that the runs stand in."""
    parts: list[RenderableType] = []
    for folder, members in groupby(found, key=lambda one: Path(one.path or ".").parent):
        parts += [Text()] if parts else []
        parts += [_heading(folder, found[0].condition), _table(list(members))]
    return Group(*parts)


def _heading(folder: Path, condition: str) -> Text:
    heading = Text(visible(short_path(str(folder))), style="bold")
    return heading.append(visible(f"  first epoch with {condition}"), style="not bold")


def _table(members: Sequence[Crossing]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("run", overflow="fold")
    table.add_column("split", no_wrap=True)
    for heading in ("epoch", "value", "before", "value", "about", "for good"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in members:
        table.add_row(Text(_name(one, members)), Text(visible(one.split)), *_cells(one))
    return table


def _name(one: Crossing, members: Sequence[Crossing]) -> str:
    """The run's name; of loose files in one folder, their loss and seed as well."""
    name = Path(one.path or "").name or "."
    if sum((other.path, other.split) == (one.path, one.split) for other in members) > 1:
        group = group_name(one.loss_name, one.label_smoothing) if one.loss_name else "no loss"
        name = f"{name} {group}" + ("" if one.seed is None else f" seed {one.seed}")
    return visible(name)


def _cells(one: Crossing) -> list[str]:
    if one.epoch is None:
        return ["never", *[""] * 5]
    numbers = (one.epoch, one.value, one.epoch_before, one.value_before)
    about = "–" if one.epoch_interpolated is None else f"{one.epoch_interpolated:.0f}"
    good = "no" if one.epoch_lasting is None else f"from {one.epoch_lasting}"
    return [*(shown(value) for value in numbers), about, good]
