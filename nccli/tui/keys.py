"""The one table of keys: it makes the bindings, the footer, the help and the palette.

Keys are written as Textual names them; `cap` is how they are shown. No action needs ctrl or alt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from textual.binding import Binding, BindingType

from nccli.tui.view import TABS

Scope = Literal["screen", "chart", "table", "runs", "filter", "window"]

CURVES = ("collapse", "hessian", "calibration")  # the tabs that have curves over the epochs


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One line of the table. `action` may hold `{key}`; `tabs` are where it does something."""

    keys: tuple[str, ...]
    cap: str
    action: str
    word: str  # for the footer
    means: str  # for the help
    scope: Scope = "screen"
    tabs: tuple[str, ...] = TABS
    rank: int = 5  # the footer leaves out the highest first, and from 9 on always

    @property
    def caps(self) -> str:
        """Every way to press it: `← h`."""
        letters = [key for key in self.keys if len(key) == 1 and key != self.cap]
        return self.cap if len(letters) > 3 else " ".join([self.cap, *letters])


KEYS = (
    Key(keys=tuple("1234567"), cap="1-7", action="screen.tab_number('{key}')", word="tabs",
        means="Overview, Collapse, Hessian, Calibration, Gram, Files, Notes", rank=2),
    Key(keys=("tab",), cap="tab", action="screen.turn(1)", word="next tab",
        means="the next tab", rank=9),
    Key(keys=("shift+tab",), cap="shift+tab", action="screen.turn(-1)", word="tab before",
        means="the tab before", rank=9),
    Key(keys=("left", "h"), cap="←", action="screen.step(-1)", word="epoch",
        means="one saved epoch back, in every chart and table", rank=1),
    Key(keys=("right", "l"), cap="→", action="screen.step(1)", word="epoch",
        means="one saved epoch on", rank=1),
    Key(keys=("home", "g"), cap="g", action="screen.end(-1)", word="first epoch",
        means="the first saved epoch", rank=9),
    Key(keys=("end", "G"), cap="G", action="screen.end(1)", word="last epoch",
        means="the last saved epoch; stays there while following", rank=9),
    Key(keys=("up", "k"), cap="↑", action="screen.move(-1)", word="move",
        means="to the chart, number or run above", rank=4),
    Key(keys=("down", "j"), cap="↓", action="screen.move(1)", word="move",
        means="to the one below", rank=4),
    Key(keys=("i",), cap="i", action="screen.explain", word="explain",
        means="what is in focus: definition, source, why a number is undefined", rank=3),
    Key(keys=("c",), cap="c", action="screen.mode", word="compare",
        means="overlay, side by side, difference, ratio, as far as the tab has them",
        tabs=("collapse", "hessian", "calibration", "gram"), rank=3),
    Key(keys=("n",), cap="n", action="screen.rival", word="next",
        means="compare with the next group, where more than two are picked; on Files: next file",
        rank=6),
    Key(keys=("t",), cap="t", action="screen.temperature", word="temperature",
        means="before or after temperature scaling", tabs=("calibration",), rank=3),
    Key(keys=("b",), cap="b", action="screen.bins", word="bins",
        means="the bins, or the scores", tabs=("calibration",), rank=5),
    Key(keys=("y",), cap="y", action="screen.log_scale", word="log/linear",
        means="logarithmic or linear axes", tabs=CURVES, rank=5),
    Key(keys=("X",), cap="X", action="screen.epochs_log", word="log epochs",
        means="logarithmic or linear epochs", tabs=CURVES, rank=9),
    Key(keys=("z",), cap="z", action="screen.fit", word="fit",
        means="y axes fit the data, or have room for the theory's marks", tabs=CURVES, rank=8),
    Key(keys=("plus", "equals_sign"), cap="+", action="screen.zoom(1)", word="zoom",
        means="half as many epochs, around the cursor", tabs=CURVES, rank=7),
    Key(keys=("minus",), cap="-", action="screen.zoom(-1)", word="zoom",
        means="twice as many epochs", tabs=CURVES, rank=7),
    Key(keys=("L",), cap="L", action="screen.level", word="level",
        means="a threshold for the number in focus: a line, and the first epoch that comes to it",
        tabs=("overview", *CURVES), rank=8),
    Key(keys=("f",), cap="f", action="app.follow", word="follow",
        means="watch the run directories for new checkpoints", rank=6),
    Key(keys=("left_square_bracket",), cap="[", action="screen.runs", word="runs",
        means="to the list of runs, and back", rank=4),
    Key(keys=("slash",), cap="/", action="screen.filter", word="filter",
        means="filter the runs by words of their path, loss or status", rank=7),
    Key(keys=("e",), cap="e", action="screen.export", word="export",
        means="the figure, the numbers behind it, or the table, as a file", rank=6),
    Key(keys=("W",), cap="W", action="screen.command", word="command",
        means="the shell command that prints what is on screen, and the one that reopens it",
        rank=6),
    Key(keys=("T",), cap="T", action="app.light", word="light/dark",
        means="light or dark colours", rank=9),
    Key(keys=("colon",), cap=":", action="app.command_palette", word="palette",
        means="every action by its name (ctrl+p too)", rank=8),
    Key(keys=("escape",), cap="esc", action="screen.back", word="back",
        means="one level back; never quits", rank=8),
    Key(keys=("question_mark",), cap="?", action="screen.keys", word="keys",
        means="this list", rank=0),
    Key(keys=("q",), cap="q", action="app.quit", word="quit", means="quit", rank=0),
    Key(keys=("enter",), cap="enter", action="screen.maximise", word="maximise", scope="chart",
        means="the chart alone; escape brings the others back", rank=2),
    Key(keys=("enter",), cap="enter", action="screen.explain", word="explain", scope="table",
        means="explain the row", rank=9),
    Key(keys=("space", "enter"), cap="space", action="screen.pick", word="pick", scope="runs",
        means="show the run, or leave it out", rank=1),
    Key(keys=("pageup",), cap="pgup", action="screen.move(-10)", word="page", scope="runs",
        means="ten runs up", rank=9),
    Key(keys=("pagedown",), cap="pgdn", action="screen.move(10)", word="page", scope="runs",
        means="ten runs down", rank=9),
    Key(keys=("enter",), cap="enter", action="submit", word="to the list", scope="filter",
        means="keep the filter, go to the list", rank=1),
    Key(keys=("escape",), cap="esc", action="screen.back", word="clear", scope="filter",
        means="show all runs again", rank=1),
    Key(keys=("up", "k"), cap="↑", action="screen.line(-1)", word="scroll", scope="window",
        means="one line up", rank=5),
    Key(keys=("down", "j"), cap="↓", action="screen.line(1)", word="scroll", scope="window",
        means="one line down", rank=5),
    Key(keys=("escape", "i", "question_mark", "W", "e"), cap="esc",
        action="screen.dismiss", word="close", scope="window", means="close the window", rank=0),
    Key(keys=("enter", "space"), cap="enter", action="screen.choose", word="choose",
        scope="window", means="the choice in focus; without any: close", rank=0),
    Key(keys=("c",), cap="c", action="screen.copy(0)", word="copy", scope="window",
        means="copy the command to the clipboard", rank=0),
    Key(keys=("v",), cap="v", action="screen.copy(1)", word="copy view", scope="window",
        means="copy the command that reopens the screen", rank=0),
    Key(keys=("q",), cap="q", action="app.quit", word="quit", scope="window", means="quit", rank=0),
)  # fmt: skip


def check_keys(table: Iterable[Key]) -> None:
    """Raise ValueError if a key has two meanings in one scope."""
    counts = Counter((line.scope, key) for line in table for key in line.keys)
    twice = sorted(f"{key} ({scope})" for (scope, key), count in counts.items() if count > 1)
    if twice:
        raise ValueError(f"keys with two meanings: {', '.join(twice)}")


def bindings(scope: Scope, table: Iterable[Key] = KEYS) -> list[BindingType]:
    """The bindings of a scope, for a widget's BINDINGS."""
    lines = [line for line in table if line.scope == scope]
    check_keys(lines)
    return [
        Binding(key, line.action.format(key=key), line.word, show=False)
        for line in lines
        for key in line.keys
    ]
