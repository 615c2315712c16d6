"""The figure of reliability diagrams: a column a checkpoint, the counts below."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nccli.calibration_report import CalibrationReport, ReliabilityBin
from nccli.errors import ContentError
from nccli.figures.axes import set_scale
from nccli.figures.metrics import COLUMN, DPI, PAGE, check_figure
from nccli.figures.style import GREY, METADATA, matplotlib_ready, pen, printable
from nccli.publish import publish_bytes
from nccli.text import group_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 6  # columns that a page holds
FLOOR = 0.8  # of the counts' logarithmic axis: a single sample is visible
PANEL = (1.6, 2.6)  # inches: the widest column, and the height of a row


def save_reliability_figure(
    results: Sequence[CalibrationReport], path: Path, *, width: float = PAGE
) -> None:
    """Write a reliability diagram a result as pdf, svg or png; whole or not at all.

    Bars are accuracies with the band of chance (where it was simulated), dots mean confidences of
    the bins against accuracy after recalibration, and the strip below counts samples on a log
    scale. Raises what `check_figure` raises, ContentError where there is nothing or too much.
    """
    form = check_figure(path)
    if not 1 <= len(results) <= MOST:
        raise ContentError(
            f"{len(results)} reliability diagrams do not fit on a page, which holds {MOST}",
            remedy="give fewer checkpoints, or the epochs of runs for curves",
        )
    with matplotlib_ready():
        figure = _figure(results, width)
        content = io.BytesIO()
        figure.savefig(content, format=form, dpi=DPI, metadata=METADATA[form])
    publish_bytes(path, content.getvalue())


def _figure(results: Sequence[CalibrationReport], width: float) -> Figure:
    from matplotlib.figure import Figure

    columns = len(results)
    size = (min(width, max(COLUMN, 0.5 + columns * PANEL[0])), PANEL[1])
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(
        2, columns, squeeze=False, sharex=True, sharey="row", height_ratios=(4, 1)
    )
    smoothed = sorted({_group(one) for one in results} - {"CE"})
    for column, one in enumerate(results):
        kind = 0 if _group(one) == "CE" else 1 + smoothed.index(_group(one))
        _diagram(grid[0, column], one, kind)
        _counts(grid[1, column], one.bins, kind)
    grid[0, 0].set_ylabel("accuracy")
    grid[1, 0].set_ylabel("samples")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    wide = size[0] > 4.0
    figure.legend(handles, labels, loc="outside lower center", ncols=len(handles) if wide else 2)
    return figure


def _diagram(axes: Axes, one: CalibrationReport, kind: int) -> None:
    line, held = pen(kind), [entry for entry in one.bins if entry.count]
    middles = [(entry.lower + entry.upper) / 2 for entry in held]
    widths = [entry.upper - entry.lower for entry in held]
    heights = [entry.accuracy or 0.0 for entry in held]
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.6, ls=(0, (2, 2)))
    axes.bar(middles, heights, widths, color=line["color"], alpha=0.35, lw=0, label="accuracy")
    _band(axes, held)
    axes.plot(
        [entry.confidence or 0.0 for entry in held],
        heights,
        ls="",
        marker="o",
        ms=2.6,
        color=line["color"],
        label="mean confidence",
    )
    if one.calibrated is not None:
        after = [entry for entry in one.calibrated.bins if entry.count]
        axes.plot(
            [entry.confidence or 0.0 for entry in after],
            [entry.accuracy or 0.0 for entry in after],
            ls="", marker="o", ms=2.6, mfc="white", mec=line["color"], mew=0.6,
            label="recalibrated",
        )  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    epoch = "" if one.epoch is None else f", epoch {one.epoch}"
    errors = f"ECE {one.ece:.3f}, by chance {one.ece_noise_floor:.3f}"
    axes.set_title(printable(f"{_group(one)}{epoch}, {one.split}") + f"\n{errors}", fontsize=6.5)


def _band(axes: Axes, held: Sequence[ReliabilityBin]) -> None:
    """Where a calibrated model's accuracy lies, 95 times of 100, about the mean confidence."""
    label: str | None = "by chance, 95 %"
    for entry in held:
        if entry.band_low is not None and entry.band_high is not None:
            edges = [entry.lower, entry.upper]
            axes.fill_between(edges, entry.band_low, entry.band_high, color=GREY, alpha=0.3, lw=0,
                              label=label)  # fmt: skip
            label = None


def _counts(axes: Axes, bins: Sequence[ReliabilityBin], kind: int) -> None:
    held = [entry for entry in bins if entry.count]
    middles = [(entry.lower + entry.upper) / 2 for entry in held]
    heights = [entry.count - FLOOR for entry in held]
    widths = [entry.upper - entry.lower for entry in held]
    axes.bar(middles, heights, widths, bottom=FLOOR, color=pen(kind)["color"], lw=0)
    set_scale(axes, "y", [1.0, *(float(entry.count) for entry in held)], True)
    axes.set_ylim(bottom=FLOOR)
    axes.set_xlabel("confidence")


def _group(one: CalibrationReport) -> str:
    return group_name(one.loss_name, one.label_smoothing)
