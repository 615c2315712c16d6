"""The list of runs on the left, by directory, with its filter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

Block = tuple[Entry | None, list[Row]]  # the rows of a run; of a heading for None


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
        self._owners: list[Entry | None] = []  # whose each row in the list is

    @property
    def current(self) -> Entry | None:
        """The run the cursor is on."""
        entries = self.session.matching()
        found = next((one for one in entries if one.key == self._key), None)
        return found or (entries[0] if entries else None)

    def move(self, steps: int) -> None:
        """Put the cursor on another run."""
        entries = self.session.matching()
        if self.current is not None:
            place = entries.index(self.current) + steps
            self._key = entries[max(0, min(place, len(entries) - 1))].key
        self.renew()

    def paint(self, width: int, height: int) -> Sequence[Row]:
        """The rows in view."""
        state = self.session
        blocks = list(self._blocks(width))
        if not blocks:
            return wrapped(_why_empty(state), width, state.look, style=tint(state.look, "note"))
        rows = [row for _, block in blocks for row in block]
        self._owners = [entry for entry, block in blocks for _ in block]
        mine = [place for place, owner in enumerate(self._owners)
                if owner is not None and owner is self.current]  # fmt: skip
        if mine:
            top = mine[0] if self._owners[max(0, mine[0] - 1)] is not None else mine[0] - 1
            self._first = max(min(self._first, max(0, top)), mine[-1] - height + 1)
        self._first = max(0, min(self._first, len(rows) - height))
        return rows[self._first : self._first + height]

    def _blocks(self, width: int) -> Iterator[Block]:
        parent = None
        for entry in self.session.matching():
            if entry.parent != parent:
                parent = entry.parent
                yield None, [self._heading(parent, width)]
            yield entry, self._block(entry, width)

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
        place = event.y + self._first
        owner = self._owners[place] if place < len(self._owners) else None
        if owner is not None:
            self._key = owner.key
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
