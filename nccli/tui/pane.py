"""A tab's content: charts above a table, arranged for whatever room there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from textual.events import Click
from textual.geometry import Region, Size
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.message import Message
from textual.widget import Widget

from nccli.tui.chart_view import ChartView
from nccli.tui.claim_list import ClaimList
from nccli.tui.keys import bindings
from nccli.tui.number_table import NumberTable
from nccli.tui.state import State

Rows = NumberTable | ClaimList
Stop = tuple[ChartView | Rows, int]  # a widget that can be in focus, and the row within it

TWO_COLUMNS = 84  # columns from which two charts stand side by side
LOWEST_CHART = 8  # rows: title, five of plot, axis and its labels
GOOD_CHART = 13  # rows that a chart takes before the table has more than its least
LOWEST_TABLE = 6  # rows, the header with them
NARROWEST = 56  # columns under which one thing at a time is shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which charts stand where, and where the table is."""

    charts: tuple[tuple[int, Region], ...] = ()
    table: Region | None = None


def plan(size: Size, *, charts: int, rows: int, at: int | None, wide: int = TWO_COLUMNS) -> Plan:
    """Share `size` between `charts` pictures and a table of `rows` lines (header included).

    `at` is the chart in focus, None where the table is. What does not fit is left out, never what
    is in focus: from all charts and the whole table down to a single one of them.
    """
    if size.width < NARROWEST or size.height < LOWEST_CHART + LOWEST_TABLE or not charts:
        return _only(size, charts, at)
    columns = min(charts, 2 if size.width >= wide else 1)
    lines = -(-charts // columns)
    least = min(rows, LOWEST_TABLE)
    shown = max(1, min(lines, (size.height - least) // LOWEST_CHART))
    table = min(rows, max(least, size.height - shown * GOOD_CHART))
    return _stacked(size, charts, columns, shown, table, at or 0)


def _only(size: Size, charts: int, at: int | None) -> Plan:
    if at is None or not charts:
        return Plan(table=size.region)
    return Plan(charts=((at, size.region),))


def _stacked(size: Size, charts: int, columns: int, shown: int, table: int, at: int) -> Plan:
    """`shown` lines of charts, among them that of chart `at`, above `table` rows."""
    lines = -(-charts // columns)
    first = max(0, min(at // columns - (shown - 1), lines - shown)) if shown < lines else 0
    first = max(first, at // columns - shown + 1)
    heights = [(size.height - table) * (i + 1) // shown - (size.height - table) * i // shown
               for i in range(shown)]  # fmt: skip
    placed = []
    top = 0
    for line, height in enumerate(heights, first):
        members = range(line * columns, min(charts, (line + 1) * columns))
        width = size.width // columns
        for column, index in enumerate(members):
            last = column == columns - 1
            across = size.width - column * width if last else width
            placed.append((index, Region(column * width, top, across, height)))
        top += height
    return Plan(charts=tuple(placed), table=Region(0, top, size.width, size.height - top))


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

    class Moved(Message):
        """A click has moved the cursor."""

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

    def places(self, size: Size) -> list[tuple[Widget, Region]]:
        """Where each visible widget stands."""
        widget, charts, table = self.stop[0], self.charts, self.lists[0]
        at = charts.index(widget) if isinstance(widget, ChartView) else None
        found = plan(size, charts=len(charts), rows=table.count + bool(table.count), at=at,
                     wide=self.two_columns)  # fmt: skip
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
        stops = self.stops
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

    def on_click(self, event: Click) -> None:
        """A click puts the cursor on a chart, or where the list under it has put its row."""
        widget = event.widget
        if isinstance(widget, ChartView):
            self.go((widget, 0))
        elif isinstance(widget, (NumberTable, ClaimList)) and widget.count:
            self.go((widget, widget.row))
        self.post_message(self.Moved())
