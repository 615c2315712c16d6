"""The figure of what one chart of the terminal shows, with its origin in the file's metadata."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from nccli.errors import UsageError
from nccli.figures.curves import Curves, curves_figure, panels_figure
from nccli.figures.diagrams import Reliability, diagrams_figure
from nccli.figures.grams import Gram, grams_figure
from nccli.figures.metrics import DPI
from nccli.figures.style import METADATA, matplotlib_ready
from nccli.text import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Settings of matplotlib are the process's, and exports run in threads.
_ALONE = threading.Lock()


class Drawable(Curves, Protocol):
    """The numbers behind a chart, as `nccli.export.Plotted` holds them."""

    @property
    def diagrams(self) -> Sequence[Reliability]: ...
    @property
    def matrices(self) -> Sequence[Gram]: ...
    @property
    def panels(self) -> Sequence[Drawable]: ...


def plotted_figure_bytes(
    plotted: Drawable, form: str, *, notes: Sequence[str], width: float | None = None
) -> bytes:
    """Return the figure as svg, pdf or png; the same input gives the same bytes.

    width: inches; as wide as it needs where None.
    notes: lines that say where the numbers come from; they are in the description of an svg or
    png, the keywords of a pdf. Raises UsageError where there is nothing that a figure shows.
    """
    content = io.BytesIO()
    with _ALONE, matplotlib_ready():
        figure = plotted_figure(plotted, width=width)
        metadata = _metadata(form, plotted.title, notes)
        figure.savefig(content, format=form, dpi=DPI, metadata=metadata)
    return content.getvalue()


def plotted_figure(plotted: Drawable, *, width: float | None = None) -> Figure:
    """Return the matplotlib figure: curves, panels of them, reliability diagrams or Gram matrices.

    To be called within `matplotlib_ready`.
    """
    if plotted.panels:
        return panels_figure(plotted.panels, width=width)
    if plotted.series:
        return curves_figure(plotted, width=width)
    if plotted.diagrams:
        return diagrams_figure(plotted.diagrams, title=plotted.title, width=width)
    if plotted.matrices:
        return grams_figure(plotted.matrices, title=plotted.title, width=width)
    raise UsageError("nothing that a figure shows", remedy="export it as csv")


def _metadata(form: str, title: str, notes: Sequence[str]) -> dict[str, Any]:
    found = METADATA[form] | {"Title": visible(title)}
    if form == "pdf":
        return found | {"Subject": "exported by nccli", "Keywords": "; ".join(notes)}
    return found | {"Description": "\n".join(notes)}
