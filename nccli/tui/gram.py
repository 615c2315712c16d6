"""Tab 5: the angles between all pairs of classes, of the class means and of the classifier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from textual.widget import Widget

from nccli.tui.chart_view import ChartView
from nccli.tui.comparison import comparison_numbers
from nccli.tui.gram_pictures import Which, gram_picture
from nccli.tui.number_table import NumberTable
from nccli.tui.pane import Pane, Rows
from nccli.tui.readings import compared_rows
from nccli.tui.state import State

NUMBERS = (
    *("train.nc2_features", "train.nc2_classifier", "train.nc2_duality"),
    *("train.nc2_equiangular_features", "train.nc2_equiangular_classifier"),
    *("train.nc2_equinorm_features", "train.nc2_equinorm_classifier"),
)
MEANS, CLASSIFIER = "train.nc2_equiangular_features", "train.nc2_equiangular_classifier"


class Gram(Pane):
    """Class means above the classifier, a group beside the other; or their difference."""

    two_columns = 72

    def __init__(self, state: State, **options: Any) -> None:
        super().__init__(state, **options)
        shown: tuple[tuple[Which, str], ...] = (("means", MEANS), ("classifier", CLASSIFIER))
        self._heatmaps = [
            ChartView(state, gram_picture(state, which, place), number)
            for which, number in shown
            for place in (0, 1)
        ]
        rows = compared_rows(NUMBERS)
        self.table = NumberTable(state, lambda: comparison_numbers(state, rows))

    def compose(self) -> Iterator[Widget]:
        """Heatmaps and table."""
        yield from self._heatmaps
        yield self.table

    @property
    def charts(self) -> Sequence[ChartView]:
        """Two groups: both of each; one group, or a difference: one of each."""
        single = self.session.view.mode == "difference" or len(self.session.groups) < 2
        return self._heatmaps[::2] if single else self._heatmaps

    @property
    def lists(self) -> Sequence[Rows]:
        """NC2 in numbers."""
        return (self.table,)
