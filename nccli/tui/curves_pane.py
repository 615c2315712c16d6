"""A tab of curves over the epochs with one table under them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from textual.widget import Widget

from nccli.tui.chart_view import ChartView
from nccli.tui.number_table import Numbers, NumberTable
from nccli.tui.pane import Pane, Rows
from nccli.tui.pictures import draw_curves
from nccli.tui.state import State


class CurvesPane(Pane):
    """Curves above numbers; a tab says which: CURVES has (dotted name, title) of each."""

    CURVES: Sequence[tuple[str, str]] = ()

    def __init__(self, state: State, numbers: Callable[[], Numbers], **options: Any) -> None:
        super().__init__(state, **options)
        self._charts = [
            ChartView(state, partial(draw_curves, state, key, title), key)
            for key, title in self.CURVES
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
    def lists(self) -> Sequence[Rows]:
        """The numbers under them."""
        return (self.table,)
