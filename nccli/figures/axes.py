"""Scales, limits and tick labels of a figure's axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOG_FROM = 10.0  # a positive axis that spans this factor is logarithmic; our own choice
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def set_scale(axes: Axes, which: Literal["x", "y"], values: list[float], log: bool | None) -> bool:
    """Set scale and ticks of an axis; return whether it is logarithmic."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    axis, rescale = (axes.xaxis, axes.set_xscale) if which == "x" else (axes.yaxis, axes.set_yscale)
    defined = [value for value in values if not math.isnan(value)]
    positive = [value for value in defined if value > 0]
    if log is None:
        log = len(positive) == len(defined) > 0 and max(positive) / min(positive) >= LOG_FROM
    if not log or not positive:
        axis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10], integer=which == "x"))
        axis.set_major_formatter(plain)
        _set_linear_limits(axes, which, defined)
        return False
    rescale("log", nonpositive="mask")
    axis.set_major_locator(LogLocator(subs=_mantissas(min(positive), max(positive))))
    axis.set_major_formatter(_power if min(positive) < 5e-4 or max(positive) >= 1e5 else plain)
    axis.set_minor_formatter(NullFormatter())
    return True


def _mantissas(low: float, high: float) -> tuple[float, ...]:
    """The first digits of the ticks of a logarithmic axis: few over decades, two ticks at least."""
    decades = math.log10(high / low)
    if decades > 1.7 and log_ticks(low, high, (1.0,)) > 1:
        return (1.0,)
    return (1.0, 3.0) if decades > 1.2 else (1.0, 2.0, 5.0)


def log_ticks(low: float, high: float, mantissas: Sequence[float] = (1.0, 2.0, 5.0)) -> int:
    """Return how many numbers with these first digits lie on a logarithmic axis."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return sum(low <= digit * 10.0**power <= high for power in powers for digit in mantissas)


def _set_linear_limits(axes: Axes, which: str, defined: Sequence[float]) -> None:
    if which == "x" and len(set(defined)) == 1:  # one epoch: a tick at it, none at fractions
        axes.set_xlim(defined[0] - 1, defined[0] + 1)
    if which == "y" and defined and 0 <= min(defined) <= 0.3 * max(defined):
        top = max(defined) or 1.0
        axes.set_ylim(-0.04 * top, 1.06 * top)  # from 0, with its line and markers whole


def plain(value: float, _: float = 0) -> str:
    """Return a number as a tick label, six significant digits at most."""
    text = f"{value:g}"
    return _scientific(text) if "e" in text else text.replace("-", "−")


def _power(value: float, _: float = 0) -> str:
    return _scientific(f"{value:.0e}")


def _scientific(text: str) -> str:
    """A number like 1e-03 as 10⁻³, 3e-03 as 3·10⁻³, in letters that a text search finds."""
    mantissa, exponent = text.split("e")
    power = "10" + str(int(exponent)).translate(SUPERSCRIPT)
    return power if mantissa == "1" else f"{mantissa.replace('-', '−')}·{power}"
