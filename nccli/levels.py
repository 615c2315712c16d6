"""When a positive number that falls during training first gets down to a level.

NC1 does not fall steadily: it goes up again where the learning rate or chance has it, so one level
may be crossed several times. The rule here is the first time. In symbols, with x_1, x_2, ... the
values at the saved epochs e_1 < e_2 < ... at which x is defined, the level c is reached at

    j = min { j : x_j <= c }        so that x_i > c for every i < j

that is where the running minimum of x (the trajectory's frontier) passes c, between the two
consecutive epochs e_{j-1} and e_j. Within that step x is taken as falling exponentially with the
epoch: c lies at the share t = log(x_{j-1} / c) / log(x_{j-1} / x_j) of the way, 0 < t <= 1.

Nothing is extrapolated. A level above x_1 was passed before the first saved epoch; one below the
smallest x was never reached; both are undefined. So is everything from a value x_j <= 0 on, which
has no logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The step between two consecutive saved epochs in which a level is first reached."""

    before: int  # the last epoch above the level; equal to `after` where `after` is the first one
    after: int  # the first epoch at or below it
    share: float  # of the way from `before` to `after`, in (0, 1]

    @property
    def epoch(self) -> float:
        """The epoch of the level itself, by the share of the way."""
        return self.before + self.share * (self.after - self.before)

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs at which a number must be defined to be interpolated here."""
        return (self.after,) if self.share == 1 else (self.before, self.after)

    def value(self, series: Mapping[int, float], *, log: bool) -> float | None:
        """Return another number at the level; None where it is not defined at both epochs.

        log: interpolate its logarithm (a power law of x comes out exactly), where both values are
        positive; else the number itself.
        """
        if any(epoch not in series for epoch in self.epochs):
            return None
        if self.share == 1:  # no arithmetic: the saved value to the last digit
            return series[self.after]
        return between(series[self.before], series[self.after], self.share, log=log)


def between(first: float, second: float, share: float, *, log: bool) -> float:
    """Return the number at a share of the way from one value to another."""
    if log and first > 0 and second > 0:
        return math.exp((1 - share) * math.log(first) + share * math.log(second))
    return (1 - share) * first + share * second


def share_of_way(first: float, second: float, level: float) -> float | None:
    """Return at which share of the way from one value to another a level lies, in [0, 1].

    On a logarithmic scale where all three are positive, else on a linear one; None where the level
    does not lie between them, or both are equal.
    """
    if first == second or not min(first, second) <= level <= max(first, second):
        return None
    if min(first, second) > 0:
        return math.log(first / level) / math.log(first / second)
    return (first - level) / (first - second)


def first_reach(series: Mapping[int, float], level: float) -> Reach | None:
    """Return where a series by epoch first gets down to a level; None where it does not."""
    points = _usable(series)
    index = next((i for i, (_, value) in enumerate(points) if value <= level), None)
    if index is None:
        return None
    after, value = points[index]
    if value == level:
        return Reach(before=points[max(index - 1, 0)][0], after=after, share=1.0)
    if index == 0:
        return None
    before, previous = points[index - 1]
    share = share_of_way(previous, value, level)
    return None if share is None else Reach(before=before, after=after, share=share)


def extent(series: Mapping[int, float]) -> tuple[float, float] | None:
    """Return the shallowest and the deepest level that a series reaches; None if it has none."""
    values = [value for _, value in _usable(series)]
    return (values[0], min(values)) if values else None


def why_unreached(series: Mapping[int, float], level: float) -> str:
    """Return in words why a level is not reached; the subject of the sentence is the number."""
    points = _usable(series)
    if not points:
        return "is positive at no saved epoch"
    epoch, first = points[0]
    if first < level:
        return f"is {first:.3g} already at its first saved epoch, {epoch}"
    ended = next((e for e in sorted(series) if series[e] <= 0), None)
    until = "" if ended is None else f" before it is 0 at epoch {ended}"
    return f"gets down to {min(value for _, value in points):.3g} only{until}"


def spread_evenly(shallow: float, deep: float, count: int) -> tuple[float, ...]:
    """Return levels from the shallow one to the deep one, evenly on a logarithmic scale."""
    if shallow == deep or count < 2:
        return (deep,)
    ratio = deep / shallow
    inner = [shallow * ratio ** (i / (count - 1)) for i in range(1, count - 1)]
    return (shallow, *inner, deep)  # the ends as they are: rounded, they would be out of reach


def _usable(series: Mapping[int, float]) -> Sequence[tuple[int, float]]:
    points: list[tuple[int, float]] = []
    for epoch in sorted(series):
        if not math.isfinite(series[epoch]):
            continue
        if series[epoch] <= 0:
            break
        points.append((epoch, series[epoch]))
    return points
