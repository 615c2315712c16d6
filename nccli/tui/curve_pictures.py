"""A number over the saved epochs: groups overlaid, side by side, subtracted or divided."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from nccli.charts import Chart, Reference, Series, line_chart
from nccli.export import Plotted
from nccli.tui.curves import differences, overlaid, ratios, run_by_run
from nccli.tui.entry import Group
from nccli.tui.pictures import Picture, beside, card, shares, why_nothing
from nccli.tui.readings import any_value, theory_marks
from nccli.tui.state import State
from nccli.tui.view import Mode

NARROWEST_PANEL = 26  # columns of a chart beside others


def curve_picture(state: State, key: str, name: str) -> Picture:
    """A number over the epochs, in the mode of the open tab."""
    return Picture(
        draw=partial(_draw, state, key, name), plotted=partial(_plotted, state, key, name)
    )


def mode_of_curves(state: State) -> Mode:
    """How curves are laid; on the Calibration tab `side by side` is about its diagrams."""
    mode = state.view.mode
    return "overlay" if state.view.tab == "calibration" and mode == "side by side" else mode


def _draw(state: State, key: str, name: str, note: str, width: int, height: int) -> Chart:
    mode = mode_of_curves(state)
    title = f"{_title(state, name, mode)}  {note}".rstrip()
    if not any_value(state.groups, key):
        return card(state, title, why_nothing(state, state.groups, key), width, height)
    if mode == "side by side":
        return _side_by_side(state, key, title, width, height)
    series = curves(state, key)
    if not series:
        return card(state, title, _why_no_change(state), width, height)
    return _lines(state, series, title, width, height, _marks(state, key), log=_is_log(state, mode))


def curves(state: State, key: str) -> list[Series]:
    """What is drawn of a number in the mode of the open tab."""
    mode = mode_of_curves(state)
    if mode == "side by side":
        return [one for group in state.groups for one in run_by_run(state, group, key)]
    if mode == "overlay":
        return overlaid(state, key)
    return differences(state, key) if mode == "difference" else ratios(state, key)


def _title(state: State, name: str, mode: Mode) -> str:
    """`NC1, LS 0.05 − CE`; of several rivals each has its label at its curve."""
    if mode not in ("difference", "ratio") or not state.groups:
        return name
    first, *rivals = state.groups
    sign = "−" if mode == "difference" else "÷"
    rival = f"{rivals[0].name} " if len(rivals) == 1 else ""
    return f"{name}, {rival}{sign} {first.name}"


def _is_log(state: State, mode: Mode) -> bool:
    return state.view.log and mode != "difference"  # a difference has two signs


def _marks(state: State, key: str) -> list[Reference]:
    """The theory and the threshold on measured curves; where groups are equal, on the others."""
    mode = mode_of_curves(state)
    if mode == "difference":
        return [Reference(value=0.0, label="equal")]
    if mode == "ratio":
        return [Reference(value=1.0, label="equal")]
    level = state.view.levels.get(key)
    threshold = [] if level is None else [Reference(value=level, label="level")]
    return [*theory_marks(state, key), *threshold]


def _lines(
    state: State,
    series: Sequence[Series],
    title: str,
    width: int,
    height: int,
    references: Sequence[Reference],
    *,
    log: bool,
    **options: Any,
) -> Chart:
    return line_chart(
        series,
        title=title,
        width=width,
        height=height,
        y_log=log,
        x_log=state.epochs_log,
        x_range=state.window,
        cursor=None if state.epoch is None else float(state.epoch),
        references=references,
        broken=[float(epoch) for epoch in state.broken],
        fit=state.view.fit,
        look=state.look,
        **options,
    )


def _side_by_side(state: State, key: str, title: str, width: int, height: int) -> Chart:
    """A panel a group, its runs in it, all on one y axis."""
    groups: Sequence[Group] = state.groups
    if width < NARROWEST_PANEL * len(groups):
        groups = [group for group in state.compared if group is not None]
    if width < NARROWEST_PANEL * len(groups):
        groups = groups[:1]
    if len(groups) < len(state.groups):
        title = f"{title}  ({len(groups)} of {len(state.groups)} groups)"
    drawn = {group.kind: run_by_run(state, group, key) for group in groups}
    reach = _reach([one for series in drawn.values() for one in series], log=state.view.log)
    panels = []
    for group, share in zip(groups, shares(width, len(groups)), strict=True):
        words = f"{group.name}  {title}" if group is groups[0] else group.name
        panels.append(
            _lines(
                state,
                drawn[group.kind],
                words,
                share - 1,
                height,
                _marks(state, key),
                log=state.view.log,
                y_range=reach,
            )
        )
    return beside([Chart(rows=one.rows, width=one.width + 1) for one in panels], width)


def _reach(series: Sequence[Series], *, log: bool) -> tuple[float, float] | None:
    values = [
        y
        for one in series
        for y in one.y
        if y is not None and math.isfinite(y) and (y > 0 or not log)
    ]
    return (min(values), max(values)) if values else None


def _why_no_change(state: State) -> str:
    if len(state.groups) < 2:
        return "this needs two groups: pick runs of another loss ([, space)"
    return "no two runs of the same seed have it at the same epoch"


def _plotted(state: State, key: str, name: str) -> Plotted:
    mode = mode_of_curves(state)
    return Plotted(
        title=_title(state, name, mode),
        name="-".join(
            [key.replace(".", "-"), *([mode.replace(" ", "-")] if mode != "overlay" else [])]
        ),
        series=tuple(curves(state, key)),
        x_log=state.epochs_log,
        y_log=_is_log(state, mode),
        references=tuple(_marks(state, key)),
    )
