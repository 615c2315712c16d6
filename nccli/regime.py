"""Where label smoothing helps the conditioning of the unconstrained feature model, where it hurts.

Two answers in closed form, of kappa_loss and of kappa_regularised (nccli.ufm). Both depend on the
problem only through K and

    s = delta + z,  z = K sqrt(n) lambda_z

so that the penalties and the smoothing count alike. The formulas are nccli's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scipy.optimize import brentq

from nccli.errors import UsageError
from nccli.sweep import SweepPoint
from nccli.ufm import Problem, kappa_regularised

TIGHTEST = 4 * 2.0**-52  # the smallest relative tolerance that brentq takes
NEARBY = 1e-5  # deltas below it move the crossing by delta / 2, to a relative 1e-10
TINY = 1e-200  # stands for the open end 0; K over it is still a double
BELOW_ONE = math.nextafter(1.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Linearity:
    """How kappa_loss depends on delta over some swept points (the paper's open question 1)."""

    slope: int  # -(K - 1) exactly for K >= 3; 0 for K = 2, where kappa_loss is 1
    points: int  # where kappa_loss is defined
    deviation: float | None  # largest distance from the chord of the end points; None below 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """How kappa_regularised depends on delta for one problem, and where that turns."""

    pull: float  # z = K sqrt(n) lambda_z
    crossing: float  # the z where the slope at delta = 0 changes its sign
    crossing_lambda_h: float  # the lambda_h that has this z, at this K, n and lambda_w
    slope: float | None  # d kappa_regularised / d delta at 0; None at total collapse
    baseline: float  # kappa_regularised at delta = 0
    peak_delta: float | None  # where kappa_regularised is largest, if it rises at 0
    peak: float | None  # its value there
    return_delta: float | None  # beyond it label smoothing is below cross-entropy again

    @property
    def rises(self) -> bool:
        """Whether a little label smoothing makes kappa_regularised larger."""
        return self.pull < self.crossing


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Both answers for the points of a sweep that differ in delta alone."""

    problem: Problem  # at delta = 0
    deltas: tuple[float, ...]
    linearity: Linearity
    regime: Regime


def answers(points: Sequence[SweepPoint]) -> tuple[Answer, ...]:
    """Return one answer for each problem in the points, in their order."""
    lines: dict[Problem, list[SweepPoint]] = {}
    for point in points:
        lines.setdefault(replace(point.problem, label_smoothing=0.0), []).append(point)
    return tuple(_answer(problem, members) for problem, members in lines.items())


def _answer(problem: Problem, points: Sequence[SweepPoint]) -> Answer:
    values = [(point.label_smoothing, point.kappa_loss) for point in points]
    return Answer(
        problem=problem,
        deltas=tuple(point.label_smoothing for point in points),
        linearity=linearity(problem.num_classes, values),
        regime=regime(problem),
    )


def linearity(num_classes: int, points: Sequence[tuple[float, float | None]]) -> Linearity:
    """Measure how far (delta, kappa_loss) lie from a straight line.

    kappa_loss = K - (K-1)(delta + z) for K >= 3 while s < 1: the slope is -(K-1), whatever n, d
    and the penalties are.
    """
    known = sorted((delta, kappa) for delta, kappa in points if kappa is not None)
    slope = 0 if num_classes == 2 else 1 - num_classes
    deviation = None
    if len({delta for delta, _ in known}) >= 3:
        (start, first), (stop, last) = known[0], known[-1]
        chord = (last - first) / (stop - start)
        deviation = max(abs(kappa - first - chord * (delta - start)) for delta, kappa in known)
    return Linearity(slope=slope, points=len(known), deviation=deviation)


def regime(problem: Problem) -> Regime:
    """Return what label smoothing does to kappa_regularised; the problem's own delta is ignored.

    With p_n = s/K and p_t = 1 - s + s/K,

        kappa_regularised = 1 + f(s) / z,   f(s) = K a p_t p_n = a(s) s (1 - s + s/K)
        f'(s) = a(s) (1 - 2 (1 - 1/K) s) - 1            since a'(s) = -1 / (s p_t)

    f is 0 at s = 0 and at s = 1 and has a single maximum s* between (see `crossing`). As s =
    delta + z, kappa_regularised rises with delta exactly while s < s*: at delta = 0 if z < s*,
    then up to delta = s* - z, and it is back at its first value where f(delta + z) = f(z), always
    before total collapse at delta = 1 - z.
    """
    plain = replace(problem, label_smoothing=0.0)
    classes, pull = plain.num_classes, plain.pull
    turn = crossing(classes)
    peak = turn - pull if pull < turn else None
    there = None if peak is None else replace(plain, label_smoothing=peak)
    return Regime(
        pull=pull,
        crossing=turn,
        crossing_lambda_h=(turn / classes) ** 2 / plain.per_class / plain.lambda_w,
        slope=_rise(classes, pull) / pull if pull < 1 else None,
        baseline=kappa_regularised(plain),
        peak_delta=peak,
        peak=None if there is None else kappa_regularised(there),
        return_delta=None if peak is None else _return_delta(classes, pull, turn),
    )


def crossing(num_classes: int, *, label_smoothing: float = 0.0) -> float:
    """Return the z = K sqrt(n) lambda_z below which this smoothing makes kappa_regularised worse.

    At label_smoothing = 0, the limit of a little smoothing: the root s* of

        a(s) (1 - 2 (1 - 1/K) s) = 1,   a(s) = log(K/s - K + 1)

    Both factors fall with s, from infinity to 0 at s = min(1, K / (2 (K-1))): one root. At
    delta > 0, where cross-entropy and label smoothing are equal: f(z + delta) = f(z), between
    s* - delta and s*. Raises UsageError where K < 2 or delta is not in [0, 1).
    """
    if num_classes < 2 or not 0 <= label_smoothing < 1:
        raise UsageError(
            f"a crossing needs K >= 2 and delta in [0, 1), got {num_classes} and {label_smoothing}"
        )
    top = min(1.0, num_classes / (2 * (num_classes - 1)))
    turn = _root(lambda s: _rise(num_classes, s), TINY, top)
    if label_smoothing < NEARBY:  # f(z + delta) - f(z) would be all rounding
        return turn - label_smoothing / 2

    def difference(z: float) -> float:
        smoothed = _f(num_classes, label_smoothing + z, 1 - label_smoothing - z)
        return smoothed - _f(num_classes, z, 1 - z)

    return _root(difference, max(TINY, turn - label_smoothing), min(turn, 1 - label_smoothing))


def value_at(pull: float, name: str, problem: Problem) -> float | None:
    """Return the value of a swept variable with K sqrt(n) lambda_z = pull, the others as they are.

    None for a variable that it is not one of: delta, d, and K, on which the crossing depends.
    """
    classes, per_class = problem.num_classes, problem.per_class
    squared = (pull / classes) ** 2  # n lambda_w lambda_h
    if name == "lambda":
        return math.sqrt(squared / per_class)
    if name == "lambda-w":
        return squared / per_class / problem.lambda_h
    if name == "lambda-h":
        return squared / per_class / problem.lambda_w
    return squared / problem.lambda_w / problem.lambda_h if name == "n" else None


def _f(classes: int, s: float, margin: float) -> float:
    """K a p_t p_n of s and of margin = 1 - s, each given with all its digits."""
    return math.log1p(classes * margin / s) * s * (margin + s / classes)


def _rise(classes: int, s: float) -> float:
    """f'(s): what kappa_regularised gains with delta, times z."""
    return math.log1p(classes * (1 - s) / s) * (1 - 2 * (1 - 1 / classes) * s) - 1


def _return_delta(classes: int, pull: float, turn: float) -> float:
    """The delta > 0 with kappa_regularised(delta) = kappa_regularised(0)."""
    level = _f(classes, pull, 1 - pull)
    if _f(classes, turn, 1 - turn) <= level:  # z = s* to the last digit
        return turn - pull
    margin = _root(lambda m: _f(classes, 1 - m, m) - level, 0.0, 1 - turn)
    return min(1 - margin - pull, BELOW_ONE)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    # xtol far below any root: the relative tolerance decides
    return float(brentq(function, low, high, xtol=1e-300, rtol=TIGHTEST))
