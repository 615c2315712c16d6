"""Tab 7: the settings of the picked runs, what differs first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from textual.widget import Widget

from nccli.charts import mark, series_style
from nccli.text import plural
from nccli.tui.entry import Entry
from nccli.tui.number_table import Detail, Numbers, NumberTable
from nccli.tui.palette import tint
from nccli.tui.pane import Pane, Rows
from nccli.tui.rows import Cell, Column
from nccli.tui.state import State

ABSENT = "–"
WIDEST = 40  # cells of a value, where there are several beside each other
PROVENANCE = ("created", "command", "git_commit", "device", "platform", "software")


class Notes(Pane):
    """A column a run, a row a setting."""

    def __init__(self, state: State, **options: Any) -> None:
        super().__init__(state, **options)
        self.table = NumberTable(state, lambda: settings_table(state))

    def compose(self) -> Iterator[Widget]:
        """The table."""
        yield self.table

    @property
    def lists(self) -> Sequence[Rows]:
        """The table."""
        return (self.table,)


def settings_table(state: State) -> Numbers:
    """Every setting of the picked runs, those that differ first; then how they were run."""
    runs = [(entry, _settings(entry) | _told(entry)) for entry in state.picked]
    names = dict.fromkeys(name for entry, _ in runs for name in _settings(entry))
    rest = dict.fromkeys(name for _, told in runs for name in told if name not in names)
    differing = {name for name in (*names, *rest) if len({told.get(name) for _, told in runs}) > 1}
    order = sorted(names, key=lambda name: name not in differing)
    widest = WIDEST if len(runs) > 1 else None
    columns = [Column(title="setting", align="left")]
    columns += [_heading(state, entry, rank, widest) for rank, (entry, _) in enumerate(runs)]
    return Numbers(
        columns=columns,
        cells=[_row(state, name, runs, differs=name in differing) for name in (*order, *rest)],
        details=[_detail(name, runs) for name in (*order, *rest)],
        note=_note(len(runs), len(differing & set(names))),
    )


def _heading(state: State, entry: Entry, rank: int, widest: int | None) -> Column:
    kind = state.kind_of(entry)
    sign = "" if kind is None else f"{mark(kind, state.look)} "
    style = "" if kind is None else series_style(kind, state.look)
    return Column(
        title=f"{sign}{entry.name}",
        align="left",
        style=style,
        rank=rank,
        widest=widest,
        elastic=True,
    )


def _row(
    state: State, name: str, runs: Sequence[tuple[Entry, Mapping[str, str]]], *, differs: bool
) -> list[Cell]:
    sign = "≠ " if differs else "  "
    style = tint(state.look, "strong") if differs else ""
    return [(f"{sign}{name}", style), *((told.get(name, ABSENT), style) for _, told in runs)]


def _detail(name: str, runs: Sequence[tuple[Entry, Mapping[str, str]]]) -> Detail:
    return Detail(title=name, facts=[(entry.name, told.get(name, ABSENT)) for entry, told in runs])


def _note(runs: int, differing: int) -> str:
    if runs < 2:
        return "pick a second run to see what differs ([, space)"
    if not differing:
        return "no setting differs"
    return f"{plural(differing, 'setting')} not the same in the {runs} picked runs"


def _settings(entry: Entry) -> dict[str, str]:
    """What the run was started with, as text."""
    return {name: _text(value) for name, value in entry.run.settings.items()}


def _told(entry: Entry) -> dict[str, str]:
    """How the run stands and where it comes from, as text."""
    record = entry.run.record
    found = {"status": entry.standing or ABSENT, "saved epochs": _epochs(entry)}
    for name in ("epochs_done", "message"):
        if record.get(name) is not None:
            found[name] = _text(record[name])
    provenance = record.get("provenance")
    if isinstance(provenance, dict):
        found |= {name: _text(provenance[name]) for name in PROVENANCE if name in provenance}
    return {**found, "path": str(entry.key)}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        if isinstance(value, dict):
            return "  ".join(f"{name} {_plain(one)}" for name, one in value.items())
        return json.dumps(value)
    except (RecursionError, ValueError):  # nested without end, or a number of endless digits
        return "too deep to show"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _epochs(entry: Entry) -> str:
    epochs = entry.epochs
    if len(epochs) > 8:
        return f"{len(epochs)}: {epochs[0]} to {epochs[-1]}"
    return ", ".join(str(epoch) for epoch in epochs) or "none"
