"""Charts on stdout, through the same renderer as the terminal UI."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from nccli.calibration_report import CalibrationReport
from nccli.charts import Look, Series, line_chart, reliability_chart
from nccli.compare import COMPARED, Trajectory
from nccli.mean_curves import curves
from nccli.result import quantities
from nccli.runs import run_of
from nccli.tables import as_text
from nccli.text import group_name, is_seven_bit

CHARTED = (
    "train.nc1",
    "train.nc2_features",
    "train.nc3",
    "calibration.ece",
    "hessian.kappa_means_w",
)
MAX_WIDTH = 100
HEIGHT = 14
SIDE_BY_SIDE = 120  # columns from which on two reliability diagrams stand beside each other


def look() -> Look:
    """How charts may look on this stdout: NO_COLOR and an ASCII locale are obeyed."""
    seven_bit = is_seven_bit(os.environ, sys.stdout.encoding)
    return Look(colour="NO_COLOR" not in os.environ, ascii=seven_bit)


def chart_width(limit: int = MAX_WIDTH) -> int:
    """How wide charts may be on this terminal."""
    return min(limit, shutil.get_terminal_size((80, 24)).columns)


def series_charts(results: Sequence[Any], names: Sequence[str]) -> list[Text]:
    """One chart over epochs for each named field, a line a run; cross-entropy keeps its marker.

    Axes are logarithmic but where a value is negative: a log axis would hide it.
    """
    runs = [list(members) for _, members in groupby(results, key=run_of)]
    kinds = _kinds(results)
    charts = []
    for name in names:
        series = [_series(run, name, kinds[_group(run[0])]) for run in runs]
        chart = line_chart(
            series,
            title=quantities(results[0])[name].label,
            width=chart_width(),
            height=HEIGHT,
            x_log=_spread_over_decades(series),
            y_log=not any(y is not None and y < 0 for one in series for y in one.y),
            look=look(),
        )
        charts += [Text(), as_text(chart)]
    return charts


def comparison_charts(groups: Sequence[Sequence[Trajectory]]) -> list[Text]:
    """The compared numbers over the epochs, a curve a group: the mean of its seeds, their spread.

    A group of one run, or of runs that share no epoch, has a curve a run.
    """
    charts = []
    for row in COMPARED:
        if row.key in CHARTED:
            series = [
                one for kind, runs in enumerate(groups) for one in curves(runs, row.key, kind=kind)
            ]
            chart = line_chart(
                series,
                title=row.label,
                width=chart_width(),
                height=HEIGHT,
                x_log=_spread_over_decades(series),
                look=look(),
            )
            charts += [Text(), as_text(chart)]
    return charts


def _group(result: Any) -> str:
    return group_name(result.loss_name, result.label_smoothing)


def _kinds(results: Sequence[Any]) -> dict[str, int]:
    """Marker and colour of each loss: 0 is cross-entropy, 1 on the smoothings in order."""
    smoothed = sorted({_group(result) for result in results} - {"CE"})
    return {"CE": 0} | {name: kind for kind, name in enumerate(smoothed, start=1)}


def _spread_over_decades(series: Sequence[Series]) -> bool:
    epochs = [x for one in series for x in one.x]
    return len(epochs) > 0 and min(epochs) > 0 and max(epochs) / min(epochs) >= 30


def _series(run: Sequence[Any], name: str, kind: int) -> Series:
    split = run[0].split  # the file's first split: train, where there is one
    points = [result for result in run if result.split == split and result.epoch is not None]
    first = run[0]
    return Series(
        label=_group(first) if first.seed is None else f"{_group(first)} s{first.seed}",
        x=[float(result.epoch) for result in points],
        y=[getattr(result, name) for result in points],
        kind=kind,
    )


def reliability_charts(results: Sequence[CalibrationReport]) -> list[RenderableType]:
    """The reliability diagram of each result, two beside each other where the terminal is wide."""
    kinds, wide = _kinds(results), chart_width(limit=SIDE_BY_SIDE) == SIDE_BY_SIDE
    width = SIDE_BY_SIDE // 2 - 2 if wide and len(results) > 1 else chart_width()
    diagrams = [_diagram(result, kinds[_group(result)], width) for result in results]
    if not wide or len(results) == 1:
        return [part for diagram in diagrams for part in (Text(), diagram)]
    rows = Table.grid(padding=(1, 4, 0, 0))
    for place in range(0, len(diagrams), 2):
        rows.add_row(*diagrams[place : place + 2])
    return [rows]


def _diagram(result: CalibrationReport, kind: int, width: int) -> Text:
    epoch = "" if result.epoch is None else f" epoch {result.epoch}"
    scores = f"ECE {result.ece:.3f}  n={result.n:,}"
    beyond = any(one.is_beyond for one in result.bins)
    chart = reliability_chart(
        result.bins,
        title=f"{_group(result)}{epoch} {result.split}  {scores}",
        width=width,
        height=HEIGHT + 4,
        kind=kind,
        look=look(),
    )
    return as_text(chart).append("\n* more than chance (95 %)" if beyond else "", "dim")
