"""The list of runs on the left, by directory, with its filter."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.containers import Vertical
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from nccli.charts import mark, series_style
from nccli.tui.entry import Entry
from nccli.tui.keys import bindings
from nccli.tui.painted import Painted
from nccli.tui.palette import tint
from nccli.tui.paths import near
from nccli.tui.rows import Line, Row, over, wrapped
from nccli.tui.state import State


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Which rows each run has in the list: from its start to the next one's, heading apart."""

    entries: Sequence[Entry]
    headed: Sequence[int]  # 1 where a directory's name stands above the run
    starts: Sequence[int]  # one more than entries: the last is the number of rows
    places: Mapping[Path, int]

    def place(self, key: Path | None) -> int:
        """Where a run stands; the first one's place for one that is not in the list."""
        return self.places.get(key, 0) if key is not None else 0

    def at_row(self, row: int) -> int:
        """The run that a row belongs to; a heading belongs to the run under it."""
        place = max(0, bisect.bisect_right(self.starts, row) - 1)
        last = len(self.entries) - 1
        below = min(place + 1, last)
        on_heading = self.headed[below] and row == self.starts[below] - 1
        return below if on_heading else min(place, last)


def plan_runs(entries: Sequence[Entry]) -> RunPlan:
    """Two rows a run, one for each thing that is wrong with it, and one for each directory."""
    headed, starts, row, parent = [], [], 0, None
    for entry in entries:
        headed.append(int(entry.parent != parent))
        parent = entry.parent
        row += headed[-1]
        starts.append(row)
        row += 2 + len(entry.problems) + bool(entry.run.problem)
    places = {entry.key: place for place, entry in enumerate(entries)}
    return RunPlan(entries=entries, headed=headed, starts=[*starts, row], places=places)


