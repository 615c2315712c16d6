"""How long each chart of `nccli.charts` takes to draw, in this process."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np

from nccli import charts
from nccli.charts import Bin, Reference, Series, line_chart, reliability_chart, sparkline
from nccli.charts.heatmap import heatmap

SIZE = {"width": 140, "height": 40}
WARM_UP, TIMES = 3, 40
MOST_SECONDS = 4.0  # a chart; one that is slow is drawn fewer times

Draw = Callable[[], object]


def draw_times(draw: Draw) -> list[float]:
    """Seconds of each of many drawings."""
    for _ in range(WARM_UP):
        draw()
    times: list[float] = []
    while len(times) < TIMES and sum(times) < MOST_SECONDS:
        start = time.perf_counter()
        draw()
        times.append(time.perf_counter() - start)
    return times


def median_and_worst(values: list[float]) -> tuple[float, float]:
    """Of a list that is not empty."""
    return statistics.median(values), max(values)


def every_chart() -> Iterator[tuple[str, Draw]]:
    """Name and drawing of each chart."""
    curves = [_curve(kind) for kind in range(4)]
    ideal = [Reference(value=0.01, label="ETF")]
    yield (
        "lines, 4 x 100 with spread",
        lambda: line_chart(curves, title="NC1", cursor=50, references=ideal, **SIZE),
    )
    bins = _bins()
    yield "reliability, 15 bins", lambda: reliability_chart(bins, title="test", **SIZE)
    for classes in (10, 1000):
        cosines = _cosines(classes)
        yield (
            f"heatmap, K = {classes:,}",
            lambda cosines=cosines: heatmap(cosines, title="Gram", target=-0.1, **SIZE),
        )
    spectrum = [_spectrum(kind) for kind in range(2)]
    yield (
        "spectrum, 2 x 40 points",
        lambda: line_chart(spectrum, title="spectrum", x_label="rank", lines=False, **SIZE),
    )
    if hasattr(charts, "histogram"):
        yield "histogram, 2 x 15 bins", _histogram
    values = [curve.y[place] for curve in curves for place in range(100)]
    yield "sparkline, 400 values", lambda: sparkline(values, width=SIZE["width"], log=True)


def _curve(kind: int) -> Series:
    epochs = range(1, 101)
    heights = [(kind + 1) / epoch for epoch in epochs]
    return Series(
        label=f"run {kind}",
        x=epochs,
        y=heights,
        kind=kind,
        low=[0.8 * height for height in heights],
        high=[1.2 * height for height in heights],
    )


def _bins() -> list[Bin]:
    return [
        Bin(
            lower=place / 15,
            upper=(place + 1) / 15,
            count=1 << place,
            confidence=(place + 0.5) / 15,
            accuracy=min(1.0, (place + 0.5) / 15 * 0.9),
        )
        for place in range(15)
    ]


def _cosines(classes: int) -> np.ndarray:
    rows_KD = np.random.default_rng(0).standard_normal((classes, 64))
    rows_KD /= np.linalg.norm(rows_KD, axis=1, keepdims=True)
    return (rows_KD @ rows_KD.T).astype(np.float32)


def _spectrum(kind: int) -> Series:
    ranks = range(1, 41)
    sizes = [math.exp(-rank / (5 + kind)) for rank in ranks]
    return Series(label=f"run {kind}", x=ranks, y=sizes, kind=kind)


def _histogram() -> object:
    edges = [place / 15 for place in range(16)]
    every = charts.Counts(label="all", counts=[1 << place for place in range(15)], kind=0)
    wrong = charts.Counts(label="wrong", counts=[1 << place // 2 for place in range(15)], kind=1)
    return charts.histogram(edges, [every, wrong], title="confidence", **SIZE)
