"""What every picture of a pane has: how it is drawn, its numbers, and why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nccli.charts import Chart, Span
from nccli.export import Plotted
from nccli.tui.entry import Group
from nccli.tui.loading import progress
from nccli.tui.palette import tint
from nccli.tui.readings import undefined_because
from nccli.tui.rows import Line, Row, wrapped
from nccli.tui.state import State

Draw = Callable[[str, int, int], Chart]  # what to add to the title, width, height


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of what the state holds: drawn anew at each change, and as numbers to export."""

    draw: Draw
    plotted: Callable[[], Plotted]


def why_nothing(state: State, groups: Sequence[Group], key: str | None = None) -> str:
    """Why there is no picture: nothing picked, nothing saved, not measured yet, or undefined."""
    if not state.scanned:
        return "looking for runs"
    if not state.entries:
        return "no run here"
    if not state.picks:
        return "no run is picked: [ goes to the list, space picks"
    if not any(entry.files for entry in state.picked):
        return "no checkpoint yet; f follows the run"
    done, wanted = progress(state)
    if done < wanted:
        return "measuring"
    reasons = [text for group in groups for text in undefined_because(group, key or "", None)]
    if key and reasons:
        return reasons[0]
    return "nothing could be measured: see i on the run"


def card(state: State, title: str, reason: str, width: int, height: int) -> Chart:
    """A title and, in the middle, the reason."""
    look = state.look
    head = Line(width, look).add(title, tint(look, "title")).row()
    body = wrapped(reason, min(width, 64), look, style=tint(look, "note"))
    space: list[Row] = [()] * max(0, (height - 1 - len(body)) // 2)
    rows = [head, *space, *(_centred(row, width) for row in body)]
    return Chart(rows=tuple(rows[: max(0, height)]), width=width)


def _centred(row: Row, width: int) -> Row:
    length = sum(len(span.text) for span in row)
    margin = max(0, (width - length) // 2)
    return tuple(type(span)(" " * margin + span.text, span.style) for span in row)


def beside(charts: Sequence[Chart], width: int) -> Chart:
    """Charts beside each other as one; every cell of a chart is one column wide."""
    height = max((chart.height for chart in charts), default=0)
    rows = []
    for y in range(height):
        row: list[Span] = []
        end = 0
        for chart in charts:
            spans = chart.rows[y] if y < chart.height else ()
            length = sum(len(span.text) for span in spans)
            row += [*spans, Span(" " * (chart.width - length), "")]
            end += chart.width
        rows.append((*row, Span(" " * (width - end), "")) if width > end else tuple(row))
    return Chart(rows=tuple(rows), width=width)


def shares(width: int, count: int) -> list[int]:
    """The columns of `count` charts beside each other."""
    return [width * (place + 1) // count - width * place // count for place in range(count)]