class RunList(Painted, can_focus=True):
    """Two rows a run: marker and name; loss, last epoch and status. Unreadable files under it."""

    BINDINGS = bindings("runs")
    DEFAULT_CSS = """
    RunList { height: 1fr; padding: 0 1; }
    """

    class Clicked(Message):
        """A run was clicked."""

    def __init__(self, state: State, **options: Any) -> None:
        super().__init__(state, **options)
        self._key: Path | None = None
        self._first = 0  # the first row in view

    @property
    def current(self) -> Entry | None:
        """The run the cursor is on."""
        plan = self._plan()
        return plan.entries[plan.place(self._key)] if plan.entries else None

    def move(self, steps: int) -> None:
        """Put the cursor on another run."""
        plan = self._plan()
        if plan.entries:
            place = plan.place(self._key) + steps
            self._key = plan.entries[max(0, min(place, len(plan.entries) - 1))].key
        self.renew()

    def paint(self, width: int, height: int) -> Sequence[Row]:
        """The rows in view: of a thousand runs no more than fit are made."""
        state, plan = self.session, self._plan()
        if not plan.entries:
            return wrapped(_why_empty(state), width, state.look, style=tint(state.look, "note"))
        at = plan.place(self._key)
        top, end = plan.starts[at] - plan.headed[at], plan.starts[at + 1]
        self._first = max(min(self._first, top), end - height)
        self._first = max(0, min(self._first, plan.starts[-1] - height))
        return self._in_view(plan, self._first, height, width)

    def _in_view(self, plan: RunPlan, first: int, height: int, width: int) -> list[Row]:
        rows: list[Row] = []
        place = plan.at_row(first)
        skipped = first - (plan.starts[place] - plan.headed[place])
        while place < len(plan.entries) and len(rows) < height + skipped:
            entry = plan.entries[place]
            rows += [self._heading(entry.parent, width)] if plan.headed[place] else []
            rows += self._block(entry, width)
            place += 1
        return rows[skipped : skipped + height]

    def _plan(self) -> RunPlan:
        state = self.session
        return state.memo(("run list", state.filter), lambda: plan_runs(state.matching()))

    def _heading(self, parent: Path, width: int) -> Row:
        look = self.session.look
        name = near(parent)
        name = name if len(name) < width and not name.startswith(".") else parent.name
        return Line(width, look).add(f"{name}/", tint(look, "note")).row()

    def _block(self, entry: Entry, width: int) -> list[Row]:
        state, look = self.session, self.session.look
        kind = state.kind_of(entry)
        picked = entry.key in state.picks
        style = series_style(kind, look) if picked and kind is not None else tint(look, "note")
        sign = mark(kind, look) if picked and kind is not None else ("-" if look.ascii else "·")
        name_style = tint(look, "strong") if picked else tint(look, "note")
        first = Line(width, look).add(f" {sign} ", style).add(entry.name, name_style).row()
        second = Line(width, look).to(3).add(_about(entry), tint(look, "note")).row()
        rows = [first, second, *self._problems(entry, width)]
        if self.has_focus and entry is self.current:
            rows = [over(row, tint(look, "selected"), width) for row in rows]
        return rows

    def _problems(self, entry: Entry, width: int) -> list[Row]:
        look, style = self.session.look, tint(self.session.look, "trouble")
        sign = "!" if look.ascii else "✗"
        problem = entry.run.problem
        texts = [_short(problem, entry.key).removeprefix(f"{entry.key}/")] if problem else []
        texts += [
            f"epoch {saved.epoch}: {_short(text, saved.path)}"
            if saved.epoch is not None
            else f"{saved.path.name}: {_short(text, saved.path)}"
            for saved, text in entry.problems
        ]
        return [Line(width, look).to(3).add(f"{sign} {text}", style).row() for text in texts]

    def on_click(self, event: Click) -> None:
        """A click picks the run, or unpicks it."""
        plan, row = self._plan(), event.y + self._first
        if not plan.entries or row >= plan.starts[-1]:
            return
        place = plan.at_row(row)
        if row >= plan.starts[place]:  # not on the heading above it
            self._key = plan.entries[place].key
            self.post_message(self.Clicked())

    def on_mouse_scroll_down(self, _: MouseScrollDown) -> None:
        """The wheel moves the cursor."""
        self.move(1)

    def on_mouse_scroll_up(self, _: MouseScrollUp) -> None:
        """The wheel moves the cursor."""
        self.move(-1)


def _short(text: str, path: Path) -> str:
    """An error without the path it starts with: the row says which file."""
    return text.removeprefix(f"{path}: ")


def _about(entry: Entry) -> str:
    """`LS 0.05  @200  finished`."""
    parts = [entry.group or "loss unknown"]
    epochs = entry.epochs
    parts.append(f"@{epochs[-1]}" if epochs else
                 "no checkpoint yet" if not entry.files else "no epoch")  # fmt: skip
    parts.append(entry.standing or "")
    return "  ".join(part for part in parts if part)


def _why_empty(state: State) -> str:
    if not state.scanned:
        return "looking for runs"
    if state.entries:
        return "no run matches; esc clears the filter"
    return state.problem or "no run here"


class Filter(Input):
    """Words that the runs must hold."""

    BINDINGS = bindings("filter")


class Sidebar(Vertical):
    """The filter, while it is in use, above the list."""

    DEFAULT_CSS = """
    Sidebar { width: 32; background: $surface; }
    Sidebar Filter { display: none; height: 1; padding: 0 1; background: $panel; }
    Sidebar Filter.-used { display: block; }
    """

    def __init__(self, state: State, **options: Any) -> None:
        super().__init__(**options)
        self.filter = Filter(placeholder="filter", compact=True, select_on_focus=False)
        self.filter.cursor_blink = False  # an idle screen sends nothing
        self.runs = RunList(state)

    def compose(self) -> Iterator[Widget]:
        """Filter and list."""
        yield self.filter
        yield self.runs

    def clear(self) -> None:
        """Show all runs again."""
        self.filter.value = ""
        self.filter.remove_class("-used")
