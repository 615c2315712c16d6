"""What the windows say: a number explained, a claim, a run, the keys, the shell command."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from nccli.charts import mark, series_style
from nccli.compare import Claim
from nccli.render import shown
from nccli.tui.entry import Entry
from nccli.tui.keys import KEYS, Key
from nccli.tui.palette import tint
from nccli.tui.readings import label, meaning, theory_key, undefined_because
from nccli.tui.rows import Line, Row, wrapped
from nccli.tui.state import State

COMMANDS = {
    "overview": "compare",
    "collapse": "analyze",
    "hessian": "hessian",
    "calibration": "calibrate",
}
WAYS = {"lower": "lower is better", "higher": "higher is better"}
HOW_JUDGED = (
    "A claim is supported only where the 95 % t-interval over pairs of runs with the same seed "
    "says so; one pair alone decides nothing."
)
SCOPES = {
    "screen": "",
    "chart": "on a chart",
    "table": "on a number",
    "runs": "in the list",
    "filter": "in the filter",
}


class Text:
    """Paragraphs and facts, one under the other."""

    def __init__(self, width: int, state: State) -> None:
        self.width = width
        self.look = state.look
        self.rows: list[Row] = []

    def title(self, text: str) -> None:
        """A heading."""
        self.rows += wrapped(text, self.width, self.look, style=tint(self.look, "title"))

    def paragraph(self, text: str, role: str = "text") -> None:
        """Text after a blank row."""
        self.rows += [(), *wrapped(text, self.width, self.look, style=tint(self.look, role))]

    def fact(self, name: str, text: str, style: str = "", *, name_role: str = "note") -> None:
        """A name and what it is; long texts go on under themselves."""
        first, *rest = wrapped(text, self.width - 12, self.look, style=style)
        head = Line(self.width, self.look).add(name, tint(self.look, name_role)).to(12)
        for span in first:
            head.add(span.text, span.style)
        self.rows.append(head.row())
        for row in rest:
            more = Line(self.width, self.look).to(12)
            for span in row:
                more.add(span.text, span.style)
            self.rows.append(more.row())


def number_text(state: State, key: str, width: int) -> Sequence[Row]:
    """Definition, source, ideal and present value of a number, and why it is undefined."""
    text, what = Text(width, state), meaning(key)
    text.title(label(key))
    text.paragraph(what.definition or "no definition is recorded")
    text.rows.append(())
    if what.source:
        text.fact("source", what.source)
    ideal = [] if what.ideal is None else [f"{what.ideal:g} at collapse" if "calibration" not in key
                                           else f"{what.ideal:g}"]  # fmt: skip
    ways = [WAYS[what.better]] if what.better else []
    if ideal or ways:
        text.fact("ideal", "; ".join([*ideal, *ways]))
    if what.unit:
        text.fact("unit", what.unit)
    _values(state, key, text)
    return text.rows


def _values(state: State, key: str, text: Text) -> None:
    theory = theory_key(key)
    for group in state.groups:
        style = series_style(group.kind, state.look)
        value = shown(group.value(key, state.epoch))
        beside = shown(group.value(theory, state.epoch)) if theory else ""
        words = f"{value} at epoch {state.epoch}" + (f"; UFM optimum {beside}" if beside else "")
        text.fact(f"{mark(group.kind, state.look)} {group.heading(state.epoch)}", words, style)
        for reason in undefined_because(group, key, state.epoch):
            text.fact("", reason, tint(state.look, "note"))


def claim_text(state: State, claim: Claim, width: int) -> Sequence[Row]:
    """A claim of the paper, its verdict, and how it was reached."""
    text = Text(width, state)
    text.title(claim.statement)
    text.paragraph(claim.verdict, claim.verdict)
    text.paragraph(claim.evidence)
    text.paragraph(HOW_JUDGED, "note")
    return text.rows


def run_text(state: State, entry: Entry, width: int) -> Sequence[Row]:
    """A run: where it is, how it was trained, what could not be read."""
    text = Text(width, state)
    text.title(entry.name)
    text.rows.append(())
    text.fact("path", str(entry.key))
    text.fact("loss", entry.group or "unknown")
    text.fact("seed", shown(entry.seed))
    text.fact("status", entry.run.status or "run.json does not say")
    text.fact("saved", ", ".join(str(epoch) for epoch in entry.epochs) or "no checkpoint yet")
    names = ("data", "model", "epochs", "learning_rate", "weight_decay", "batch_size")
    for name in names:
        if entry.run.settings.get(name) is not None:
            text.fact(name.split("_")[0], str(entry.run.settings[name]))
    trouble = [entry.run.problem] if entry.run.problem else []
    for problem in [*trouble, *(why for _, why in entry.problems)]:
        text.paragraph(problem, "trouble")
    return text.rows


def keys_text(state: State, width: int) -> Sequence[Row]:
    """Every key, from the one table."""
    text = Text(width, state)
    text.title("Keys")
    text.rows.append(())
    for line in KEYS:
        if line.scope != "window":
            text.fact(_caps(line), _means(line), name_role="key")
    return text.rows


def _caps(line: Key) -> str:
    letters = [key for key in line.keys if len(key) == 1 and key != line.cap]
    return line.cap if line.cap == "1-4" else " ".join([line.cap, *letters])


def _means(line: Key) -> str:
    where = SCOPES[line.scope]
    return f"{where}: {line.means}" if where else line.means


# --- the shell command --------------------------------------------------------------------------


def command(state: State) -> str:
    """The command that prints what is on screen, for a shell."""
    groups = [group for group in state.groups if group.entries]
    entries = [entry for group in groups for entry in group.entries]
    if state.tab == "overview" and state.at_end:
        words = [str(_near(entry)) for entry in entries]
        return shlex.join(["nccli", "compare", *words])
    name = "analyze" if state.tab == "overview" else COMMANDS[state.tab]
    return shlex.join(["nccli", name, *(_at(state, entry) for entry in entries)])


def _near(entry: Entry) -> str:
    relative = os.path.relpath(entry.key)
    return relative if len(relative) < len(str(entry.key)) else str(entry.key)


def _at(state: State, entry: Entry) -> str:
    """RUN@12, or the file itself where its name tells no epoch."""
    saved = entry.file_at(state.epoch)
    if saved is None:
        return _near(entry)
    return str(saved.path) if saved.epoch is None else f"{_near(entry)}@{saved.epoch}"


def _shell_rows(state: State, width: int) -> list[Row]:
    """The command as a shell reads it, a word a row where it is long."""
    whole = command(state)
    if len(whole) <= width:
        return [Line(width, state.look).add(whole).row()]
    program, name, *words = shlex.split(whole)
    rows = [f"{program} {name}", *(f"  {shlex.quote(word)}" for word in words)]
    return [
        *(Line(width, state.look).add(row, room=width - 2).add(" \\").row() for row in rows[:-1]),
        Line(width, state.look).add(rows[-1]).row(),
    ]


def command_text(state: State, width: int) -> Sequence[Row]:
    """The command, and what it leaves out."""
    text = Text(width, state)
    text.title("The same numbers in a shell")
    text.rows += [(), *_shell_rows(state, width)]
    if state.tab == "overview" and not state.at_end:
        text.paragraph("nccli compare reads last epochs; this one prints the numbers.", "note")
    return text.rows
