"""The top line: what is compared, and what is going on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nccli.charts import mark, series_style
from nccli.text import plural
from nccli.tui.loading import progress
from nccli.tui.painted import Painted
from nccli.tui.palette import tint
from nccli.tui.rows import Cell, Line, Row
from nccli.tui.standing import SEVEN_BIT_SIGNS, SIGNS
from nccli.tui.state import State

BAR = 10  # cells of the progress bar


class Header(Painted):
    """`nccli  ● CE ×3 ⇄ ▲ LS 0.05 ×3      measuring ━━━─── 12/24  ● live`."""

    DEFAULT_CSS = """
    Header { height: 1; background: $panel; padding: 0 1; }
    """

    def paint(self, width: int, height: int) -> Sequence[Row]:
        """The one row."""
        del height
        state = self.session
        note = tint(state.look, "note")
        line = Line(width, state.look).add("nccli", tint(state.look, "strong")).add("  ")
        for place, group in enumerate(state.groups):
            line.add("  ⇄  " if place else "", note)
            count = f" ×{len(group.entries)}" if len(group.entries) > 1 else ""
            style = f"bold {series_style(group.kind, state.look)}".strip()
            line.add(f"{mark(group.kind, state.look)} {group.name}{count}", style)
        status = _status(state)
        about = _about(state)
        while len(status) > 1 and width - line.at - 1 < sum(len(text) for text, _ in status):
            status = status[:-1]  # the last are the least urgent
        room = width - line.at - 4 - sum(len(text) for text, _ in status)
        if about and len(about) <= room:
            line.add(f"   {about}", note)
        return [line.flush_right(status).row()]


def _about(state: State) -> str:
    """What the picked runs were trained on, where all say the same."""
    measured = [entry.at(None) for group in state.groups for entry in group.entries]
    reports = [one.train or one.test for one in measured if one is not None]
    shapes = {(one.num_classes, one.dim, one.n) for one in reports if one is not None}
    if len(shapes) != 1:
        return ""
    classes, dim, count = shapes.pop()
    return f"K {classes}  d {dim}  N {count:,}"


def _status(state: State) -> list[Cell]:
    """What could not be read, progress while measuring, how the picked runs stand."""
    look = state.look
    cells: list[Cell] = []
    problems = sum(len(entry.problems) for entry in state.entries.values())
    if state.problem or problems:
        words = f"{plural(problems, 'file')} unreadable" if problems else "a path is unreadable"
        cells.append((f"{'!' if look.ascii else '✗'} {words}", tint(look, "trouble")))
    done, wanted = progress(state)
    if done < wanted:
        filled = BAR * done // wanted
        bar = ("#" * filled + "." * (BAR - filled)) if look.ascii else "━" * filled
        rest = "" if look.ascii else "─" * (BAR - filled)
        cells.append((f"  measuring {bar}{rest} {done}/{wanted}", tint(look, "note")))
    counts = Counter(entry.standing for entry in state.picked if entry.standing is not None)
    signs = SEVEN_BIT_SIGNS if look.ascii else SIGNS
    for name in sorted(counts, key=list(SIGNS).index):
        number = f"{counts[name]} " if len(state.picked) > 1 and len(counts) > 1 else ""
        role = {"live": "live", "stale": "trouble", "failed": "trouble"}.get(name, "note")
        cells.append((f"  {signs[name]} {number}{name}", tint(look, role)))
    if state.follow:
        cells.append(("  following", tint(look, "live")))
    return cells
