"""Spectral density of the W block by stochastic Lanczos quadrature, seeded, with error bars.

P random probes side by side, K classes, X variables of a class, E edges, C bins. Probes lie in
(1-perp) x R^X: the softmax's null modes, one for each variable of a class, are known and need no
counting.

An error has two parts. What the steps leave open: each probe's moments bound the share of its
measure below an edge (`Jacobi.shares_below`). And chance: that measure is the spectrum's in
expectation only. Edges that the steps do not resolve are left out; what lies below the first
that they do is told as one share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nccli.errors import ContentError
from nccli.hessian.layer import LastLayer
from nccli.hessian.quadrature import ENDED, Jacobi, lanczos
from nccli.hessian.weight_block import weight_product
from nccli.logits import Floats

STEPS = 30
PROBES = 4  # of our own choice
MAX_QUADRATURE = 2**29  # numbers in the Lanczos vectors of all probes: 2 GiB in single
PER_DECADE = 5  # bins of log10 lambda
RESOLUTION = {4: 1e-6, 8: 1e-13}  # of the largest Ritz value: no eigenvalue is told from zero there
RESOLVED = 0.01  # an edge is kept if the share below it is known to this; our own choice
RELATIVELY = 0.25  # or to this part of the bin above it: a bulk keeps its shape; our own choice
DUST = 1e-4  # of an eigenvalue: a probe that sees less of a bin than that sees it empty
FAINT = 0.1  # of an eigenvalue: bins with less at the lower end go into the share below
STANDARD_ERRORS = 2  # that an error bar spans: 95 %; 91 % of few eigenvalues and one probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Density:
    """Shares of the eigenvalues by bins of log10; with `below` they add up to 1."""

    edges: Floats  # (C + 1,) of log10 lambda
    shares: Floats  # (C,)
    errors: Floats  # (C,): share -+ error holds the exact share, 19 times in 20
    below: float  # the share below the first edge: not resolved, rounding, zero or negative
    below_error: float
    mean: float  # of the eigenvalues: an estimate of trace / ((K - 1) X)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Below:
    """The share of the eigenvalues below each edge of log10; 1 below the last one."""

    edges_E: Floats
    shares_E: Floats
    open_E: Floats  # what the steps leave open of a share: half the distance of its bounds
    size: int  # how many eigenvalues there are
    probes: int | None  # that the shares are the mean of; None: all eigenvalues are known

    def at(self, places: Sequence[int]) -> _Below:
        """Some of the edges only."""
        kept = list(places)
        return replace(
            self,
            edges_E=self.edges_E[kept],
            shares_E=self.shares_E[kept],
            open_E=self.open_E[kept],
        )

    def errors(self, shares: Floats, open_: Floats) -> Floats:
        """What is open, and twice the standard error of the probes.

        The share of a random direction along so many of its axes has Beta's variance,
        2 s (1 - s) / (size + 2): no spread between a few probes is as sure. A bin that is not
        empty has an eigenvalue at least.
        """
        if self.probes is None:
            return open_
        dust, one = DUST / self.size, 1 / self.size
        certain = (shares + open_ < dust) | (shares - open_ > 1 - dust)
        likely = np.clip(shares, one, 1 - one)
        variance = 2 * likely * (1 - likely) / ((self.size + 2) * self.probes)
        return open_ + np.where(certain, 0.0, STANDARD_ERRORS * np.sqrt(variance))


def weight_density(
    layer: LastLayer, *, probes: int = PROBES, steps: int = STEPS, seed: int = 0
) -> Density:
    """Return the density of the W block, loss only, from `steps` passes over the rows."""
    if probes * min(steps, layer.num_classes * layer.width) * layer.num_classes * layer.width > (
        MAX_QUADRATURE
    ):
        raise ContentError(
            "is too large for so many --probes and --steps", remedy="give fewer of them"
        )
    rng = np.random.default_rng(seed)
    shape = (layer.num_classes, layer.width)
    start_PKX = rng.standard_normal((probes, *shape))
    start_PKX -= start_PKX.mean(axis=1, keepdims=True)

    def product(vectors_PM: Floats) -> Floats:
        return weight_product(layer, vectors_PM.reshape(-1, *shape)).reshape(len(vectors_PM), -1)

    found = lanczos(product, start_PKX.reshape(probes, -1), steps=steps)
    size = (layer.num_classes - 1) * layer.width
    return density_of(found, size=size, resolution=RESOLUTION[layer.dtype.itemsize])


def density_of(found: Sequence[Jacobi], *, size: int, resolution: float) -> Density:
    """Return the density of `size` eigenvalues from what each probe has seen of them.

    resolution: of the largest Ritz value; an eigenvalue is known to no more.
    """
    mean = float(np.mean([one.mean for one in found]))
    nodes = np.concatenate([one.gauss()[0] for one in found])
    largest = float(nodes.max())
    if largest <= 0:
        return _nothing(mean)
    floor = resolution * largest
    # below the smallest Ritz value there may still be an edge that it is known to lie above
    lowest = max(float(nodes[nodes > floor].min()) / 10, floor)
    edges_E = _grid(lowest, max(one.peak() for one in found))
    bounds_P2E = np.array([one.shares_below(10.0**edges_E, rounding=floor) for one in found])
    low_E, high_E = bounds_P2E.mean(axis=0)
    shares_E, open_E = (low_E + high_E) / 2, (high_E - low_E) / 2 + ENDED
    shares_E[-1], open_E[-1] = 1.0, 1 - low_E[-1]
    below = _Below(edges_E=edges_E, shares_E=shares_E, open_E=open_E, size=size, probes=len(found))
    return _binned(below.at(_resolved(below)), mean)


def exact_density(values: Floats, *, rounding: float) -> Density:
    """Return the histogram of eigenvalues that are all known, each to `rounding`: no errors."""
    largest, mean = float(values.max()), float(values.mean())
    if largest <= max(rounding, 0.0):
        return _nothing(mean)
    edges_E = _grid(max(rounding, np.finfo(np.float64).tiny), largest)
    counts_E = np.searchsorted(np.sort(values), 10.0**edges_E)
    below = _Below(
        edges_E=edges_E,
        shares_E=counts_E / len(values),
        open_E=np.zeros(len(edges_E)),
        size=len(values),
        probes=None,
    )
    return _binned(below, mean)


def _nothing(mean: float) -> Density:
    """Of a saturated softmax, which has no curvature left: everything is below one."""
    none = np.zeros(0)
    return Density(
        edges=np.zeros(1), shares=none, errors=none, below=1.0, below_error=0.0, mean=mean
    )


def _grid(lowest: float, largest: float) -> Floats:
    """Edges from the first at or above `lowest` to the first above `largest`."""
    first = np.ceil(np.log10(lowest) * PER_DECADE)
    last = np.floor(np.log10(largest) * PER_DECADE) + 1
    edges: Floats = np.arange(first, last + 1) / PER_DECADE
    return edges


def _resolved(below: _Below) -> list[int]:
    """Places of the edges below which the share is known well enough, and of the last one."""
    kept = [len(below.edges_E) - 1]
    for place in reversed(range(len(below.edges_E) - 1)):
        above = float(below.shares_E[kept[-1]] - below.shares_E[place])
        if below.open_E[place] <= max(RESOLVED, RELATIVELY * above):
            kept.append(place)
    return kept[::-1]


def _binned(below: _Below, mean: float) -> Density:
    """Shares between the edges. Bins at the lower end that may well be empty are left out."""
    shares_C, open_C = np.diff(below.shares_E), below.open_E[:-1] + below.open_E[1:]
    full = np.flatnonzero(shares_C > np.maximum(open_C, FAINT / below.size))
    first = int(full[0]) if len(full) else len(shares_C)
    under, open_under = below.shares_E[first : first + 1], below.open_E[first : first + 1]
    return Density(
        edges=below.edges_E[first:],
        shares=shares_C[first:],
        errors=below.errors(shares_C, open_C)[first:],
        below=float(under[0]),
        below_error=float(below.errors(under, open_under)[0]),
        mean=mean,
    )
