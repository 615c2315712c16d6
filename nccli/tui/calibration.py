"""Tab 4: reliability diagrams, before or after temperature, the scores and the bins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from textual.widget import Widget

from nccli.tui.calibration_tables import bin_numbers, score_numbers
from nccli.tui.chart_view import ChartView
from nccli.tui.curve_pictures import curve_picture
from nccli.tui.number_table import NumberTable
from nccli.tui.pane import Pane, Rows
from nccli.tui.reliability_pictures import diagram_picture, overlay_picture, sureness_picture
from nccli.tui.state import State

MOST_DIAGRAMS = 4
ECE = "calibration.ece"
CURVES = (
    (ECE, "ECE calibration error"),
    ("calibration.nll", "NLL"),
    ("calibration.temperature", "best temperature"),
    ("calibration.confidence", "mean confidence"),
)


class Calibration(Pane):
    """A diagram for each picked group, or one of all, above the scores."""

    two_columns = 72  # diagrams can be narrower than curves

    def __init__(self, state: State, **options: Any) -> None:
        super().__init__(state, **options)
        places = range(MOST_DIAGRAMS)
        self._diagrams = [ChartView(state, diagram_picture(state, one), ECE) for one in places]
        self._overlay = ChartView(state, overlay_picture(state), ECE)
        self._sureness = [
            ChartView(state, sureness_picture(state, one), "calibration.confidence")
            for one in places
        ]
        self._curves = [ChartView(state, curve_picture(state, *one), one[0]) for one in CURVES]
        self.table = NumberTable(
            state, lambda: bin_numbers(state) if state.view.bins else score_numbers(state)
        )

    def compose(self) -> Iterator[Widget]:
        """Diagrams, curves and table."""
        yield from [*self._diagrams, self._overlay, *self._sureness, *self._curves]
        yield self.table

    @property
    def charts(self) -> Sequence[ChartView]:
        """As many diagrams as there are picked groups, or one of all; then the rest."""
        groups = max(1, len(self.session.groups))
        beside = self.session.view.mode == "side by side"
        diagrams = self._diagrams[:groups] if beside else [self._overlay]
        return [*diagrams, *self._sureness[:groups], *self._curves]

    @property
    def lists(self) -> Sequence[Rows]:
        """The scores, or the bins."""
        return (self.table,)
