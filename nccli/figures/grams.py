"""The figure of Gram matrices: the cosines of all pairs of classes, one colour scale for all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nccli.charts.blocks import largest_size
from nccli.charts.diverging import LIGHT_SHADES
from nccli.charts.heatmap import LIMITS
from nccli.figures.axes import plain
from nccli.figures.lettering import brief, heading
from nccli.figures.metrics import PAGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
COLUMNS = 3  # matrices beside each other; our own choice
PANEL = (2.6, 2.5)  # inches: the widest column, and the height of a row
NARROWEST = 1.9  # inches of a column where the width is given
NUMBERED = 10  # classes up to which each cell holds its number
NAME = 14  # characters of the name of a class
LABELLED = 20  # classes up to which each row has its label
FEWER = 12  # labels at most, where there are more classes


class Gram(Protocol):
    """What a heatmap shows; `nccli.export.Matrix` has it."""

    @property
    def label(self) -> str: ...
    @property
    def values(self) -> Sequence[Sequence[float]] | NDArray[Any]: ...
    @property
    def classes(self) -> Sequence[str | int]: ...
    @property
    def target(self) -> float | None: ...


def grams_figure(matrices: Sequence[Gram], *, title: str, width: float | None = None) -> Figure:
    """Return a heatmap a matrix, blue below zero and orange above it, with one colour bar.

    The ends of the scale are the round numbers that hold all pairs of two classes; what is beyond
    (the diagonal) has the colour of the end. The ETF cosine is marked on the bar.
    """
    from matplotlib.figure import Figure

    columns = min(len(matrices), COLUMNS if width is None else max(1, int(width / NARROWEST)))
    rows = math.ceil(len(matrices) / columns)
    wide = min(PAGE, 0.9 + columns * PANEL[0]) if width is None else width
    size = (wide, 0.3 + rows * min(PANEL[1], (wide - 0.9) / columns))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    cosines = [np.array(one.values, dtype=np.float64) for one in matrices]
    limit = _limit(cosines, matrices)
    for spare in grid[len(matrices) :]:
        spare.remove()
    used = list(grid[: len(matrices)])
    for axes, one, values_KK in zip(used, matrices, cosines, strict=True):
        picture = _draw(axes, one, values_KK, limit, headed=len(matrices) > 1 or one.label != title)
    _add_bar(figure, picture, used, matrices, beyond=any(_beyond(one, limit) for one in cosines))
    figure.suptitle(heading(title), fontsize=8)
    return figure


def _draw(axes: Axes, one: Gram, values_KK: Floats, limit: float, *, headed: bool) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("nccli", LIGHT_SHADES).with_extremes(bad="white")
    picture = axes.imshow(values_KK, cmap=colours, vmin=-limit, vmax=limit, interpolation="nearest")
    axes.grid(visible=False)
    number = len(values_KK)
    places = range(0, number, _step(number))
    names = [brief(one.classes[place], width=NAME) for place in places]
    long = max(map(len, names), default=0) > 3
    axes.set_xticks(places, names, rotation=90 if long or number > NUMBERED else 0)
    axes.set_yticks(places, names)
    if headed:
        axes.set_title(heading(one.label, width=34), fontsize=7)
    if number <= NUMBERED:
        _write_numbers(axes, values_KK, limit)
    return picture


def _step(number: int) -> int:
    """Every how many classes there is a label: all of a few, else round numbers of them."""
    if number <= LABELLED:
        return 1
    decade = 1
    while True:
        for step in (decade, 2 * decade, 5 * decade):
            if number <= step * FEWER:
                return step
        decade *= 10


def _write_numbers(axes: Axes, values_KK: Floats, limit: float) -> None:
    for (row, column), value in np.ndenumerate(values_KK):
        if math.isfinite(value):
            text = f"{value:.2f}".replace("-", "−")
            if abs(value) < 0.995:
                text = text.replace("0.", ".")  # no room, and none is needed
            colour = "white" if abs(value) > 0.6 * limit else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=5, color=colour)


def _add_bar(
    figure: Figure, picture: Any, used: list[Axes], matrices: Sequence[Gram], *, beyond: bool
) -> None:
    """The colour bar, with a mark at the cosine that each matrix has at collapse."""
    bar = figure.colorbar(
        picture, ax=used, shrink=0.8, aspect=24, extend="max" if beyond else "neither"
    )
    bar.outline.set_linewidth(0.6)
    targets = sorted({one.target for one in matrices if one.target is not None})
    for target in targets:
        bar.ax.axhline(target, color="#111111", lw=1.2)
        label = f"ETF {plain(float(f'{target:.3g}'))}"
        bar.ax.text(-0.4, target, label, ha="right", va="center", rotation=90, fontsize=6,
                    transform=bar.ax.get_yaxis_transform())  # fmt: skip


def _limit(cosines: Sequence[Floats], matrices: Sequence[Gram]) -> float:
    """The smallest round number that holds every pair and every target, as in the terminal."""
    targets = [abs(one.target) for one in matrices if one.target is not None]
    most = max([largest_size(values_KK) for values_KK in cosines] + targets)
    return next((limit for limit in LIMITS if most <= limit), LIMITS[-1])


def _beyond(values_KK: Floats, limit: float) -> bool:
    return bool((values_KK > limit).any())
