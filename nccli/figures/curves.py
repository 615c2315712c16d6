"""The figure of curves as the terminal draws them: lines, spread, theory, one key."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from nccli.charts import Reference, Series
from nccli.figures.axes import log_ticks, plain, set_scale
from nccli.figures.lettering import add_key, brief, heading
from nccli.figures.metrics import PAGE, marked
from nccli.figures.style import GREY, pen

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (4.6, 2.7)  # inches, without the key; our own choice
PANEL = (2.3, 1.75)  # inches: the widest of several panels, and the height of each
NARROWEST = 1.6  # inches of a column of panels
AIR = 0.05  # of an axis, beyond its data on each side
REACH = 2.0  # spans of the data that an axis is stretched by for a reference, as in the terminal
BESIDE = 24  # characters of a label beside the panel
LINE = 0.06  # of the height of the axes: what a label takes


class Curves(Protocol):
    """What a panel of curves shows; `nccli.export.Plotted` has it."""

    @property
    def title(self) -> str: ...
    @property
    def series(self) -> Sequence[Series]: ...
    @property
    def x_label(self) -> str: ...
    @property
    def x_log(self) -> bool: ...
    @property
    def y_log(self) -> bool: ...
    @property
    def references(self) -> Sequence[Reference]: ...


def curves_figure(plotted: Curves, *, width: float | None = None) -> Figure:
    """Return a panel with a line a series, its spread as a band, references dashed.

    What is undefined, or not positive on a logarithmic axis, is a gap. A reference so far off
    that the axis does not reach it keeps its label, with an arrow towards where it lies.
    """
    from matplotlib.figure import Figure

    size = SIZE if width is None else (width, width * SIZE[1] / SIZE[0])
    figure = Figure(figsize=size, layout="constrained")
    _panel(figure.subplots(), plotted)
    add_key(figure, _key(plotted.series))
    return figure


def panels_figure(panels: Sequence[Curves], *, width: float | None = None) -> Figure:
    """Return panels of curves beside and below each other, under one key."""
    from matplotlib.figure import Figure

    wide = min(PAGE, PANEL[0] * len(panels)) if width is None else width
    columns = max(1, min(len(panels), int(wide / NARROWEST)))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(wide, rows * PANEL[1]), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for spare in grid[len(panels) :]:
        spare.remove()
    for place, (axes, one) in enumerate(zip(grid, panels, strict=False)):
        _panel(axes, one)
        if place + columns < len(panels):  # another below it
            axes.set_xlabel("")
    keys = {one.label: one for panel in panels for one in panel.series}
    add_key(figure, _key(list(keys.values())))
    return figure


def _panel(axes: Axes, plotted: Curves) -> None:
    values = _heights(plotted.series, log=plotted.y_log)
    values += [
        one.value
        for one in plotted.references
        if _within_reach(one.value, values, log=plotted.y_log)
    ]
    y_log = _scale(axes, "y", values, plotted.y_log)
    _scale_x(axes, plotted.series, plotted.x_log)
    for one in plotted.series:
        _draw(axes, one, floor=min(values) if y_log and values else None)
    if y_log:
        _frame_logs(axes, values)
    _draw_references(axes, plotted.references, log=y_log)
    axes.set_title(heading(plotted.title), loc="left", fontsize=8)
    axes.set_xlabel(brief(plotted.x_label))


# --- axes ---------------------------------------------------------------------------------------


def _scale_x(axes: Axes, series: Sequence[Series], log: bool) -> None:
    places = [x for one in series for x in _floats(one.x) if math.isfinite(x)]
    if _scale(axes, "x", places, log):
        _tick_narrow_logs(axes, "x", [x for x in places if x > 0])


def _scale(axes: Axes, which: Literal["x", "y"], values: list[float], log: bool) -> bool:
    """As other figures have it, with more ticks: this panel is larger, and x need not be epochs."""
    from matplotlib.ticker import MaxNLocator

    log = set_scale(axes, which, values, log)
    if not log:
        axis = axes.xaxis if which == "x" else axes.yaxis
        whole = which == "x" and all(value == int(value) for value in values)
        axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=whole))
    return log


def _heights(series: Sequence[Series], *, log: bool) -> list[float]:
    """All that an axis has to hold: finite, and positive where it is logarithmic."""
    every = [v for one in series for part in (one.y, one.low, one.high) for v in _floats(part)]
    return [value for value in every if math.isfinite(value) and (value > 0 or not log)]


def _within_reach(value: float, values: Sequence[float], *, log: bool) -> bool:
    if not math.isfinite(value) or not values or (log and value <= 0):
        return False
    low, high, at = (_inner(one, log) for one in (min(values), max(values), value))
    return high == low or max(at - high, low - at) <= REACH * (high - low)


def _frame_logs(axes: Axes, values: Sequence[float]) -> None:
    """The ends of a logarithmic y axis: all values, bands too, with some air."""
    if values:
        low, high = math.log10(min(values)), math.log10(max(values))
        air = AIR * (high - low) or AIR
        axes.set_ylim(10 ** (low - air), 10 ** (high + air))
        _tick_narrow_logs(axes, "y", values)


def _tick_narrow_logs(axes: Axes, which: Literal["x", "y"], values: Sequence[float]) -> None:
    """Round numbers as ticks where an axis is so short that it holds no two of 1, 2 and 5."""
    from matplotlib.ticker import MaxNLocator, NullLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    if log_ticks(min(values, default=1.0), max(values, default=1.0)) < 2:
        axis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter("{x:g}")


def _inner(value: float, log: bool) -> float:
    return math.log10(value) if log else value


# --- lines --------------------------------------------------------------------------------------


def _draw(axes: Axes, one: Series, *, floor: float | None) -> None:
    """A curve over its band; `floor` is the least value that a logarithmic axis holds."""
    line, x, y = pen(one.kind), _floats(one.x), _floats(one.y)
    if len(one.low) and len(one.high):
        low, high = _floats(one.low), _floats(one.high)
        if floor is not None:  # a band that reaches zero reaches the bottom, and is not broken
            low = [value if not value <= 0 else floor * 1e-3 for value in low]
        axes.fill_between(x, low, high, color=line["color"], alpha=0.18, lw=0)
    if floor is not None:
        y = [value if value > 0 else math.nan for value in y]
    axes.plot(x, y, **line, markevery=marked(y), label=brief(one.label))


def _draw_references(axes: Axes, references: Sequence[Reference], *, log: bool) -> None:
    """Dashed lines, and their labels beside the panel, apart from each other."""
    bottom, top = axes.get_ylim()
    last = -math.inf
    for one in sorted(references, key=lambda one: one.value):
        if not math.isfinite(one.value):
            continue
        label = f"{brief(one.label, width=BESIDE)} {plain(float(f'{one.value:.3g}'))}"
        if bottom <= one.value <= top:
            axes.axhline(one.value, color=GREY, lw=0.8, ls=(0, (4, 2)), zorder=1.5)
            low, high, at = (_inner(value, log) for value in (bottom, top, one.value))
            share = (at - low) / (high - low)
        else:
            share, arrow = (0.0, "↓") if one.value < bottom else (1.0, "↑")
            label = f"{arrow} {label}"
        last = max(share, last + LINE)
        axes.text(1.015, last, label, transform=axes.transAxes, va="center", color=GREY)
    axes.set_ylim(bottom, top)


def _key(series: Sequence[Series]) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    keys: list[Any] = [Line2D([], [], label=label, **pen(kind)) for label, kind in _labels(series)]
    if any(len(one.low) for one in series):
        keys.append(Patch(color=GREY, alpha=0.25, lw=0, label="spread"))
    return keys


def _labels(series: Sequence[Series]) -> Iterator[tuple[str, int]]:
    """Each pair of label and look once: a curve may come in pieces."""
    yield from dict.fromkeys((brief(one.label), one.kind) for one in series)


def _floats(values: Sequence[float | None]) -> list[float]:
    """Numbers for matplotlib: undefined and infinite are NaN, a gap."""
    found = [math.nan if value is None else float(value) for value in values]
    return [value if math.isfinite(value) else math.nan for value in found]
