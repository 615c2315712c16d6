"""Charts of measured Hessians: spectra by rank with the theory's over them, densities."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import RenderableType
from rich.text import Text

from nccli.charts import Chart, Series, line_chart
from nccli.cli.drawing import HEIGHT, chart_width, look, series_charts
from nccli.hessian_curves import density_series, spectrum_series
from nccli.hessian_report import HessianReport
from nccli.runs import run_of
from nccli.tables import as_text
from nccli.text import group_name

CHARTED = ["kappa_means_w", "kappa_h_median", "kappa_regularised_w"]
MOST_CURVES = 4  # runs; with the theory's curves there are as many as markers


def hessian_charts(results: Sequence[HessianReport]) -> list[RenderableType]:
    """Condition numbers over the epochs where there are several, and what was asked for more."""
    parts: list[RenderableType] = []
    if any(len({one.epoch for one in run}) > 1 for run in _runs(results)):
        parts += series_charts(results, CHARTED)
    last = [max(run, key=lambda one: one.epoch or 0) for run in _runs(results)][:MOST_CURVES]
    labels = _labels(last)
    spectra = spectrum_series(last, labels)
    if spectra:
        parts += _drawn(spectra, "eigenvalues of the W block by rank, UFM beside", "rank")
    for block in ("w", "h", "joint"):
        densities = density_series(last, labels, block)
        if densities:
            parts += _drawn(
                densities, f"share of the {_NAMES[block]} eigenvalues", "λ", lines=False
            )
    if not parts:
        hint = "nothing to draw over epochs; --top 20 or --density give a single checkpoint curves"
        parts = [Text(), Text(hint, style="dim")]
    return parts


_NAMES = {"w": "W block's", "h": "H block's", "joint": "joint Hessian's"}


def _drawn(
    series: Sequence[Series], title: str, x_label: str, *, lines: bool = True
) -> list[RenderableType]:
    chart: Chart = line_chart(
        series,
        title=title,
        width=chart_width(),
        height=HEIGHT + 2,
        x_label=x_label,
        x_log=True,
        look=look(),
        lines=lines,
    )
    return [Text(), as_text(chart)]


def _runs(results: Sequence[HessianReport]) -> list[list[HessianReport]]:
    """The results of each run; of several splits the first, as in the charts over epochs."""
    runs = [list(run) for _, run in groupby(results, key=run_of)]
    return [[one for one in run if one.split == run[0].split] for run in runs]


def _labels(results: Sequence[HessianReport]) -> list[str]:
    names = [group_name(one.loss_name, one.label_smoothing) for one in results]
    seeds = ["" if one.seed is None else f" s{one.seed}" for one in results]
    return [
        name if names.count(name) == 1 else name + seed
        for name, seed in zip(names, seeds, strict=True)
    ]
