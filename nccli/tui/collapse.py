"""Tab 2: NC1, NC2, NC3 and ECE over the epochs, and every collapse number at the cursor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from textual.widget import Widget

from nccli.tui.chart_view import ChartView
from nccli.tui.comparison import comparison_numbers
from nccli.tui.number_table import NumberTable
from nccli.tui.pane import Pane, Rows
from nccli.tui.pictures import draw_curves
from nccli.tui.readings import compared_rows
from nccli.tui.state import State

CHARTS = (
    ("train.nc1", "NC1 within-class variability"),
    ("train.nc2_features", "NC2 means → simplex ETF"),
    ("train.nc3", "NC3 self-duality"),
    ("calibration.ece", "ECE calibration error"),
)
NUMBERS = (
    *("train.nc1", "test.nc1", "train.nc2_features", "train.nc2_classifier", "train.nc2_duality"),
    *("train.nc3", "train.nc4", "test.nc4", "train.cdnv", "train.nontarget_logit_spread"),
    *("train.weight_norm", "train.feature_norm", "calibration.ece"),
    *("train.accuracy", "test.accuracy", "train.loss", "test.loss"),
)


class Collapse(Pane):
    """Four curves above the numbers."""

    def __init__(self, state: State, **options: Any) -> None:
        super().__init__(state, **options)
        self._charts = [
            ChartView(state, partial(draw_curves, state, key, title), key) for key, title in CHARTS
        ]
        rows = compared_rows(NUMBERS)
        self.table = NumberTable(state, lambda: comparison_numbers(state, rows))

    def compose(self) -> Iterator[Widget]:
        """Charts and table."""
        yield from self._charts
        yield self.table

    @property
    def charts(self) -> Sequence[ChartView]:
        """The four curves."""
        return self._charts

    @property
    def lists(self) -> Sequence[Rows]:
        """The numbers."""
        return (self.table,)
