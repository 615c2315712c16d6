"""Charts as rows of styled text: one pure renderer for the TUI, `--chart` and golden tests.

    chart = line_chart([Series(label="CE", x=epochs, y=nc1, kind=0)], title="NC1", width=80,
                       height=20)
    print(chart.plain())

No Textual, no rich, no I/O: a `Chart` is rows of `Span(text, style)`, and every cell is one
column wide. `nccli.charts.heatmap` draws Gram matrices; it needs numpy, and is not imported here.
"""

from nccli.charts.histogram import histogram
from nccli.charts.lines import line_chart
from nccli.charts.palette import mark, series_style
from nccli.charts.parts import Bin, Binned, Chart, Counts, Look, Reference, Series, Span
from nccli.charts.reliability import reliability_chart
from nccli.charts.spark import sparkline

__all__ = [
    "Bin",
    "Binned",
    "Chart",
    "Counts",
    "Look",
    "Reference",
    "Series",
    "Span",
    "histogram",
    "line_chart",
    "mark",
    "reliability_chart",
    "series_style",
    "sparkline",
]
