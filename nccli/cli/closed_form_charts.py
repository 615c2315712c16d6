"""Charts of the closed form: condition numbers over a sweep, the joint spectrum by rank."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from nccli.charts import Series, line_chart
from nccli.cli.drawing import HEIGHT, chart_width, look
from nccli.export import Plotted
from nccli.regime import Answer, crossing, value_at
from nccli.result import quantities
from nccli.sweep import Axis, SweepPoint
from nccli.tables import as_text
from nccli.text import plural
from nccli.ufm import UFMReport

DRAWN = ("kappa_loss", "kappa_regularised", "kappa_joint")
DECADES = 30  # values this far apart are drawn on a log axis
MOST_CURVES = 8  # as many as there are markers


def sweep_charts(
    points: Sequence[SweepPoint], axes: Sequence[Axis], found: Sequence[Answer]
) -> list[RenderableType]:
    """The condition numbers over the first swept variable, a curve for each value of the others."""
    curves = _curves(points, axes)
    drawn = curves[:MOST_CURVES]
    parts: list[RenderableType] = []
    for name in DRAWN:
        parts += [Text(), _chart(name, drawn, axes[0], found)]
    if len(curves) > MOST_CURVES:
        parts += [Text(f"{MOST_CURVES} of {plural(len(curves), 'curve')} drawn", style="dim")]
    return parts


def _curves(
    points: Sequence[SweepPoint], axes: Sequence[Axis]
) -> list[tuple[str, list[SweepPoint]]]:
    """Points by the values of all axes but the first, labelled with what moves."""
    moving = [axis for axis in axes[1:] if len(axis.values) > 1]

    def key(point: SweepPoint) -> tuple[float, ...]:
        return tuple(getattr(point, axis.fields[0]) for axis in moving)

    found: dict[tuple[float, ...], list[SweepPoint]] = {}
    for point in points:
        found.setdefault(key(point), []).append(point)
    return [(_label(moving, values) or "kappa", members) for values, members in found.items()]


def _label(moving: Sequence[Axis], values: Sequence[float]) -> str:
    return " ".join(_word(axis.name, value) for axis, value in zip(moving, values, strict=True))


def _word(name: str, value: float) -> str:
    if name == "delta":
        return "CE" if value == 0 else f"LS {value:g}"
    return f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"


def sweep_figure(points: Sequence[SweepPoint], axes: Sequence[Axis]) -> Plotted:
    """The same condition numbers as a figure: a panel each, every curve."""
    curves = _curves(points, axes)
    panels = tuple(_plotted(name, curves, axes[0]) for name in DRAWN)
    return Plotted(title="Closed form", name="closed-form", panels=panels)


def _plotted(name: str, curves: Sequence[tuple[str, list[SweepPoint]]], axis: Axis) -> Plotted:
    series = tuple(
        Series(
            label=label,
            x=[float(getattr(point, axis.fields[0])) for point in members],
            y=[getattr(point, name) for point in members],
            kind=kind,
        )
        for kind, (label, members) in enumerate(curves)
    )
    return Plotted(
        title=quantities(SweepPoint)[name].label,
        name=name,
        series=series,
        x_label=quantities(SweepPoint)[axis.fields[0]].label,
        x_log=_far_apart(axis.values),
        y_log=_far_apart([y for one in series for y in one.y if y is not None]),
    )


def _chart(
    name: str, curves: Sequence[tuple[str, list[SweepPoint]]], axis: Axis, found: Sequence[Answer]
) -> Text:
    plotted = _plotted(name, curves, axis)
    cursor = _cursor(axis, found) if name == "kappa_regularised" else None
    return _drawn(plotted, y_log=plotted.y_log, cursor=cursor)


def _drawn(plotted: Plotted, **options: Any) -> Text:
    chart = line_chart(
        plotted.series,
        title=plotted.title,
        width=chart_width(),
        height=HEIGHT,
        x_label=plotted.x_label,
        x_log=plotted.x_log,
        look=look(),
        **options,
    )
    return as_text(chart)


def _far_apart(values: Sequence[float]) -> bool:
    return len(values) > 0 and min(values) > 0 and max(values) / min(values) >= DECADES


def _cursor(axis: Axis, found: Sequence[Answer]) -> float | None:
    """Where the curves of cross-entropy and of label smoothing meet, where that is one place."""
    if axis.name == "delta":
        return found[0].regime.return_delta if len(found) == 1 else None
    deltas = {delta for one in found for delta in one.deltas if delta > 0}
    problems = {value_at(1.0, axis.name, one.problem) for one in found}
    if len(problems) != 1 or len(deltas) > 1:
        return None
    pull = crossing(found[0].problem.num_classes, label_smoothing=max(deltas, default=0.0))
    return value_at(pull, axis.name, found[0].problem)


def spectrum_figure(reports: Sequence[UFMReport]) -> Plotted:
    """The joint spectra by rank, a curve a delta."""
    return Plotted(
        title="joint spectrum",
        name="joint-spectrum",
        series=tuple(_spectrum(report, kind) for kind, report in enumerate(reports)),
        x_label="rank",
        x_log=True,
        y_log=True,
    )


def spectrum_chart(reports: Sequence[UFMReport]) -> list[RenderableType]:
    """The joint spectra by rank on log axes, and how many zero modes are left out."""
    drawn = _drawn(spectrum_figure(reports[:MOST_CURVES]))
    return [Text(), drawn, Text(_zero_modes(reports), style="dim")]


def _spectrum(report: UFMReport, kind: int) -> Series:
    """Both ends of each run of equal eigenvalues, so that a thousand million stay two points."""
    ranks: list[float] = []
    values: list[float | None] = []
    before = 0
    for value, entries in groupby(report.spectrum, key=lambda entry: entry.value):
        count = sum(entry.multiplicity for entry in entries)
        if value > 0:
            ranks += [float(before + 1), float(before + count)]
            values += [value, value]
        before += count
    return Series(label=_word("delta", report.label_smoothing), x=ranks, y=values, kind=kind)


def _zero_modes(reports: Sequence[UFMReport]) -> str:
    counts = [
        (
            _word("delta", report.label_smoothing),
            sum(entry.multiplicity for entry in report.spectrum if entry.value == 0),
        )
        for report in reports
    ]
    size = sum(entry.multiplicity for entry in reports[0].spectrum)
    told = ", ".join(f"{count:,} of {label}" for label, count in counts)
    if len({count for _, count in counts}) == 1:
        told = f"{counts[0][1]:,}"
    return f"of {size:,} eigenvalues; zero modes, not drawn: {told}"
