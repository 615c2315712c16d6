"""Reliability diagrams, one a group or all as curves, and how sure the network is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from nccli.calibration_report import CalibrationReport, ReliabilityBin
from nccli.charts import (
    Chart,
    Counts,
    Reference,
    Series,
    histogram,
    line_chart,
    reliability_chart,
)
from nccli.compare import Observation
from nccli.export import Diagram, Plotted, Table
from nccli.tui.entry import Group
from nccli.tui.pictures import Picture, card, why_nothing
from nccli.tui.readings import run_labels
from nccli.tui.state import State

ECE = "calibration.ece"
WRONG = 3  # marker and colour of what is predicted wrongly


def diagram_picture(state: State, place: int) -> Picture:
    """The reliability diagram of one group: that of its first run, at the cursor."""
    return Picture(draw=partial(_draw_diagram, state, place), plotted=partial(_diagrams, state))


def overlay_picture(state: State) -> Picture:
    """All groups in one chart: accuracy over confidence, or by how much they differ."""
    return Picture(draw=partial(_draw_overlay, state), plotted=partial(_overlay_plotted, state))


def sureness_picture(state: State, place: int) -> Picture:
    """How many samples of a group are predicted with which confidence, and how many wrongly."""
    return Picture(
        draw=partial(_draw_sureness, state, place), plotted=partial(_sureness, state, place)
    )


def _draw_diagram(state: State, place: int, note: str, width: int, height: int) -> Chart:
    groups = state.groups
    if place >= len(groups):
        return card(state, "Reliability", why_nothing(state, groups), width, height)
    group = groups[place]
    observation, report = _read(state, group)
    name = run_labels(group)[0]
    if report is None or observation is None:
        return card(state, name, why_nothing(state, [group], ECE), width, height)
    bins = bins_of(report, after=state.view.calibrated)
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


def _read(state: State, group: Group) -> tuple[Observation | None, CalibrationReport | None]:
    observation = group.entries[0].at(state.epoch)
    return observation, None if observation is None else observation.calibration


def bins_of(report: CalibrationReport, *, after: bool) -> Sequence[ReliabilityBin] | None:
    """The bins before or after temperature scaling; None where that failed."""
    if not after:
        return report.bins
    return None if report.calibrated is None else report.calibrated.bins


def _title(state: State, name: str, report: CalibrationReport, epoch: int | None, room: int) -> str:
    """Name and scores, the least needed left out where there is no room."""
    after = state.view.calibrated
    scores = report.calibrated if after and report.calibrated else report
    when = "" if epoch == state.epoch else f" @{epoch}"
    words = " after T" if after else ""
    parts = (f"ECE {scores.ece:.3g}", f"MCE {scores.mce:.3g}", f"n={report.n:,}", report.split)
    titles = ["  ".join([f"{name}{when}{words}", *parts[:count]]) for count in (4, 3, 2, 1)]
    return next((title for title in titles if len(title) <= room), titles[-1])


def groups_with_bins(state: State) -> list[tuple[Group, Sequence[ReliabilityBin]]]:
    """The groups that have a diagram at the cursor."""
    found = []
    for group in state.groups:
        _, report = _read(state, group)
        bins = None if report is None else bins_of(report, after=state.view.calibrated)
        if bins is not None:
            found.append((group, bins))
    return found


def _diagrams(state: State) -> Plotted:
    found = groups_with_bins(state)
    return Plotted(
        title=f"Reliability{' after temperature scaling' if state.view.calibrated else ''}",
        name="reliability",
        diagrams=tuple(
            Diagram(label=run_labels(group)[0], kind=group.kind, bins=bins) for group, bins in found
        ),
    )


# --- all groups in one chart --------------------------------------------------------------------


def _draw_overlay(state: State, note: str, width: int, height: int) -> Chart:
    gaps = state.view.mode == "difference"
    after = " after T" if state.view.calibrated else ""
    words = "accuracy − confidence" if gaps else "accuracy over confidence"
    title = f"{words}{after}  {note}".rstrip()
    series = _reliability_series(state)
    if not series:
        return card(state, title, why_nothing(state, state.groups, ECE), width, height)
    return line_chart(
        series,
        title=title,
        width=width,
        height=height,
        x_label="confidence",
        y_log=False,
        references=[Reference(value=0.0, label="calibrated")] if gaps else (),
        look=state.look,
    )


def _reliability_series(state: State) -> list[Series]:
    """Accuracy (or its distance) at the mean confidence of each bin, and the diagonal."""
    gaps = state.view.mode == "difference"
    found = []
    for group, bins in groups_with_bins(state):
        told = [(one.confidence, one.accuracy) for one in bins
                if one.confidence is not None and one.accuracy is not None]  # fmt: skip
        found.append(
            Series(
                label=run_labels(group)[0],
                x=[confidence for confidence, _ in told],
                y=[accuracy - confidence * gaps for confidence, accuracy in told],
                kind=group.kind,
            )
        )
    if found and not gaps:
        free = max(one.kind for one in found) + 1
        found.append(Series(label="calibrated", x=[0.0, 1.0], y=[0.0, 1.0], kind=free))
    return found


def _overlay_plotted(state: State) -> Plotted:
    gaps, after = state.view.mode == "difference", state.view.calibrated
    return Plotted(
        title=("Accuracy - confidence" if gaps else "Reliability") + (" after T" if after else ""),
        name="reliability-gaps" if gaps else "reliability-curves",
        series=tuple(_reliability_series(state)),
        x_label="confidence",
    )


# --- how sure it is -----------------------------------------------------------------------------


def _draw_sureness(state: State, place: int, note: str, width: int, height: int) -> Chart:
    if place >= len(state.groups):
        return card(state, "Confidence", why_nothing(state, state.groups), width, height)
    group = state.groups[place]
    _, report = _read(state, group)
    title = f"{run_labels(group)[0]} confidence  {note}".rstrip()
    bins = None if report is None else bins_of(report, after=state.view.calibrated)
    if not bins:
        return card(state, title, why_nothing(state, [group], ECE), width, height)
    return histogram(
        [*(one.lower for one in bins), bins[-1].upper],
        [
            Counts(label="all", counts=[one.count for one in bins], kind=group.kind),
            Counts(label="wrong", counts=[_wrong(one) for one in bins], kind=WRONG),
        ],
        title=title,
        width=width,
        height=height,
        x_label="confidence",
        count_log=state.view.log,
        look=state.look,
    )


def _wrong(one: ReliabilityBin) -> float:
    return 0.0 if one.accuracy is None else float(round(one.count * (1 - one.accuracy)))


def _sureness(state: State, place: int) -> Plotted:
    if place >= len(state.groups):
        return Plotted(title="confidence", name="confidence")
    group = state.groups[place]
    _, report = _read(state, group)
    bins = None if report is None else bins_of(report, after=state.view.calibrated)
    return Plotted(
        title=f"{run_labels(group)[0]} confidence{' after T' if state.view.calibrated else ''}",
        name="confidence",
        table=Table(
            columns=("lower", "upper", "count", "wrong"),
            rows=tuple((one.lower, one.upper, one.count, _wrong(one)) for one in bins or ()),
        ),
    )
