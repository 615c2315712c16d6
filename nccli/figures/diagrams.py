"""The figure of reliability diagrams as the terminal draws them: bars, gaps, counts below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from nccli.charts import Binned
from nccli.figures.axes import set_scale
from nccli.figures.lettering import add_key, heading
from nccli.figures.metrics import PAGE
from nccli.figures.style import GREY, pen

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4  # diagrams beside each other; our own choice
PANEL = (2.2, 2.6)  # inches: the widest column, and the height of a diagram with its counts
NARROWEST = 1.6  # inches of a column where the width is given
FLOOR = 0.8  # of the counts' logarithmic axis: a single sample is visible
# hue and hatching both tell the two gaps apart; hues as in the terminal on a light surface
OVER: dict[str, Any] = {"fc": "#f3cdb5", "ec": "#d55e00", "hatch": "////"}
UNDER: dict[str, Any] = {"fc": "#b5ded0", "ec": "#00704f", "hatch": "...."}
CAP = "#111111"


class Reliability(Protocol):
    """What a diagram shows; `nccli.export.Diagram` has it."""

    @property
    def label(self) -> str: ...
    @property
    def kind(self) -> int: ...
    @property
    def bins(self) -> Sequence[Binned]: ...


def diagrams_figure(
    diagrams: Sequence[Reliability], *, title: str, width: float | None = None
) -> Figure:
    """Return a panel a diagram, the number of samples of its bins below.

    A bar is accuracy, hatched from there to the mean confidence, which has a cap: one hatching
    where it is too high (over-confident), another where it is too low. Empty bins stay empty.
    """
    from matplotlib.figure import Figure

    columns = min(len(diagrams), COLUMNS if width is None else max(1, int(width / NARROWEST)))
    rows = math.ceil(len(diagrams) / columns)
    wide = min(PAGE, max(3.3, 0.5 + columns * PANEL[0])) if width is None else width
    size = (wide, 0.3 + rows * PANEL[1])
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=(4, 1) * rows)
    most = max((entry.count for one in diagrams for entry in one.bins), default=1)
    for place in range(rows * columns):
        upper, lower = (grid[2 * (place // columns) + part, place % columns] for part in (0, 1))
        if place >= len(diagrams):
            upper.remove()
            lower.remove()
            continue
        one = diagrams[place]
        _draw(upper, one)
        _draw_counts(lower, one, most)
        if place % columns == 0:
            upper.set_ylabel("accuracy")
            lower.set_ylabel("samples")
    figure.suptitle(heading(title), fontsize=8)
    add_key(figure, _key(diagrams[0].kind if len(diagrams) == 1 else None))
    return figure


def _draw(axes: Axes, one: Reliability) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.6, ls=(0, (2, 2)))
    for entry in _held(one.bins):
        accuracy, confidence = float(entry.accuracy or 0.0), float(entry.confidence or 0.0)
        middle, width = (entry.lower + entry.upper) / 2, entry.upper - entry.lower
        axes.bar(middle, accuracy, width, color=pen(one.kind)["color"], ec="white", lw=0.4)
        gap = OVER if confidence > accuracy else UNDER
        axes.bar(middle, confidence - accuracy, width, bottom=accuracy, lw=0, **gap)
        axes.hlines(confidence, entry.lower, entry.upper, color=CAP, lw=1.0)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.tick_params(labelbottom=False)
    axes.set_title("\n".join([heading(one.label, width=30), _errors(one.bins)]), fontsize=7)


def _draw_counts(axes: Axes, one: Reliability, most: int) -> None:
    held = _held(one.bins)
    axes.bar(
        [(entry.lower + entry.upper) / 2 for entry in held],
        [entry.count - FLOOR for entry in held],
        [entry.upper - entry.lower for entry in held],
        bottom=FLOOR,
        color=pen(one.kind)["color"],
        ec="white",
        lw=0.4,
    )
    set_scale(axes, "y", [1.0, float(max(most, 10))], True)
    axes.set_xlim(0, 1)
    axes.set_ylim(FLOOR, 1.3 * max(most, 10))
    axes.set_xlabel("confidence")


def _held(bins: Sequence[Binned]) -> list[Binned]:
    return [entry for entry in bins if entry.count]


def _errors(bins: Sequence[Binned]) -> str:
    """The expected calibration error that these bins show, and how many samples they hold."""
    held = _held(bins)
    total = sum(entry.count for entry in held)
    if not total:
        return "no samples"
    gaps = [abs((entry.accuracy or 0.0) - (entry.confidence or 0.0)) for entry in held]
    error = sum(entry.count * gap for entry, gap in zip(held, gaps, strict=True)) / total
    return f"ECE {error:.4f}, n {total:,}"


def _key(kind: int | None) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Patch(fc=GREY if kind is None else pen(kind)["color"], label="accuracy"),
        Patch(**OVER, lw=0, label="over-confident gap"),
        Patch(**UNDER, lw=0, label="under-confident gap"),
        Line2D([], [], color=CAP, lw=1.0, label="mean confidence"),
    ]
