"""A network's curvature for people: the whole beside its last layer, and the density's curves."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nccli.charts import Series
from nccli.network.report import NetworkReport
from nccli.render import shown
from nccli.text import visible

DUST = 1e-6  # shares that the quadrature leaves where nothing is
NAMES = {"ggn": "GGN", "hessian": "Hessian"}


def network_table(report: NetworkReport) -> RenderableType:
    """The whole network beside its last layer, the top eigenvalues, what lies near zero."""
    layer = f"last layer '{report.last_layer}'" if report.last_layer else "one layer"
    words = f"{NAMES[report.curvature]}  {report.dtype}  N={report.n:,}  {layer}"
    parts: list[RenderableType] = [
        Text(visible(report.place), "bold"),
        Text(visible(words)),
        _whole_and_last(report),
        Text(),
        _spectrum(report),
    ]
    return Group(*parts, Text(), *(Text(visible(line), "dim") for line in _more(report)))


def _grid(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, heading in enumerate(headings):
        table.add_column(Text(heading), justify="right" if place else "left")
    return table


def _whole_and_last(report: NetworkReport) -> Table:
    table = _grid("", "network", "last layer", "share")
    share = report.num_last_layer / report.num_parameters
    sizes = (f"{report.num_parameters:,}", f"{report.num_last_layer:,}")
    table.add_row("parameters", *sizes, percent(share))
    table.add_row(
        "lambda max",
        _with_error(report.lambda_max, report.lambda_max_error),
        _with_error(report.lambda_max_last_layer, report.lambda_max_last_layer_error),
        percent(report.last_layer_lambda_share),
    )
    table.add_row(
        "trace",
        _with_error(report.trace, report.trace_error),
        _with_error(report.trace_last_layer, report.trace_last_layer_error),
        percent(report.last_layer_trace_share),
    )
    count = len(report.spectrum)
    label = "top eigenvector" if count == 1 else f"top {count} eigenvectors, by lambda"
    table.add_row(label, "", "", percent(report.last_layer_share_top))
    return table


def _with_error(value: float | None, error: float | None) -> str:
    """`0.0314 ± 2e-05`; no error where it is exact, or none is known."""
    return f"{shown(value)} ± {error:.0e}" if error else shown(value)


def percent(share: float | None) -> str:
    """`12.3 %`, or `–`."""
    return "–" if share is None else f"{100 * share:.1f} %"


def _spectrum(report: NetworkReport) -> Table:
    table = _grid("rank", "eigenvalue", "certified to", "in the last layer")
    for rank, one in enumerate(report.spectrum, 1):
        width = (one.high - one.low) / 2
        certificate = f"± {width / one.value:.0e}" if one.value > 0 else "–"
        table.add_row(str(rank), shown(one.value), certificate, percent(one.last_layer_share))
    return table


def _more(report: NetworkReport) -> list[str]:
    lines = [
        f"loss {shown(report.loss)}, no penalty in it; {report.products:,} products, "
        f"{report.probes} probes of {report.steps} steps, seed {report.seed}",
        f"lambda min {shown(report.lambda_min)} or less; {percent(report.near_zero_share)} of the "
        f"eigenvalues within {shown(report.resolution)} of zero",
    ]
    if any(one.error != 0 for one in report.density):
        lines.append(
            f"the density's node nearest to zero stands for all that {report.steps} steps do not "
            "tell apart from it"
        )
    return lines


def density_curves(report: NetworkReport) -> Sequence[Series]:
    """The density over the size of the eigenvalues, a curve for each sign."""
    curves = []
    for kind, (sign, label) in enumerate(((1, "λ > 0"), (-1, "λ < 0"))):
        bins = sorted(
            (one for one in report.density if one.sign == sign), key=lambda one: one.log10_low
        )
        if any(one.density > DUST for one in bins):
            middles = [10 ** ((one.log10_low + one.log10_high) / 2) for one in bins]
            # what lies below is dust of the quadrature, no eigenvalue of this problem
            heights = [one.density if one.density > DUST else None for one in bins]
            curves.append(Series(label=label, x=middles, y=heights, kind=kind))
    return curves
