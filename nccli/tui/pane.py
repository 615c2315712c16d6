"""A tab's content: charts above a table, arranged for whatever room there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from textual.geometry import Region, Size
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.widget import Widget

from nccli.tui.chart_view import ChartView
from nccli.tui.claim_list import ClaimList
from nccli.tui.keys import bindings
from nccli.tui.messages import Chosen
from nccli.tui.number_table import NumberTable
from nccli.tui.plan import TWO_COLUMNS, Plan, plan
from nccli.tui.state import State

Rows = NumberTable | ClaimList
Stop = tuple[ChartView | Rows, int]  # a widget that can be in focus, and the row within it


class PaneLayout(Layout):
    """Asks the pane where its widgets are."""

    name = "pane"

    def arrange(
        self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True
    ) -> ArrangeResult:
        """Place the widgets that the pane shows; the others are not on the screen."""
        del children, greedy
        pane = cast(Pane, parent)
        return [
            WidgetPlacement(region, region.offset * 0, widget.styles.margin, widget)
            for widget, region in pane.placed(size)
        ]


_LAYOUT = PaneLayout()


class Pane(Widget, can_focus=True):
    """Charts above a table; the panes of the tabs say which.

    The pane alone has Textual's focus: when that moves, the whole screen is sent again. Which
    chart or row the cursor is on is the pane's own affair.
    """

    BINDINGS = bindings("chart") + bindings("table")
    two_columns = TWO_COLUMNS
    DEFAULT_CSS = """
    Pane { width: 1fr; height: 1fr; }
    """

    def __init__(self, state: State, **options: Any) -> None:
        super().__init__(**options)
        self.session = state
        self.alone: ChartView | None = None  # the chart that is maximised
        self._at: Stop | None = None
        self._shape: tuple[int, ...] = ()
        self._placed: list[tuple[Widget, Region]] = []

    @property
    def layout(self) -> Layout:
        """The pane says itself where its widgets are."""
        return _LAYOUT

    # --- what the tabs fill in ------------------------------------------------------------------

    @property
    def charts(self) -> Sequence[ChartView]:
        """The charts that there are now."""
        return ()

    @property
    def lists(self) -> Sequence[Rows]:
        """The tables under them."""
        raise NotImplementedError

    @property
    def width_of_two(self) -> int:
        """Columns from which two charts stand beside each other."""
        return self.two_columns

    def places(self, size: Size) -> list[tuple[Widget, Region]]:
        """Where each visible widget stands."""
        widget, charts, table = self.stop[0], self.charts, self.lists[0]
        at = charts.index(widget) if isinstance(widget, ChartView) else None
        found = plan(size, charts=len(charts), rows=table.count + bool(table.count), at=at,
                     wide=self.width_of_two)  # fmt: skip
        if self.alone is not None and self.alone in charts:
            found = Plan(charts=((charts.index(self.alone), size.region),))
        for place, chart in enumerate(charts, 1):
            chart.note = f"{place}/{len(charts)}" if len(found.charts) < len(charts) else ""
        places: list[tuple[Widget, Region]] = [(charts[i], r) for i, r in found.charts]
        if found.table and (found.table.height or not places):
            places.append((table, found.table))
        return places

    def placed(self, size: Size) -> list[tuple[Widget, Region]]:
        """The same, remembered: what is on the screen need not be placed again."""
        self._placed = self.places(size)
        return self._placed

    # --- the cursor -----------------------------------------------------------------------------

    @property
    def stops(self) -> list[Stop]:
        """Everything the cursor can be on, in reading order."""
        rows: list[Stop] = [(table, row) for table in self.lists for row in range(table.count)]
        return [*((chart, 0) for chart in self.charts), *rows]

    @property
    def stop(self) -> Stop:
        """What the cursor is on, or was last."""
        stops = self.stops
        if self._at is not None and stops:
            widget = self._at[0]
            row = 0 if isinstance(widget, ChartView) else widget.row
            if (widget, row) in stops:
                return widget, row
        return self.first_stop if stops else (self.lists[0], 0)

    @property
    def first_stop(self) -> Stop:
        """What the cursor is on when the tab is opened."""
        return self.stops[0]

    @property
    def number(self) -> str | None:
        """The dotted name of the number the cursor is on."""
        return self.stop[0].number

    def move(self, steps: int) -> None:
        """Put the cursor on the next thing."""
        stops = [one for one in self.stops if not self.alone or isinstance(one[0], ChartView)]
        if not stops:
            return
        place = stops.index(self.stop) + steps
        self.go(stops[max(0, min(place, len(stops) - 1))])

    def go(self, stop: Stop | None = None) -> None:
        """Put the cursor on something: what was last, without a word."""
        widget, row = self.stop if stop is None else stop
        if not isinstance(widget, ChartView):
            widget.row = row
        if isinstance(widget, ChartView) and self.alone is not None:
            self.alone = widget
        self._at = (widget, row) if self.stops else None
        if not self.has_focus:
            self.screen.set_focus(self, scroll_visible=False)
        self.rearrange()

    def maximise(self) -> None:
        """Show the chart in focus alone, or all again."""
        widget = self.stop[0]
        self.alone = None if self.alone or not isinstance(widget, ChartView) else widget
        self.rearrange()

    def settle(self) -> None:
        """Put the cursor on something that is still there, after the charts have changed."""
        if self.alone is not None and self.alone not in self.charts:
            self.alone = None
        self.go()

    def restore(self) -> bool:
        """Leave the maximised chart; tells whether there was one."""
        was, self.alone = self.alone, None
        self.rearrange()
        return was is not None

    def renew(self) -> None:
        """Draw again what the state has changed, and arrange it where there is more or less."""
        cursor = self.stop[0] if self.has_focus else None
        for widget in (*self.charts, *self.lists):
            widget.active = widget is cursor
            widget.renew()
        shape = (len(self.charts), *(table.count for table in self.lists))
        if shape != self._shape:
            self._shape = shape
            self.rearrange()
        if self._at is None and self.stops and self.has_focus:
            self.go()  # the first numbers are in: the cursor goes where a tab starts

    def rearrange(self) -> None:
        """Place the widgets anew. Textual forgets a pane's arrangement when a child asks for it."""
        if self.places(self.size) != self._placed:
            self.lists[0].refresh(layout=True, repaint=False)

    def on_focus(self) -> None:
        """The cursor shows."""
        self.renew()

    def on_blur(self) -> None:
        """The cursor is elsewhere."""
        self.renew()

    def on_chosen(self, message: Chosen) -> None:
        """A click puts the cursor on a chart, or where the list has put its row."""
        widget = message.widget
        if isinstance(widget, ChartView):
            self.go((widget, 0))
        elif isinstance(widget, (NumberTable, ClaimList)):
            self.go((widget, widget.row))
