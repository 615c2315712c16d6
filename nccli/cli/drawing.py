"""Charts on stdout, through the same renderer as the terminal UI."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.text import Text

from nccli.calibration import CalibrationReport
from nccli.charts import Bin, Chart, Look, Series, line_chart, reliability_chart
from nccli.checkpoint import group_name
from nccli.result import quantities

MAX_WIDTH = 100
HEIGHT = 14


def look() -> Look:
    """How charts may look on this stdout: NO_COLOR and an ASCII locale are obeyed."""
    encoding = (sys.stdout.encoding or "ascii").lower()
    return Look(colour="NO_COLOR" not in os.environ, ascii="utf" not in encoding)


def as_text(chart: Chart) -> Text:
    """Turn a chart into a rich text, ready to be printed."""
    text = Text(no_wrap=True)
    for index, row in enumerate(chart.rows):
        text.append("\n" if index else "")
        for span in row:
            text.append(span.text, style=span.style)
    return text


def _width() -> int:
    return min(MAX_WIDTH, shutil.get_terminal_size((80, 24)).columns)


def series_charts(results: Sequence[Any], names: Sequence[str]) -> list[Text]:
    """One chart over epochs for each named field, a line a run."""
    runs = [list(members) for _, members in groupby(results, key=_run_key)]
    charts = []
    for name in names:
        series = [_series(run, name, kind) for kind, run in enumerate(runs)]
        title = quantities(results[0])[name].label
        chart = line_chart(series, title=title, width=_width(), height=HEIGHT, look=look())
        charts += [Text(), as_text(chart)]
    return charts


def _run_key(result: Any) -> tuple[Any, ...]:
    folder = os.path.dirname(result.path or "")  # noqa: PTH120
    return folder, result.loss_name, result.label_smoothing, result.seed


def _series(run: Sequence[Any], name: str, kind: int) -> Series:
    split = run[0].split  # the file's first split: train, where there is one
    points = [result for result in run if result.split == split and result.epoch is not None]
    first = run[0]
    label = group_name(first.loss_name, first.label_smoothing)
    return Series(
        label=label if first.seed is None else f"{label} s{first.seed}",
        x=[float(result.epoch) for result in points],
        y=[getattr(result, name) for result in points],
        kind=kind,
    )


def reliability_charts(results: Sequence[CalibrationReport]) -> list[Text]:
    """The reliability diagram of each result."""
    charts = []
    for kind, result in enumerate(results):
        name = group_name(result.loss_name, result.label_smoothing)
        epoch = "" if result.epoch is None else f" epoch {result.epoch}"
        chart = reliability_chart(
            [_bin(one) for one in result.bins],
            title=f"{name}{epoch} ({result.split})",
            width=_width(),
            height=HEIGHT + 4,
            kind=kind,
            look=look(),
        )
        charts += [Text(), as_text(chart)]
    return charts


def _bin(one: Any) -> Bin:
    return Bin(
        lower=one.lower,
        upper=one.upper,
        count=one.count,
        confidence=one.confidence,
        accuracy=one.accuracy,
    )
