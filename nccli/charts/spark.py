"""A trend in one line of text: `█▆▅▃▂▁▁`."""

import math
from collections.abc import Sequence

from nccli.charts.parts import Look
from nccli.charts.scale import Scale

EIGHTHS = "▁▂▃▄▅▆▇█"
ASCII_EIGHTHS = "_.:-=+*#"


def eighths(look: Look) -> str:
    """Eight glyphs from low to high."""
    return ASCII_EIGHTHS if look.ascii else EIGHTHS


def sparkline(
    values: Sequence[float | None],
    *,
    width: int,
    look: Look = Look(),  # noqa: B008 - frozen
    log: bool = False,
) -> str:
    """`values` in at most `width` cells, lowest to highest; a constant runs in the middle.

    None, NaN, inf (and on a log scale zero or less) are blanks. More values than cells: each
    cell shows the mean height of its share of them.
    """
    drawable = [v for v in values if _drawable(v, log=log)]
    if not drawable or width < 1:
        return ""
    scale = _scale([v for v in drawable if v is not None], log=log)
    heights = [scale.place(v) if v is not None and _drawable(v, log=log) else None for v in values]
    return "".join(_glyph(part, eighths(look)) for part in _shares(heights, width))


def _drawable(value: float | None, *, log: bool) -> bool:
    return value is not None and math.isfinite(value) and not (log and value <= 0)


def _scale(values: list[float], *, log: bool) -> Scale:
    low, high = min(values), max(values)
    if log:
        return Scale(low=math.log10(low), high=math.log10(high), log=True)
    return Scale(low=low, high=high, log=False)


def _shares(heights: list[float | None], width: int) -> list[list[float]]:
    """The known heights behind each cell."""
    cells = min(width, len(heights))
    edges = [cell * len(heights) // cells for cell in range(cells + 1)]
    return [
        [height for height in heights[edges[cell] : edges[cell + 1]] if height is not None]
        for cell in range(cells)
    ]


def _glyph(heights: list[float], ramp: str) -> str:
    if not heights:
        return " "
    return ramp[min(7, int(sum(heights) / len(heights) * 8))]
