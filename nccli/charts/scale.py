"""Axes: where a value lies between two ends, and which values deserve a tick.

Log scales work in log10 throughout ("inner" units), so 1e-300 to 1e300 neither overflows nor
loses its ends.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from nccli.charts.lettering import decimal, scientific, short, split
from nccli.charts.parts import Look

LABEL_AIR = 8  # cells between the labels of an x axis
TIGHT = 1e-12  # a relative span below this is roundoff, not a range
FLAT_DECADES = 0.3  # a log axis never zooms in further than a factor of two
STRIDES = (1, 2, 5, 10, 20, 50, 100, 200, 500)  # decades from tick to tick
SNAP_DECADES = 5  # from here on a log axis ends at whole decades


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A labelled place on an axis, in inner units."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Maps values to [0, 1] between `low` and `high`, given in inner units."""

    low: float
    high: float
    log: bool

    def inner(self, value: float) -> float:
        """The value as the axis sees it: itself, or its log10."""
        return math.log10(value) if self.log else value

    def place(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high end, never outside; monotone."""
        return self.share(self.inner(value))

    def sharer(self) -> Callable[[float], float]:
        """`share` with its ends worked out once, for very many values."""
        low, span = self.low / 2, self.high / 2 - self.low / 2
        if span <= 0:
            return lambda _: 0.5
        return lambda inner: min(1.0, max(0.0, (inner / 2 - low) / span))

    def share(self, inner: float) -> float:
        """`place` for a value already in inner units."""
        span = self.high / 2 - self.low / 2  # halves: the span itself may overflow
        if span <= 0:
            return 0.5
        return min(1.0, max(0.0, (inner / 2 - self.low / 2) / span))


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A scale with its tick candidates, most deserving first."""

    scale: Scale
    ticks: tuple[Tick, ...]


def value_axis(values: Sequence[float], *, log: bool, room: int, look: Look) -> Axis:
    """A y axis for finite values: its ends move outward to round numbers.

    `room` is about how many ticks fit. Values must be positive on a log axis.
    """
    if log:
        low, high = _log_ends([math.log10(value) for value in values])
        ticks = list(_log_ticks(low, high, room, look))
    else:
        low, high = _linear_ends(min(values), max(values))
        ticks = _linear_ticks(low, high, room, look)
    return Axis(scale=Scale(low=low, high=high, log=log), ticks=tuple(ticks))


def step_axis(
    values: Sequence[float],
    *,
    log: bool,
    columns: int,
    look: Look,
    ends: tuple[float, float] | None = None,
) -> Axis:
    """An x axis for finite values (epochs, ranks): it ends exactly where the data or `ends` are.

    `columns` is how wide it will be drawn. Values must be positive on a log axis.
    """
    low, high = ends or (min(values), max(values))
    scale = Scale(low=low, high=high, log=False)
    if log:
        scale = Scale(low=math.log10(low), high=math.log10(high), log=True)
    if scale.high - scale.low <= max(TIGHT * max(abs(scale.low), abs(scale.high)), 1e-300):
        return _lone(scale, low, look)
    outer = [end_tick(scale, value, look) for value in (low, high)]
    room = max(2, columns // (LABEL_AIR + max(len(tick.label) for tick in outer)))
    if log:
        return Axis(scale=scale, ticks=(*outer, *_decades(scale.low, scale.high, room, look)))
    step = nice_step(high / 2 - low / 2, (room + 1) // 2)
    if all(float(value).is_integer() for value in values):
        step = max(step, 1.0)
    if not math.isfinite(step):  # the next round number is no float any more
        return Axis(scale=scale, ticks=tuple(outer))
    inside = _multiples(low, high, step)
    labels = _linear_labels([*inside, low, high], step, look)
    ticks = [Tick(at=at, label=label) for at, label in zip(inside, labels, strict=False)]
    return Axis(scale=scale, ticks=(*outer, *ticks))


def end_tick(scale: Scale, value: float, look: Look) -> Tick:
    """A tick at a value of the data itself: whole numbers in full, others to three digits.

    On a log axis powers of ten are written as those between the ends are, with two digits.
    """
    whole = abs(value) < 1e6 and float(value).is_integer()
    label = decimal(value, 0) if whole else short(value)
    if scale.log and "e" in label:
        label = scientific(*split(value, 1), look, digits=1)
    return Tick(at=scale.inner(value), label=label)


def nice_step(span: float, parts: int) -> float:
    """The smallest 1, 2 or 5 times a power of ten that cuts `span` into at most `parts` parts."""
    raw = span / max(1, parts)
    exponent = math.floor(math.log10(raw))
    for factor in (1.0, 2.0, 5.0):
        if factor * _power(exponent) >= raw * (1 - 1e-9):
            return factor * _power(exponent)
    return _power(exponent + 1)


def _power(exponent: int) -> float:
    """10 to the `exponent`, held inside what a float can carry."""
    return float(f"1e{min(308, max(-323, exponent))}")


def _lone(scale: Scale, value: float, look: Look) -> Axis:
    """One single x: in the middle of the axis, and the only tick."""
    middle = scale.inner(value)
    widened = Scale(low=middle - 0.5, high=middle + 0.5, log=scale.log)
    return Axis(scale=widened, ticks=(end_tick(widened, value, look),))


# --- linear ---------------------------------------------------------------------------------


def _linear_ends(low: float, high: float) -> tuple[float, float]:
    """Ends outside the data, on multiples of a fine round step; a constant gets some air."""
    size = max(abs(low), abs(high))
    if high / 2 - low / 2 <= max(size * TIGHT, 1e-300):
        air = size * 0.1 if size > 1e-290 else 1.0
        low, high = _finite(low - air, low), _finite(high + air, high)
    step = nice_step(high / 2 - low / 2, 5)
    down = _finite(math.floor(low / step + 1e-9) * step, low)
    up = _finite(math.ceil(high / step - 1e-9) * step, high)
    return min(down, low), max(up, high)


def _finite(value: float, otherwise: float) -> float:
    return value if math.isfinite(value) else otherwise


def _linear_ticks(low: float, high: float, room: int, look: Look) -> list[Tick]:
    """The two ends, then multiples of a coarser step between them."""
    half = high / 2 - low / 2
    fine, coarse = nice_step(half, 5), nice_step(half, max(1, room // 2))
    values = [low, high, *_multiples(low, high, coarse)]
    labels = _linear_labels(values, min(fine, coarse), look)
    return [Tick(at=at, label=label) for at, label in zip(values, labels, strict=True)]


def _multiples(low: float, high: float, step: float) -> list[float]:
    """Multiples of `step` from `low` to `high`, at most a hundred."""
    first, last = math.ceil(low / step), math.floor(high / step)
    return [count * step for count in range(first, min(last, first + 100) + 1)]


def _linear_labels(values: list[float], step: float, look: Look) -> list[str]:
    """All labels of one axis in one style: plain decimals unless powers of ten are shorter."""
    decimals = _decimals(values, step)
    size = max(abs(value) for value in values)
    digits = min(4, max(0, math.floor(math.log10(size)) + decimals)) if size else 0
    powers = [scientific(*split(value, digits), look, digits=digits) for value in values]
    if decimals > 15 or size > 1e15:
        return powers
    plain = [decimal(value, decimals) for value in values]
    longest = max(map(len, plain))
    return plain if longest <= 6 or longest < max(map(len, powers)) else powers


def _decimals(values: list[float], step: float) -> int:
    """The fewest decimals that show every value, counted from its step at most."""
    most = max(0, -math.floor(math.log10(step) + 1e-9))
    for digits in range(min(most, 16)):
        if all(abs(round(value, digits) - value) < step / 100 for value in values):
            return digits
    return most


# --- log ------------------------------------------------------------------------------------


def _log_ends(exponents: list[float]) -> tuple[float, float]:
    """Ends outside the data at 1 to 9 times a power of ten, in log10."""
    low, high = min(exponents), max(exponents)
    if high - low < FLAT_DECADES:
        middle = (low + high) / 2
        low, high = middle - FLAT_DECADES / 2, middle + FLAT_DECADES / 2
    factors = range(1, 2) if high - low >= SNAP_DECADES else range(1, 10)
    down = [at for at, _, _ in _rounds(low, factors) if at <= low + 1e-9]
    up = [at for at, _, _ in _rounds(high, factors) if at >= high - 1e-9]
    # The tolerance of 1e-9 must not leave the data themselves a hair outside.
    return min(max(down), low), max(min(up), high)


def _rounds(near: float, factors: Sequence[int]) -> list[tuple[float, int, int]]:
    """Round numbers within a decade of `near`: log10, factor, exponent."""
    base = math.floor(near)
    exponents = range(base - 1, base + 3)
    return [(power + math.log10(f), f, power) for power in exponents for f in factors]


def _log_ticks(low: float, high: float, room: int, look: Look) -> Iterator[Tick]:
    """The two ends, then decades, then (fewer than three decades in view) 2 and 5."""
    for end in (low, high):
        at, factor, power = min(_rounds(end, range(1, 10)), key=lambda r: abs(r[0] - end))
        wide = high - low >= 3 and factor == 1
        yield Tick(at=at, label=_log_label(factor, power, look, wide=wide))
    yield from _decades(low, high, room, look)


def _decades(low: float, high: float, room: int, look: Look) -> Iterator[Tick]:
    """Decades inside the ends, every one or every 2nd, 5th, 10th ... as room allows."""
    wide = high - low >= 3
    stride = next(stride for stride in STRIDES if (high - low) / stride <= max(2, room))
    inside = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
    for power in (p for p in inside if p % stride == 0):
        yield Tick(at=power, label=_log_label(1, power, look, wide=wide))
    if wide:
        return
    for factor in (2, 5):
        for power in range(math.floor(low), math.floor(high) + 1):
            at = power + math.log10(factor)
            if low < at < high:
                yield Tick(at=at, label=_log_label(factor, power, look, wide=False))


def _log_label(factor: int, power: int, look: Look, *, wide: bool) -> str:
    """`10⁻²` on a wide axis, `0.02` on a narrow one or at its ends, `2×10⁻⁵` where that is long."""
    if wide or not -3 <= power <= 4:
        return scientific(factor, power, look)
    return decimal(factor * 10.0**power, max(0, -power))
