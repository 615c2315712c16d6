"""The figure of metrics by epoch: a panel a metric, a line a run, one legend."""

from __future__ import annotations

import importlib.util
import io
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nccli.errors import ContentError, MissingExtraError, UsageError
from nccli.figures.axes import set_scale
from nccli.figures.series import (
    Curve,
    RunSeries,
    is_defined,
    mean_and_spread,
    series_of,
    splits_of,
)
from nccli.figures.style import DASHES, GREY, METADATA, matplotlib_ready, pen, printable
from nccli.publish import check_folder, publish_bytes
from nccli.result import Quantity, quantities

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("pdf", "svg", "png")
NAMES = ("nc1", "nc2_features", "nc3")
FOURTH = ("nc4", "accuracy", "weight_norm", "feature_norm")  # the first that is defined
COLUMN, PAGE = 3.3, 7.0  # inches: a column of a two-column paper, and its whole text width
PANEL = (1.55, 1.35)  # inches: the narrowest panel, and the height of each
DPI = 300
MANY = 10  # points of a line from which on not each has a marker


def check_figure(path: Path) -> str:
    """Return the format that a figure of this name has, before anything is computed for it.

    Raises UsageError for a suffix other than pdf, svg and png, MissingExtraError without
    matplotlib, NotFoundError where there is no such folder.
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        raise UsageError(
            f"unknown figure format '{form}'" if form else "no figure format in this name",
            source=path,
            remedy=f"try one of: {', '.join(f'{path.stem}.{known}' for known in FORMATS)}",
        )
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("figures need matplotlib", remedy="pip install 'nccli[figures]'")
    check_folder(path.parent)
    return form


def save_metric_figure(
    results: Sequence[Any],
    path: Path,
    *,
    names: Sequence[str] | None = None,
    logs: Mapping[str, bool] | None = None,
    width: float = PAGE,
) -> None:
    """Write a panel a metric over epochs, a line a run, as pdf, svg or png; whole or not at all.

    Seeds of one loss share colour and marker. Two or more are thin lines under their mean, with a
    band of one standard deviation (n - 1) to each side, both of the logarithms on a logarithmic
    axis. The second split is dashed, further ones dotted. Undefined values are gaps.

    names: fields of the results; by default NC1, NC2, NC3 and the first that is defined of NC4,
    accuracy and norms. logs: whether a field's axis is logarithmic; by default where its values
    are positive and span a factor of ten. width: inches, PAGE or COLUMN.

    Raises what `check_figure` raises, UsageError for a name that is no number of the results or
    two results at one epoch of one run, ContentError where there is nothing to draw.
    """
    form = check_figure(path)
    series = series_of(results)
    panels = _panels(series, names)
    with matplotlib_ready():
        figure = _figure(series, panels, logs or {}, width)
        content = io.BytesIO()
        figure.savefig(content, format=form, dpi=DPI, metadata=METADATA[form])
    publish_bytes(path, content.getvalue())


def _panels(series: Sequence[RunSeries], names: Sequence[str] | None) -> dict[str, Quantity]:
    """The fields that have a panel: those asked for that are defined anywhere."""
    if not series:
        raise ContentError("nothing to draw over epochs: no result has an epoch")
    known = quantities(series[0].runs[0][0])
    for name in names or ():
        if name not in known:
            choices = [field for field in known if field != "epoch" and is_defined(series, field)]
            raise UsageError(f"no field '{name}'", remedy=f"try one of: {', '.join(choices)}")
    wanted = names or [*NAMES, *[name for name in FOURTH if is_defined(series, name)][:1]]
    panels = {name: known[name] for name in wanted if is_defined(series, name)}
    if not panels:
        raise ContentError(f"nothing to draw: no result has a number for {', '.join(wanted)}")
    return panels


def _figure(
    series: Sequence[RunSeries],
    panels: Mapping[str, Quantity],
    logs: Mapping[str, bool],
    width: float,
) -> Figure:
    from matplotlib.figure import Figure

    columns = max(1, min(len(panels), int(width / PANEL[0])))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(width, 0.4 + rows * PANEL[1]), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for spare in grid[len(panels) :]:
        spare.remove()
    for index, (name, meaning) in enumerate(panels.items()):
        axes = grid[index]
        _draw_panel(axes, series, name, logs.get(name))
        words = f"{meaning.label} ({meaning.unit})" if meaning.unit else meaning.label
        # above the axis, not turned beside it: read at a glance, and the panel stays wide
        axes.set_ylabel(words, rotation=0, ha="left", va="bottom")
        axes.yaxis.set_label_coords(0.0, 1.04)
        if index + columns >= len(panels):  # nothing below it
            axes.set_xlabel("epoch")
    _add_legend(figure, series)
    return figure


# --- lines --------------------------------------------------------------------------------------


def _draw_panel(axes: Axes, series: Sequence[RunSeries], name: str, log: bool | None) -> None:
    splits = splits_of(series)
    curves = {(one.kind, split): one.curves(name, split) for one in series for split in splits}
    flat = [curve for found in curves.values() for curve in found]
    log = set_scale(axes, "y", [value for curve in flat for value in curve.values()], log)
    set_scale(axes, "x", [float(epoch) for curve in flat for epoch in curve], None)
    for one in series:
        for split, dashes in zip(splits, itertools.cycle(DASHES), strict=False):
            _draw_curves(axes, curves[one.kind, split], pen(one.kind) | {"ls": dashes}, log)


def _draw_curves(axes: Axes, curves: Sequence[Curve], line: dict[str, Any], log: bool) -> None:
    """One curve with its markers, or the mean of several over the thin curves themselves."""
    if len(curves) == 1:
        values = list(curves[0].values())
        axes.plot(list(curves[0]), values, **line, markevery=marked(values))
        return
    for curve in curves:
        thin = {"color": line["color"], "ls": line["ls"], "lw": 0.5, "alpha": 0.5}
        axes.plot(list(curve), list(curve.values()), **thin)
    if curves:
        epochs, mean, low, high = mean_and_spread(curves, log=log)
        axes.fill_between(epochs, low, high, color=line["color"], alpha=0.15, lw=0)
        axes.plot(epochs, mean, **line, markevery=marked(mean.tolist()))


def marked(values: Sequence[float]) -> list[int]:
    """Where a line has markers: at every point, at some of many, always at one between gaps."""
    step = math.ceil(len(values) / MANY) or 1
    padded = [math.nan, *values, math.nan]
    alone = [math.isnan(before) and math.isnan(after)
             for before, after in zip(padded, padded[2:], strict=False)]  # fmt: skip
    return [index for index in range(len(values)) if alone[index] or index % step == 0]


# --- legend -------------------------------------------------------------------------------------


def _add_legend(figure: Figure, series: Sequence[RunSeries]) -> None:
    """One legend above the panels, in as few rows as fit: series, splits, what the band is."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    keys: list[Any] = [
        Line2D([], [], label=printable(one.label), **pen(one.kind)) for one in series
    ]
    for split, dashes in zip(splits_of(series), itertools.cycle(DASHES), strict=False):
        keys.append(Line2D([], [], color=GREY, ls=dashes, lw=1.2, label=printable(split)))
    if any(len(one.runs) > 1 for one in series):
        keys.append(Patch(color=GREY, alpha=0.25, lw=0, label="mean ± std over seeds"))
    for rows in range(1, len(keys) + 1):
        columns = math.ceil(len(keys) / rows)
        legend = figure.legend(handles=keys, loc="outside upper center", ncols=columns)
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            figure.set_figheight(figure.get_figheight() + 0.16 * (rows - 1))
            return
        legend.remove()
