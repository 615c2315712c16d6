"""Spectra and densities of Hessian reports as curves, for the terminal, the TUI and figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from nccli.charts import Series
from nccli.hessian_report import DensityBin, HessianReport, TheoryEigenvalue

PER_DECADE = 5  # points of a density
DUST = 0.1  # of a single eigenvalue: less than that is the quadrature's, and no eigenvalue

Block = Literal["w", "h", "joint"]


def spectrum_series(results: Sequence[HessianReport], labels: Sequence[str]) -> list[Series]:
    """Eigenvalues of the W block by rank, and the closed form's over the same ranks."""
    measured = [
        Series(
            label=label,
            x=[float(rank) for rank in range(1, len(one.spectrum_w) + 1)],
            y=[value.value for value in one.spectrum_w],
            kind=kind,
        )
        for kind, (one, label) in enumerate(zip(results, labels, strict=True))
        if one.spectrum_w
    ]
    theory = [
        theory_series(one.theory_spectrum_w, f"{label} UFM", len(one.spectrum_w), kind=kind)
        for kind, (one, label) in enumerate(zip(results, labels, strict=True), len(results))
        if one.spectrum_w and one.theory_spectrum_w
    ]
    return measured + theory


def theory_series(
    spectrum: Sequence[TheoryEigenvalue], label: str, ranks: int, *, kind: int
) -> Series:
    """A closed-form spectrum by rank: each value over as many ranks as its multiplicity.

    Both ends of a stretch are enough for a line, however many there are; zeros are left out.
    """
    x: list[float] = []
    y: list[float] = []
    first = 1
    for entry in spectrum:
        last = min(first + entry.multiplicity - 1, ranks)
        if entry.value <= 0 or first > ranks:
            break
        for rank in sorted({first, last}):
            x.append(float(rank))
            y.append(entry.value)
        first = last + 1
    return Series(label=label, x=x, y=list(y), kind=kind)


def density_series(
    results: Sequence[HessianReport], labels: Sequence[str], block: Block, *, below: bool = True
) -> list[Series]:
    """Share of the eigenvalues in each fifth of a decade, over its middle on a log axis.

    A wider bin is level: its share is spread over its fifths. Of the W block also those of the
    closed form: the share that each of its values has. below: the label tells what lies below all
    bins.
    """
    found = []
    for kind, (one, label) in enumerate(zip(results, labels, strict=True)):
        bins: tuple[DensityBin, ...] = getattr(one, f"density_{block}")
        least = DUST / _eigenvalues(one, block)
        points = [point for entry in bins for point in _level(entry, least)]
        if points:
            x, y = zip(*points, strict=True)
            under = share_below(bins, least) if below else ""
            words = ", ".join(filter(None, (label, under)))
            found.append(Series(label=words, x=x, y=y, kind=kind))
    if block == "w" and found:
        found += [
            _theory_density(one, f"{label} UFM", kind=kind)
            for kind, (one, label) in enumerate(zip(results, labels, strict=True), len(results))
            if one.theory_spectrum_w
        ]
    return found


def _level(one: DensityBin, least: float) -> list[tuple[float, float | None]]:
    """(x, y) of each fifth of a decade that a bin covers."""
    if one.low is None:
        return []
    fifths = max(1, round(math.log10(one.high / one.low) * PER_DECADE))
    step = (one.high / one.low) ** (1 / fifths)
    height = one.share / fifths if one.share > least else None
    return [(one.low * step ** (place + 0.5), height) for place in range(fifths)]


def share_below(bins: Sequence[DensityBin], least: float) -> str:
    """What lies below all bins: `92.4 % < 4e-4`; empty where that is no more than `least`."""
    told = [one for one in bins if one.low is None and one.share > least]
    return "".join(f"{100 * one.share:.3g} % < {_power(one.high)}" for one in told)


def _power(value: float) -> str:
    """Two digits times a power of ten: a legend has no room for zeros."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def _eigenvalues(one: HessianReport, block: Block) -> int:
    """How many eigenvalues a block has."""
    weight, features = one.num_classes * one.dim, one.n * one.dim
    return {"w": weight, "h": features, "joint": weight + features}[block]


def _theory_density(one: HessianReport, label: str, *, kind: int) -> Series:
    """The positive eigenvalues of the closed form, with the share of each on (1-perp) x R^d."""
    total = (one.num_classes - 1) * one.dim  # as the measured shares: the null modes left out
    positive = [entry for entry in one.theory_spectrum_w if entry.value > 0]
    return Series(
        label=label,
        x=[entry.value for entry in positive],
        y=[entry.multiplicity / total for entry in positive],
        kind=kind,
    )
