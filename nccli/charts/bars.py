"""Where the bars of a reliability diagram lie: bins in cells, narrow ones pooled."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from nccli.charts.parts import Binned


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bin in plot cells: columns `start` to `stop`, heights measured from the bottom."""

    start: int
    stop: int
    accuracy: float
    confidence: float | None
    count: int
    beyond: bool  # outside of what chance allows

    @property
    def solid(self) -> float:
        """Height of the part both agree on."""
        return self.accuracy if self.confidence is None else min(self.accuracy, self.confidence)

    @property
    def upper(self) -> float:
        """Height of the top of the gap."""
        return self.accuracy if self.confidence is None else max(self.accuracy, self.confidence)

    @property
    def over(self) -> bool:
        """Whether the model was surer than it was right."""
        return self.confidence is not None and self.confidence > self.accuracy


def columns_of(bins: Sequence[Binned], room: int) -> int:
    """Cells across: equal bins get the same whole number of cells each."""
    number = len(bins)
    equal = all(abs(one.upper - one.lower - 1 / number) < 1e-6 for one in bins)
    return room // number * number if bins and equal and number <= room else room


def bars_of(bins: Sequence[Binned], columns: int, rows: int) -> list[Bar]:
    """The bins that hold something, from left to right; those that share a column as one bin."""
    bars = [bar for one in bins if (bar := _bar(one, columns, rows)) is not None]
    bars.sort(key=lambda bar: bar.start)
    return [_pooled(list(shared)) for _, shared in groupby(bars, key=lambda bar: bar.start)]


def _pooled(bars: Sequence[Bar]) -> Bar:
    """One bin with the samples of all: both heights are means over samples."""
    if len(bars) == 1:
        return bars[0]
    count = sum(bar.count for bar in bars)
    known = [(bar.count / count, bar.confidence) for bar in bars if bar.confidence is not None]
    sure = sum(share for share, _ in known)
    return Bar(
        start=bars[0].start,
        stop=max(bar.stop for bar in bars),
        accuracy=sum(bar.count / count * bar.accuracy for bar in bars),
        confidence=sum(share * height for share, height in known) / sure if sure else None,
        count=count,
        beyond=any(bar.beyond for bar in bars),
    )


def _bar(one: Binned, columns: int, rows: int) -> Bar | None:
    """A bin in cells; None when it holds nothing or has no place in [0, 1]."""
    accuracy = _unit(one.accuracy)
    lower, upper = _unit(one.lower), _unit(one.upper)
    if one.count <= 0 or accuracy is None or lower is None or upper is None:
        return None
    start = min(columns - 1, round(lower * columns))
    confidence = _unit(one.confidence)
    return Bar(
        start=start,
        stop=max(start + 1, round(upper * columns)),
        accuracy=accuracy * rows,
        confidence=None if confidence is None else confidence * rows,
        count=one.count,
        beyond=one.is_beyond,
    )


def _unit(value: float | None) -> float | None:
    """A share, held inside [0, 1]; None for what is not a number."""
    if value is None or not math.isfinite(value):
        return None
    return min(1.0, max(0.0, value))
