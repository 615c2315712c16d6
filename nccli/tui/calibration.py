"""Tab 4: reliability diagrams side by side, before or after temperature, and the scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from textual.widget import Widget

from nccli.render import shown
from nccli.tui.chart_view import ChartView
from nccli.tui.comparison import group_cell
from nccli.tui.entry import Group
from nccli.tui.number_table import Numbers, NumberTable
from nccli.tui.palette import tint
from nccli.tui.pane import Pane, Rows
from nccli.tui.pictures import draw_reliability
from nccli.tui.readings import meaning
from nccli.tui.rows import Cell, Column
from nccli.tui.state import State

MOST_DIAGRAMS = 4
SCORES = (
    *("ece", "ece_noise_floor", "ece_smooth", "ece_equal_mass", "ece_classwise", "mce"),
    *("overconfidence", "ece_over", "ece_under", "nll", "brier", "brier_calibration"),
    *("brier_refinement", "accuracy", "aurc", "confidence", "confidence_right"),
    *("confidence_wrong", "saturated"),
)
TEMPERATURE = "calibration.temperature"
ALONE = (TEMPERATURE, "calibration.calibration_p", "calibration.confidence_collapsed")


class Calibration(Pane):
    """A diagram for each picked group, above the scores before and after temperature."""

    two_columns = 72  # diagrams can be narrower than curves

    def __init__(self, state: State, **options: Any) -> None:
        super().__init__(state, **options)
        self._diagrams = [
            ChartView(state, partial(draw_reliability, state, place), "calibration.ece")
            for place in range(MOST_DIAGRAMS)
        ]
        self.table = NumberTable(state, lambda: score_numbers(state))

    def compose(self) -> Iterator[Widget]:
        """Diagrams and table."""
        yield from self._diagrams
        yield self.table

    @property
    def charts(self) -> Sequence[ChartView]:
        """As many diagrams as there are picked groups."""
        return self._diagrams[: max(1, len(self.session.groups))]

    @property
    def lists(self) -> Sequence[Rows]:
        """The scores."""
        return (self.table,)


def score_numbers(state: State) -> Numbers:
    """Each score of the two compared groups, before and after temperature scaling."""
    groups = [group for group in state.compared if group is not None]
    title = "" if state.epoch is None else f"at epoch {state.epoch}{_split(state, groups)}"
    columns = [Column(title=title, align="left")]
    for group in groups:
        heading, style = group_cell(state, group)
        columns += [Column(title=heading, style=style), Column(title="after T", rank=1)]
    keys = [f"calibration.{name}" for name in SCORES]
    known = [key for key in (*ALONE, *keys) if any(g.values(key, state.epoch) for g in groups)]
    cells = [
        [
            (meaning(key).label, ""),
            *(cell for group in groups for cell in _cells(state, group, key)),
        ]
        for key in known
    ]
    return Numbers(columns=columns, cells=cells, numbers=known)


def _split(state: State, groups: Sequence[Group]) -> str:
    """Which split is scored: test, or what there is instead of it."""
    seen = [entry.at(state.epoch) for group in groups for entry in group.entries]
    splits = {one.calibration.split for one in seen if one and one.calibration}
    return f", {'/'.join(sorted(splits))}" if splits else ""


def _cells(state: State, group: Group, key: str) -> list[Cell]:
    note = tint(state.look, "note")
    if key in ALONE:
        return [(shown(group.value(key, state.epoch)), ""), ("", note)]
    name = key.rpartition(".")[2]
    after = group.value(f"calibration.calibrated.{name}", state.epoch)
    return [(shown(group.value(key, state.epoch)), ""), (shown(after), note)]
