"""Key `e`: what is in focus as a file; written by a thread, in the current directory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textual.screen import ModalScreen
from textual.widget import Widget

from nccli.errors import NccliError
from nccli.export import FORMS, Origin, Plotted, Table, export, forms
from nccli.runs import RUN_FILE
from nccli.text import plural, visible
from nccli.tui import commands
from nccli.tui.claim_list import ClaimList
from nccli.tui.entry import Entry, Group, Saved
from nccli.tui.keys import bindings
from nccli.tui.menu import Choice, Menu
from nccli.tui.number_table import Numbers, NumberTable
from nccli.tui.state import State

WORDS = {
    "csv": "the numbers, a row a point",
    "json": "the numbers",
    "txt": "the picture as text",
    "tex": "the figure, for pgfplots",
    "svg": "the figure",
    "pdf": "the figure, for LaTeX",
    "png": "the figure, for slides",
}


@dataclass(slots=True)
class Told:
    """How far an export is; the thread writes, the screen reads."""

    path: Path | None = None
    problem: str = ""
    finished: threading.Event = field(default_factory=threading.Event)


class ExportMenu(ModalScreen[None]):
    """A choice of formats."""

    BINDINGS = bindings("window")
    DEFAULT_CSS = """
    ExportMenu { align: center middle; }
    """

    def __init__(self, state: State, plotted: Plotted) -> None:
        super().__init__()
        self._state = state
        self._plotted = plotted
        self.menu = Menu(state, f"Export: {plotted.title}", _choices(plotted))

    def compose(self) -> Iterator[Widget]:
        """The menu."""
        yield self.menu

    def action_line(self, steps: int) -> None:
        """Move through the choices."""
        self.menu.move(steps)

    def action_copy(self, place: int) -> None:
        """Nothing to copy here: the command has its own window."""
        del place

    def action_choose(self) -> None:
        """Write the file, in the background."""
        form = self.menu.chosen
        self.dismiss()
        if form is not None:
            save(self.app, self._plotted, origin(self._state, self._plotted), form)


def _choices(plotted: Plotted) -> list[Choice]:
    possible = forms()
    only_table = plotted.table is not None
    found = []
    for form in FORMS:
        drawn = form in ("tex", "svg", "pdf", "png")
        if (drawn and only_table) or (form == "txt" and not plotted.text):
            continue
        words = WORDS[form] if form in possible else f"{WORDS[form]}: pip install 'nccli[figures]'"
        found.append(Choice(key=form, name=form.upper(), means=words, possible=form in possible))
    return found


def origin(state: State, plotted: Plotted) -> Origin:
    """Where the numbers come from: the command, and the files that were read for them."""
    groups = state.groups
    if plotted.series and plotted.x_label == "epoch":
        saved = [one for group in groups for entry in group.entries for one in _measured(entry)]
        return Origin(command=commands.over_epochs(state), files=_paths(saved))
    command = commands.printing(state)
    if state.view.tab == "files" and state.file_shown is not None:
        return Origin(command=command, files=(state.file_shown[1].path,))
    if state.view.tab == "notes":
        return Origin(command=command, files=tuple(one.key / RUN_FILE for one in state.picked))
    entries = [entry for group in groups for entry in _read(state, group, plotted)]
    found = [entry.file_at(state.epoch) for entry in entries]
    return Origin(command=command, files=_paths([one for one in found if one is not None]))


def _read(state: State, group: Group, plotted: Plotted) -> Sequence[Entry]:
    """The runs of a group behind a picture at the cursor: all, or the first where it is alone."""
    if plotted.matrices:
        return state.members(group)
    alone = plotted.series or plotted.diagrams or plotted.name == "confidence"
    return group.entries[:1] if alone else group.entries


def _measured(entry: Entry) -> list[Saved]:
    return [saved for saved in entry.files if not isinstance(entry.found.get(saved, ""), str)]


def _paths(saved: Sequence[Saved]) -> tuple[Path, ...]:
    return tuple(one.path for one in saved)


def save(app: Any, plotted: Plotted, where_from: Origin, form: str) -> None:
    """Export in a thread, which tells the app where to, or what went wrong."""
    loop = asyncio.get_running_loop()
    count = plural(len(where_from.files), "checkpoint")
    app.notify(f"writing {form}; hashing {count}", timeout=2, markup=False)

    def run() -> None:
        try:
            words, severity = (
                f"wrote {export(plotted, where_from, form, Path.cwd())}",
                "information",
            )
        except (NccliError, OSError) as error:
            words, severity = f"not written: {error}", "error"
        try:
            loop.call_soon_threadsafe(_tell, app, words, severity)
        except RuntimeError:
            return  # the app has ended

    threading.Thread(target=run, daemon=True, name="nccli-export").start()


def _tell(app: Any, words: str, severity: str) -> None:
    words = visible(words)
    app.clear_notifications()  # "writing" has had its time
    app.exported = words
    app.notify(words, severity=severity, timeout=6, markup=False)


def table_plotted(tab: str, widget: NumberTable | ClaimList) -> Plotted | None:
    """A table as it stands on the screen."""
    if isinstance(widget, ClaimList):
        claims = widget.content.claims
        rows = tuple((one.statement, one.verdict, one.evidence) for one in claims)
        table = Table(columns=("claim", "verdict", "evidence"), rows=rows)
        return Plotted(title="The paper's claims", name="claims", table=table, text=widget.plain())
    content = widget.content
    if not content.cells:
        return None
    return Plotted(
        title=f"{tab} table",
        name=f"{tab}-table",
        table=_table(content),
        text=widget.plain(),
    )


def _table(content: Numbers) -> Table:
    """The rows in full where they are known, else as they are written."""
    if content.exact is not None:
        exact = content.exact()
        columns = tuple(dict.fromkeys(name for row in exact for name in row))
        rows = tuple(tuple(row.get(name) for name in columns) for row in exact)
        return Table(columns=columns, rows=rows)
    names = tuple(column.title or f"column {place}" for place, column in enumerate(content.columns))
    return Table(
        columns=names, rows=tuple(tuple(text.strip() for text, _ in row) for row in content.cells)
    )
