"""A tab of curves over the epochs with one table under them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from textual.widget import Widget

from nccli.tui.chart_view import ChartView
from nccli.tui.curve_pictures import curve_picture
from nccli.tui.number_table import Numbers, NumberTable
from nccli.tui.pane import Pane, Rows
from nccli.tui.state import State

WHOLE = 10_000  # columns: wider than any terminal


class CurvesPane(Pane):
    """Curves above numbers; a tab says which: CURVES has (dotted name, title) of each."""

    CURVES: Sequence[tuple[str, str]] = ()

    def __init__(self, state: State, numbers: Callable[[], Numbers], **options: Any) -> None:
        super().__init__(state, **options)
        self._charts = [
            ChartView(state, curve_picture(state, key, title), key) for key, title in self.CURVES
        ]
        self.table = NumberTable(state, numbers)

    def compose(self) -> Iterator[Widget]:
        """Charts and table."""
        yield from self._charts
        yield self.table

    @property
    def charts(self) -> Sequence[ChartView]:
        """The curves."""
        return self._charts

    @property
    def width_of_two(self) -> int:
        """A chart whose panels stand side by side has the whole width."""
        beside = self.session.view.mode == "side by side" and len(self.session.groups) > 1
        return WHOLE if beside else self.two_columns

    @property
    def lists(self) -> Sequence[Rows]:
        """The numbers under them."""
        return (self.table,)
