"""Spectra and densities of Hessian reports as curves, for the terminal, the TUI and figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from nccli.charts import Series
from nccli.hessian_report import HessianReport, TheoryEigenvalue

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
    results: Sequence[HessianReport], labels: Sequence[str], block: Block
) -> list[Series]:
    """Share of the eigenvalues in each bin, over the middle of the bin on a log axis.

    Of the W block also those of the closed form: the share that each of its values has.
    """
    found = []
    for kind, (one, label) in enumerate(zip(results, labels, strict=True)):
        bins = [entry for entry in getattr(one, f"density_{block}") if entry.low is not None]
        if bins:
            middles = [math.sqrt(entry.low * entry.high) for entry in bins]
            least = DUST / _eigenvalues(one, block)
            shares = [entry.share if entry.share > least else None for entry in bins]
            found.append(Series(label=label, x=middles, y=shares, kind=kind))
    if block == "w" and found:
        found += [
            _theory_density(one, f"{label} UFM", kind=kind)
            for kind, (one, label) in enumerate(zip(results, labels, strict=True), len(results))
            if one.theory_spectrum_w
        ]
    return found


def _eigenvalues(one: HessianReport, block: Block) -> int:
    """How many eigenvalues a block has."""
    weight, features = one.num_classes * one.dim, one.n * one.dim
    return {"w": weight, "h": features, "joint": weight + features}[block]


def _theory_density(one: HessianReport, label: str, *, kind: int) -> Series:
    """The positive eigenvalues of the closed form, and which share of all K d each of them is."""
    total = one.num_classes * one.dim
    positive = [entry for entry in one.theory_spectrum_w if entry.value > 0]
    return Series(
        label=label,
        x=[entry.value for entry in positive],
        y=[entry.multiplicity / total for entry in positive],
        kind=kind,
    )
