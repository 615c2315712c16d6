"""What the windows say: a number explained, a claim, a run, the keys, the shell command."""

from __future__ import annotations

from collections.abc import Sequence

from nccli.charts import mark, series_style
from nccli.collapse_report import SYMBOLS
from nccli.compare import Claim
from nccli.render import shown
from nccli.tui.curves import first_past, upwards
from nccli.tui.entry import Entry
from nccli.tui.keys import KEYS, Key
from nccli.tui.number_table import Detail
from nccli.tui.palette import tint
from nccli.tui.readings import label, meaning, theory_key, undefined_because
from nccli.tui.rows import Line, Row, wrapped
from nccli.tui.state import State

WAYS = {"lower": "lower is better", "higher": "higher is better"}
UFM = (
    "Assumes: the mean loss over the split plus the penalties; the classifier's input as it was "
    "saved, in eval mode. UFM: the closed form at the collapsed global optimum of the "
    "unconstrained feature model with the same K, n, delta and penalties."
)
ASSUMED = {
    "train": SYMBOLS,
    "test": SYMBOLS,
    "calibration": "Assumes: the samples are independent, and drawn as those that are predicted.",
    "hessian": UFM,
}
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
        head = Line(self.width, self.look).add(name, tint(self.look, name_role))
        if head.at >= 12:  # too long to stand before its text
            self.rows.append(head.row())
            head = Line(self.width, self.look)
        head.to(12)
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
    if what.on_test and key.startswith("test"):
        text.fact("on test", what.on_test)
    if what.elsewhere:
        text.fact("elsewhere", what.elsewhere)
    _values(state, key, text)
    assumed = ASSUMED.get(key.split(".")[0])
    if assumed:
        text.paragraph(assumed, "note")
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
    level = state.view.levels.get(key)
    for group in state.groups if level is not None else ():
        epoch = first_past(state, group, key, level or 0.0)
        words = "at no saved epoch" if epoch is None else f"first at epoch {epoch}"
        text.fact(f"{'≥' if upwards(key) else '≤'} {shown(level)}", f"{group.name}: {words}")


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
    text.fact("status", entry.standing or "run.json does not say")
    text.fact("saved", ", ".join(str(epoch) for epoch in entry.epochs) or "no checkpoint yet")
    names = ("data", "model", "epochs", "learning_rate", "weight_decay", "batch_size")
    for name in names:
        if entry.run.settings.get(name) is not None:
            text.fact(name.split("_")[0], str(entry.run.settings[name]))
    trouble = [entry.run.problem] if entry.run.problem else []
    for problem in [*trouble, *(why for _, why in entry.problems)]:
        text.paragraph(problem, "trouble")
    return text.rows


def detail_text(state: State, detail: Detail, width: int) -> Sequence[Row]:
    """A row of a table in full."""
    text = Text(width, state)
    text.title(detail.title)
    text.rows.append(())
    for name, value in detail.facts:
        text.fact(name, value)
    return text.rows


def keys_text(state: State, width: int) -> Sequence[Row]:
    """Every key, from the one table."""
    text = Text(width, state)
    text.title("Keys")
    text.rows.append(())
    for line in KEYS:
        if line.scope != "window":
            text.fact(line.caps, _means(line), name_role="key")
    return text.rows


def _means(line: Key) -> str:
    where = SCOPES[line.scope]
    return f"{where}: {line.means}" if where else line.means
