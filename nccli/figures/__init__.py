"""Results as figures for print (pdf, svg, png), through matplotlib: `--figure`.

    save_metric_figure(results, Path("collapse.pdf"), width=COLUMN)

matplotlib (the extra `figures`) is imported when a figure is asked for, never before; pyplot is
not used, and the user's own matplotlib settings play no part, so that the same results give the
same bytes.
"""

from nccli.figures.metrics import COLUMN, FORMATS, PAGE, check_figure, save_metric_figure
from nccli.figures.plotted import plotted_figure, plotted_figure_bytes
from nccli.figures.reliability import save_reliability_figure

__all__ = [
    "COLUMN",
    "FORMATS",
    "PAGE",
    "check_figure",
    "plotted_figure",
    "plotted_figure_bytes",
    "save_metric_figure",
    "save_reliability_figure",
]
