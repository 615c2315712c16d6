"""The shell commands that print what is on screen, and that open it again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import pairwise

from nccli.runs import RUN_FILE
from nccli.tui.defaults import BASELINE
from nccli.tui.entry import Entry
from nccli.tui.explain import Text
from nccli.tui.paths import near
from nccli.tui.rows import Line, Row
from nccli.tui.spectra import sweeps
from nccli.tui.state import State
from nccli.tui.view import MODES

COMMANDS = {
    "overview": ("analyze",),
    "collapse": ("analyze",),
    "hessian": ("hessian", "--top", "20", "--density"),
    "calibration": ("calibrate",),
    "gram": ("analyze", "--gram"),
}


def printing(state: State) -> str:
    """The command that prints what is on screen."""
    entries = [entry for group in state.groups for entry in group.entries]
    tab = state.view.tab
    if tab == "files":
        shown = state.file_shown
        paths = [] if shown is None else [near(shown[1].path)]
        return shlex.join(["nccli", "check", *paths, "--contents"])
    if tab == "notes":
        files = [entry.key / RUN_FILE for entry in entries if entry.run.settings]
        return shlex.join(["cat", *map(near, files)]) if files else ""
    if tab == "overview" and state.at_end and _both_losses(state):
        return shlex.join(["nccli", "compare", *(near(entry.key) for entry in entries)])
    name, *options = COMMANDS[tab]
    return shlex.join(["nccli", name, *(_at(state, entry) for entry in entries), *options])


def over_epochs(state: State) -> str:
    """The command that prints the numbers of a curve: those of every epoch."""
    entries = [entry for group in state.groups for entry in group.entries]
    name = {"hessian": "hessian", "calibration": "calibrate"}.get(state.view.tab, "analyze")
    return shlex.join(["nccli", name, *(near(entry.key) for entry in entries)])


def reopening(state: State) -> str:
    """The command that opens this screen again: runs, tab, epoch, mode, rival, zoom, thresholds."""
    picked = [entry for entry in state.picked if entry.group is not None]
    words = ["nccli", "view", *(near(entry.key) for entry in picked), "--tab", state.view.tab]
    words += ["--compare", "*"]  # all of these, whatever their names hold
    if state.epoch is not None and not state.at_end:
        words += ["--epoch", str(state.epoch)]
    if state.view.tab in MODES:
        words += ["--mode", state.view.mode]
    rival = state.compared[1]
    if rival is not None and len(state.groups) > 2:
        words += ["--rival", rival.name]
    if state.view.zoom:
        words += ["--zoom", str(state.view.zoom)]
    for key, level in state.view.levels.items():
        words += ["--level", f"{key}={level!r}"]
    return shlex.join(words)


def text(state: State, width: int) -> Sequence[Row]:
    """Both commands, and what the first leaves out."""
    page = Text(width, state)
    page.title("The same numbers in a shell")
    page.rows += [(), *_shell_rows(printing(state), state, width)]
    if state.view.tab == "overview" and not state.at_end:
        page.paragraph(
            "nccli compare reads last epochs; this one prints the numbers of collapse, nccli "
            "calibrate and nccli hessian print the others.",
            "note",
        )
    if state.view.tab == "hessian":
        for name, words in sweeps(state):
            page.rows.append(())
            page.title(f"Its theory over delta: {name}")
            page.rows += [(), *_shell_rows(shlex.join(words), state, width)]
    page.rows.append(())
    page.title("This screen again")
    page.rows += [(), *_shell_rows(reopening(state), state, width)]
    return page.rows


def _both_losses(state: State) -> bool:
    """Whether `nccli compare` has something to compare."""
    losses = {entry.group == BASELINE for group in state.groups for entry in group.entries}
    return len(losses) > 1


def _at(state: State, entry: Entry) -> str:
    """RUN@12, or the file itself where its name tells no epoch."""
    saved = entry.file_at(state.epoch)
    if saved is None:
        return near(entry.key)
    return str(saved.path) if saved.epoch is None else f"{near(entry.key)}@{saved.epoch}"


def _shell_rows(whole: str, state: State, width: int) -> list[Row]:
    """The command as a shell reads it, a word a row where it is long."""
    if len(whole) <= width:
        return [Line(width, state.look).add(whole).row()]
    program, name, *words = (shlex.quote(word) for word in shlex.split(whole))
    rows = [f"{program} {name}"]
    for before, word in pairwise(["", *words]):
        if before.startswith("--") and not word.startswith("--"):
            rows[-1] += f" {word}"  # an option and its value
        else:
            rows.append(f"  {word}")
    return [
        *(Line(width, state.look).add(row, room=width - 2).add(" \\").row() for row in rows[:-1]),
        Line(width, state.look).add(rows[-1]).row(),
    ]
