"""Headings and keys of figures that share neither panels nor columns: as wide as there is room."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nccli.figures.style import LONGEST, printable
from nccli.text import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LINES = 3  # of a heading; our own choice
KEY_LINE = 0.16  # inches


def brief(text: object, *, width: int = LONGEST) -> str:
    """Return text from elsewhere as the font can show it, in `width` characters at most."""
    shown = printable(str(text))  # may be longer than the text: what has no glyph is an escape
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def heading(text: str, *, width: int = LONGEST) -> str:
    """Return text from elsewhere in lines of `width` characters at most, three of them."""
    lines = textwrap.wrap(visible(text), min(width, LONGEST))
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], " ".join(lines[MOST_LINES - 1 :])]
    return "\n".join(brief(line, width=width) for line in lines)


def add_key(figure: Figure, handles: Sequence[Any]) -> None:
    """Explain lines and fills below the panels, in as few rows as fit; the figure grows by them."""
    for rows in range(1, len(handles) + 1):
        columns = math.ceil(len(handles) / rows)
        legend = figure.legend(handles=handles, loc="outside lower center", ncols=columns)
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            figure.set_figheight(figure.get_figheight() + KEY_LINE * rows)
            return
        legend.remove()
