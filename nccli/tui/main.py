"""The one screen: its layout, and what the keys do to the state it shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from nccli.tui import explain
from nccli.tui.card import Card
from nccli.tui.chart_view import ChartView
from nccli.tui.claim_list import ClaimList
from nccli.tui.footer import Footer
from nccli.tui.header import Header
from nccli.tui.hints import relevant
from nccli.tui.keys import Key, Scope, bindings
from nccli.tui.messages import Pick
from nccli.tui.pane import Pane
from nccli.tui.scrubber import Scrubber
from nccli.tui.sidebar import Sidebar
from nccli.tui.state import TABS, State
from nccli.tui.tab_bar import TabBar
from nccli.tui.tabs import Tabs
from nccli.tui.window import Content, Window


class Main(Screen[None]):
    """Header, runs, tabs, scrubber, footer; a card where the terminal is too small for them."""

    BINDINGS = bindings("screen")

    def __init__(self, state: State, paths: Sequence[Path], **options: Any) -> None:
        super().__init__(**options)
        self.session = state
        self.header = Header(state)
        self.sidebar = Sidebar(state)
        self.tabs = Tabs(state, paths)
        self.scrubber = Scrubber(state, self.number)
        self.footer = Footer(state, self.relevant)
        self.card = Card(state, self.number)

    def compose(self) -> ComposeResult:
        """The regions, from top to bottom."""
        yield self.header
        with Horizontal(id="body"):
            yield self.sidebar
            yield self.tabs
        yield self.scrubber
        yield self.footer
        yield self.card

    def on_mount(self) -> None:
        """Show the tab that was asked for."""
        self.open(self.session.tab)

    def open(self, tab: str) -> None:
        """Show a tab."""
        self.session.tab = tab
        self.tabs.renew()
        self.pane.go()
        self.renew()

    def renew(self) -> None:
        """Draw again what the state has changed."""
        self.set_class(self.session.look.ascii, "-ascii")
        self.tabs.renew()
        for widget in (self.header, self.sidebar.runs, self.scrubber, self.footer, self.card):
            widget.renew()

    @property
    def pane(self) -> Pane:
        """The pane of the open tab."""
        return self.tabs.pane

    def number(self) -> str:
        """The number in focus; NC1 where that is none."""
        return self.pane.number or "train.nc1"

    # --- which keys do something ----------------------------------------------------------------

    @property
    def scope(self) -> Scope:
        """Which keys the widget in focus adds."""
        if self.focused is self.sidebar.filter:
            return "filter"
        if self.focused is self.sidebar.runs:
            return "runs"
        return "chart" if isinstance(self.pane.stop[0], ChartView) else "table"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enter maximises a chart, and explains a number."""
        del parameters
        return action != "maximise" or self.scope == "chart"

    def relevant(self, line: Key) -> bool:
        """Whether a key does something here and now: the footer shows those."""
        return relevant(
            line,
            self.session,
            scope=self.scope,
            shown=not self.tabs.empty,
            alone=self.pane.alone is not None,
        )

    # --- keys -----------------------------------------------------------------------------------

    def action_tab_number(self, number: str) -> None:
        """Open a tab by its number."""
        self.open(TABS[int(number) - 1])

    def action_turn(self, steps: int) -> None:
        """Open the tab beside this one."""
        self.open(TABS[(TABS.index(self.session.tab) + steps) % len(TABS)])

    def action_step(self, steps: int) -> None:
        """Move the epoch cursor by saved epochs."""
        self.session.go_to(self.session.position + steps)
        self.renew()

    def action_end(self, side: int) -> None:
        """Move the epoch cursor to the first saved epoch or the last."""
        self.session.go_to(len(self.session.epochs) - 1 if side > 0 else 0)
        self.renew()

    def action_move(self, steps: int) -> None:
        """Move through the runs, or through the charts and numbers."""
        if self.focused is self.sidebar.runs:
            self.sidebar.runs.move(steps)
        else:
            self.pane.move(steps)
        self.renew()

    def action_maximise(self) -> None:
        """Show the chart in focus alone."""
        self.pane.maximise()
        self.renew()

    def action_log_scale(self) -> None:
        """Logarithmic or linear axes."""
        if self.session.tab in ("collapse", "hessian"):
            self.session.log = not self.session.log
            self.renew()

    def action_epochs_log(self) -> None:
        """Logarithmic or linear epochs."""
        if self.session.tab in ("collapse", "hessian"):
            self.session.toggle_epochs_log()
            self.renew()

    def action_temperature(self) -> None:
        """Before or after temperature scaling."""
        if self.session.tab == "calibration":
            self.session.calibrated = not self.session.calibrated
            self.renew()

    def action_rival(self) -> None:
        """Compare with the next group."""
        self.session.next_rival()
        self.renew()

    def action_runs(self) -> None:
        """To the list of runs, over the screen where it has no place of its own; and back."""
        if self.focused is self.sidebar.runs:
            self._leave_runs()
        else:
            self._enter(self.sidebar.runs)

    def action_filter(self) -> None:
        """Type words that the runs must hold."""
        self.sidebar.filter.add_class("-used")
        self._enter(self.sidebar.filter)

    def action_pick(self) -> None:
        """Pick the run in focus, or unpick it."""
        entry = self.sidebar.runs.current
        if entry is not None:
            self.app.post_message(Pick(entry.key))

    def action_back(self) -> None:
        """One level back: filter, list of runs, maximised chart. Never further."""
        if self.session.filter or self.focused is self.sidebar.filter:
            self.sidebar.clear()
            self._leave_runs()
        elif self.focused is self.sidebar.runs:
            self._leave_runs()
        elif self.pane.restore():
            self.pane.go()
        else:
            return
        self.renew()

    def _enter(self, widget: Widget) -> None:
        self.add_class("-overlay")
        self.set_focus(widget)  # not widget.focus(), which comes after keys that are typed fast

    def _leave_runs(self) -> None:
        self.remove_class("-overlay")
        self.pane.go()

    # --- windows --------------------------------------------------------------------------------

    def action_explain(self) -> None:
        """Say what is in focus: a run, a claim or a number."""
        state, entry = self.session, self.sidebar.runs.current
        widget = self.pane.stop[0]
        claim = widget.claim if isinstance(widget, ClaimList) else None
        if self.focused is self.sidebar.runs:
            if entry is not None:
                self._show(lambda width: explain.run_text(state, entry, width))
        elif claim is not None:
            self._show(lambda width: explain.claim_text(state, claim, width))
        elif not self.tabs.empty:
            key = self.number()
            self._show(lambda width: explain.number_text(state, key, width))

    def action_keys(self) -> None:
        """List the keys."""
        self._show(lambda width: explain.keys_text(self.session, width))

    def action_command(self) -> None:
        """Show the shell command that prints what is on screen."""
        state = self.session
        if state.groups:
            words = explain.command(state)
            self._show(lambda width: explain.command_text(state, width), copies=words)

    def _show(self, content: Content, *, copies: str | None = None) -> None:
        self.app.push_screen(Window(self.session, content, copies=copies))

    # --- messages -------------------------------------------------------------------------------

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while typing."""
        self.session.filter = event.value
        self.renew()

    def on_input_submitted(self) -> None:
        """Keep the filter, and go to the list."""
        self.set_focus(self.sidebar.runs)

    def on_tab_bar_chosen(self, event: TabBar.Chosen) -> None:
        """A tab was clicked."""
        self.open(event.tab)

    def on_run_list_clicked(self) -> None:
        """A run was clicked."""
        self.action_pick()

    def on_chosen(self) -> None:
        """A chart or a number was clicked."""
        self.renew()

    def on_descendant_focus(self) -> None:
        """The keys in the footer are those of the widget in focus."""
        self.renew()
