"""The one screen: its layout, and what the keys do to the state it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from nccli.export import Plotted
from nccli.text import visible
from nccli.tui import commands, explain
from nccli.tui.card import Card
from nccli.tui.chart_view import ChartView
from nccli.tui.claim_list import ClaimList
from nccli.tui.curves import upwards
from nccli.tui.export_menu import ExportMenu, table_plotted
from nccli.tui.footer import Footer
from nccli.tui.header import Header
from nccli.tui.hints import relevant
from nccli.tui.keys import Key, Scope, bindings
from nccli.tui.messages import Pick, Wanted
from nccli.tui.number_table import NumberTable
from nccli.tui.pane import Pane
from nccli.tui.prompt import Prompt, read_level
from nccli.tui.readings import label
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
        self.open(self.session.view.tab)

    def open(self, tab: str) -> None:
        """Show a tab."""
        self.session.view.tab = tab
        self.tabs.renew()
        self.pane.go()
        self.changed()

    def changed(self) -> None:
        """Draw again after a key has changed what is shown, and find out what is missing now."""
        self.app.post_message(Wanted())
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
        self.open(TABS[(TABS.index(self.session.view.tab) + steps) % len(TABS)])

    def action_step(self, steps: int) -> None:
        """Move the epoch cursor by saved epochs."""
        self.session.go_to(self.session.position + steps)
        self.changed()

    def action_end(self, side: int) -> None:
        """Move the epoch cursor to the first saved epoch or the last."""
        self.session.go_to(len(self.session.epochs) - 1 if side > 0 else 0)
        self.changed()

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

    def action_mode(self) -> None:
        """Groups overlaid, side by side, subtracted or divided."""
        self.session.view.next_mode()
        self.pane.settle()
        self.changed()

    def action_log_scale(self) -> None:
        """Logarithmic or linear axes."""
        self._switch("log")

    def action_epochs_log(self) -> None:
        """Logarithmic or linear epochs."""
        self.session.view.epochs_log = not self.session.epochs_log
        self.renew()

    def action_fit(self) -> None:
        """The y axes fit the data, or have room for the theory's marks."""
        self._switch("fit")

    def action_temperature(self) -> None:
        """Before or after temperature scaling."""
        self._switch("calibrated")

    def action_bins(self) -> None:
        """The bins, or the scores."""
        self._switch("bins")

    def _switch(self, name: str) -> None:
        view = self.session.view
        setattr(view, name, not getattr(view, name))
        self.renew()

    def action_zoom(self, steps: int) -> None:
        """Fewer epochs around the cursor, or more."""
        self.session.view.zoom_by(steps)
        self.renew()

    def action_level(self) -> None:
        """Ask for a threshold of the number in focus."""
        if not self.tabs.empty:
            key = self.number()
            known = self.session.view.levels.get(key)
            side = "above" if upwards(key) else "below"
            words = f"{label(key)}: first epoch at or {side} (empty: no threshold)"
            text = "" if known is None else f"{known:g}"
            self.app.push_screen(Prompt(self.session, words, text), partial(self._take_level, key))

    def _take_level(self, key: str, text: str | None) -> None:
        if text is None:
            return
        level = read_level(text)
        if level is None and text.strip():
            self.notify(f"not a number: {visible(text)}", severity="warning", markup=False)
            return
        self.session.view.levels.pop(key, None)
        if level is not None:
            self.session.view.levels[key] = level
        self.renew()

    def action_rival(self) -> None:
        """Compare with the next group; on Files, show the next run's."""
        if self.session.view.tab == "files":
            self.session.next_file()
        else:
            self.session.next_rival()
        self.changed()

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
        """Say what is in focus: a run, a claim, a number or a row."""
        state, entry = self.session, self.sidebar.runs.current
        widget = self.pane.stop[0]
        claim = widget.claim if isinstance(widget, ClaimList) else None
        detail = widget.detail if isinstance(widget, NumberTable) else None
        if self.focused is self.sidebar.runs:
            if entry is not None:
                self._show(lambda width: explain.run_text(state, entry, width))
        elif claim is not None:
            self._show(lambda width: explain.claim_text(state, claim, width))
        elif detail is not None:
            self._show(lambda width: explain.detail_text(state, detail, width))
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
            copies = (commands.printing(state), commands.reopening(state))
            self._show(lambda width: commands.text(state, width), copies=copies)

    def action_export(self) -> None:
        """Offer what is in focus as a file."""
        plotted = self._plotted()
        if plotted is not None:
            self.app.push_screen(ExportMenu(self.session, plotted))

    def _plotted(self) -> Plotted | None:
        """The numbers in focus: a chart's, or a table's."""
        if self.tabs.empty:
            return None
        widget = self.pane.stop[0]
        if isinstance(widget, ChartView):
            return replace(widget.picture.plotted(), text=widget.text())
        return table_plotted(self.session.view.tab, widget)

    def _show(self, content: Content, *, copies: Sequence[str] = ()) -> None:
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
