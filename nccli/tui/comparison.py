"""The two compared groups beside each other at the epoch cursor, as a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from nccli import compare
from nccli.charts import mark, series_style, sparkline
from nccli.compare import Compared, Comparison
from nccli.tables import mean_and_spread
from nccli.tui.curves import trend
from nccli.tui.entry import Group
from nccli.tui.number_table import Numbers
from nccli.tui.palette import tint
from nccli.tui.rows import Cell, Column
from nccli.tui.state import State

TREND = 12  # cells of a sparkline


def group_cell(state: State, group: Group, text: str | None = None) -> Cell:
    """A group's marker and name in its colour; `text` instead of the name."""
    words = group.heading(state.epoch) if text is None else text
    return f"{mark(group.kind, state.look)} {words}", series_style(group.kind, state.look)


def comparison_numbers(state: State, rows: Sequence[Compared], *, trends: bool = False) -> Numbers:
    """The rows of the comparison that either group has, at the cursor; `trends`: over time too."""
    first, rival = state.compared
    if first is None:
        return Numbers(columns=[Column(title="", align="left")], cells=[], numbers=[])
    found = compared_at(state, first, rival or first, rows)
    known = [row for row in found if (row.baseline_mean, row.other_mean) != (None, None)]
    title = "" if state.epoch is None else f"at epoch {state.epoch}"
    columns = [Column(title=title, align="left"), *_columns(state, first, rival)]
    cells = [[(row.label, ""), *_cells(state, row, first, rival)] for row in known]
    if trends:
        groups = [group for group in (first, rival) if group is not None]
        columns += [Column(title=group_cell(state, group, "trend")[0], align="left", rank=5 + place,
                           style=series_style(group.kind, state.look))
                    for place, group in enumerate(groups)]  # fmt: skip
        for row, line in zip(known, cells, strict=True):
            line += [_trend(state, group, row.key) for group in groups]
    return Numbers(
        columns=columns,
        cells=cells,
        numbers=[row.key for row in known],
        exact=lambda: [dataclasses.asdict(row) for row in known],
        note=_note(state),
    )


def _trend(state: State, group: Group, key: str) -> Cell:
    """A number over the saved epochs in a few cells."""

    def drawn() -> str:
        values = trend(state, group, key)
        log = all(value > 0 for value in values)
        words = sparkline(values, width=TREND, look=state.look, log=log)
        return words if len(values) > 1 else ""

    words = state.memo(("trend", group.kind, key, state.look), drawn)
    return words, series_style(group.kind, state.look)


def compared_at(
    state: State, first: Group, other: Group, rows: Sequence[Compared]
) -> list[Comparison]:
    """Both groups compared at the cursor; nothing before both have a measured epoch."""
    one, two = (group.trajectories(state.epoch) for group in (first, other))
    if not one or not two:
        return _alone(one or two, rows, first_only=bool(one))
    return compare.compare(one, two, rows=rows)


def _alone(
    runs: Sequence[compare.Trajectory], rows: Sequence[Compared], *, first_only: bool
) -> list[Comparison]:
    """One group beside nothing: its means, no difference."""
    if not runs:
        return []
    return [
        Comparison(
            key=row.key,
            label=row.label,
            better=row.better,
            baseline_mean=row.baseline_mean if first_only else None,
            baseline_std=row.baseline_std if first_only else None,
            other_mean=None if first_only else row.other_mean,
            other_std=None if first_only else row.other_std,
        )
        for row in compare.compare(runs, runs, rows=rows)
    ]


def _columns(state: State, first: Group, rival: Group | None) -> list[Column]:
    groups = [first] if rival is None else [first, rival]
    found = [
        Column(title=title, style=style)
        for title, style in (group_cell(state, group) for group in groups)
    ]
    if rival is None:
        return found
    return [
        *found,
        Column(title="Δ", rank=4),
        Column(title="ratio", rank=1),
        Column(title="95 % interval", rank=3),
        Column(title="better", align="left", rank=2),
    ]


def _cells(state: State, row: Comparison, first: Group, rival: Group | None) -> list[Cell]:
    cells = [(mean_and_spread(row.baseline_mean, row.baseline_std), "")]
    if rival is None:
        return cells
    note = tint(state.look, "note")
    ratio = "" if row.ratio is None else f"{row.ratio:.3g}×"
    difference = "" if row.difference is None else f"{row.difference:+.3g}"
    interval = "" if row.low is None else f"[{row.low:.3g}, {row.high:.3g}]"
    cells += [
        (mean_and_spread(row.other_mean, row.other_std), ""),
        (difference, note),
        (ratio, ""),
        (interval, note),
    ]
    return [*cells, _better(state, row, first, rival)]


def _better(state: State, row: Comparison, first: Group, rival: Group) -> Cell:
    """The group the interval favours; without one, where the means point, and that it is open."""
    note = tint(state.look, "note")
    if row.better is None or row.difference is None:
        return "", note
    if row.winner is not None:
        ahead = rival if _rises(row) == (row.better == "higher") else first
        return group_cell(state, ahead, ahead.name)
    if row.difference == 0 and not row.low and not row.high:
        return "equal", note
    if row.low is not None:
        return "undecided", note
    ahead = rival if (row.difference > 0) == (row.better == "higher") else first
    most = max(len(first.entries), len(rival.entries))
    words = "one pair" if most == 1 else "no interval"  # the means of one run and of several
    return f"{mark(ahead.kind, state.look)} {words}", note


def _rises(row: Comparison) -> bool:
    """Whether the interval that decided says that the rival has more; names may be the same."""
    return row.low is not None and row.low > (0 if row.ratio is None else 1)


def _note(state: State) -> str:
    """What the table leaves out."""
    first, rival = state.compared
    rest = [group.name for group in state.groups if group not in (first, rival)]
    return f"also picked: {', '.join(rest)}; n compares with the next" if rest else ""
