"""The pictures of the panes: curves over epochs and reliability diagrams, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence

from nccli.calibration_report import CalibrationReport, ReliabilityBin
from nccli.charts import Chart, line_chart, reliability_chart
from nccli.tui.entry import Group
from nccli.tui.loading import progress
from nccli.tui.palette import tint
from nccli.tui.readings import any_value, curves, run_labels, theory_marks, undefined_because
from nccli.tui.rows import Line, Row, wrapped
from nccli.tui.state import State


def draw_curves(state: State, key: str, name: str, note: str, width: int, height: int) -> Chart:
    """A number over the saved epochs, with the theory's marks where there is one."""
    title = f"{name}  {note}".rstrip()
    groups = state.groups
    if not any_value(groups, key):
        return card(state, title, why_nothing(state, groups, key), width, height)
    return line_chart(
        curves(state, key),
        title=title,
        width=width,
        height=height,
        y_log=state.log,
        x_log=state.epochs_log,
        cursor=None if state.epoch is None else float(state.epoch),
        references=theory_marks(state, key),
        look=state.look,
    )


def draw_reliability(state: State, place: int, note: str, width: int, height: int) -> Chart:
    """The reliability diagram of one group: that of its first run, at the cursor."""
    groups = state.groups
    if place >= len(groups):
        return card(state, "Reliability", why_nothing(state, groups), width, height)
    group = groups[place]
    observation = group.entries[0].at(state.epoch)
    report = None if observation is None else observation.calibration
    name = run_labels(group)[0]
    if report is None or observation is None:
        reason = why_nothing(state, [group], "calibration.ece")
        return card(state, name, reason, width, height)
    bins = _bins(report, after=state.calibrated)
    if bins is None:
        reason = "; ".join(report.notes) or "temperature scaling failed"
        return card(state, name, reason, width, height)
    return reliability_chart(
        bins,
        title=_title(state, f"{name}  {note}".rstrip(), report, observation.epoch, width - 2),
        width=width,
        height=height,
        kind=group.kind,
        look=state.look,
    )


def _title(state: State, name: str, report: CalibrationReport, epoch: int | None, room: int) -> str:
    """Name and scores, the least needed left out where there is no room."""
    scores = report.calibrated if state.calibrated and report.calibrated else report
    when = "" if epoch == state.epoch else f" @{epoch}"
    after = " after T" if state.calibrated else ""
    parts = (f"ECE {scores.ece:.3g}", f"MCE {scores.mce:.3g}", f"n={report.n:,}", report.split)
    titles = ["  ".join([f"{name}{when}{after}", *parts[:count]]) for count in (4, 3, 2, 1)]
    return next((title for title in titles if len(title) <= room), titles[-1])


def _bins(report: CalibrationReport, *, after: bool) -> Sequence[ReliabilityBin] | None:
    if not after:
        return report.bins
    return None if report.calibrated is None else report.calibrated.bins


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
