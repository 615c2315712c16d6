"""Spectral density of a block over log10 of the eigenvalue's size, signs apart.

P probes (one where all eigenvalues are known), S nodes of a probe, C bins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nccli.hessian.quadrature import lanczos, rules
from nccli.logits import Floats
from nccli.network.block import LARGE, ROUNDOFF, Block
from nccli.network.report import NetworkDensityBin
from nccli.network.trace import Estimate, standard_error

PER_DECADE = 5  # bins of log10 |lambda|, as for the last layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Density:
    """Bins of shares a decade; with `near_zero` they add up to 1."""

    bins: tuple[NetworkDensityBin, ...]
    near_zero: Estimate  # share of the eigenvalues too small to tell from zero
    resolution: float  # the size up to which they are
    mean: Estimate  # of the eigenvalues: trace / M
    smallest: float  # node: no smaller than the smallest eigenvalue


def density(block: Block, *, probes: int, steps: int, rng: np.random.Generator) -> Density:
    """Return the density by stochastic Lanczos quadrature (Ubaru, Chen, Saad 2017), seeded.

    Exact where the matrix is there. Each probe of `steps` products gives Ritz values and weights;
    the spread between probes is the error bar. The node nearest to zero stands for everything that
    the steps do not tell apart from it, exact zeros too: more steps move it down.
    """
    if block.matrix_MM is not None:
        values_M = np.asarray(np.linalg.eigvalsh(block.matrix_MM), np.float64)
        return binned([values_M], [np.full(block.size, 1 / block.size)], block.roundoff, exact=True)
    nodes: list[Floats] = []
    weights: list[Floats] = []
    for count in block.groups_of(probes):
        start_PM = rng.standard_normal((count, block.size))
        found, shares = rules(lanczos(block.product, start_PM, steps=steps))
        nodes += found
        weights += shares
    relative = max(block.roundoff, ROUNDOFF[4] if block.size > LARGE else 0.0)
    return binned(nodes, weights, relative, exact=False)


def binned(nodes: list[Floats], weights: list[Floats], relative: float, *, exact: bool) -> Density:
    """Put nodes into bins, a histogram a probe; means and standard errors over the probes.

    relative: to the largest node, the size up to which a node cannot be told from zero.
    """
    floor = relative * max(float(np.abs(values).max()) for values in nodes)
    bins = [*_side(-1, nodes, weights, floor, exact)][::-1]  # as on a number line
    bins += _side(1, nodes, weights, floor, exact)
    small_P = [
        shares[np.abs(values) <= floor].sum() for values, shares in zip(nodes, weights, strict=True)
    ]
    means_P = [values @ shares for values, shares in zip(nodes, weights, strict=True)]
    return Density(
        bins=tuple(bins),
        near_zero=_estimate(np.array(small_P), exact),
        resolution=floor,
        mean=_estimate(np.array(means_P), exact),
        smallest=min(float(values.min()) for values in nodes),
    )


def _side(
    sign: int, nodes: list[Floats], weights: list[Floats], floor: float, exact: bool
) -> Iterator[NetworkDensityBin]:
    """The bins of one sign, from the smallest size to the largest, empty ones between them."""
    sizes = [sign * values for values in nodes]
    above = [values > floor for values in sizes]
    if not any(mask.any() for mask in above):
        return
    places = [
        np.floor(np.log10(values[mask]) * PER_DECADE).astype(np.int64)
        for values, mask in zip(sizes, above, strict=True)
    ]
    first = min(int(one.min()) for one in places if len(one))
    last = max(int(one.max()) for one in places if len(one))
    shares_PC = np.array(
        [
            np.bincount(place - first, weights=shares[mask], minlength=last - first + 1)
            for place, shares, mask in zip(places, weights, above, strict=True)
        ]
    )
    for index, column_P in enumerate(shares_PC.T):
        share = _estimate(column_P, exact)
        yield NetworkDensityBin(
            sign=sign,
            log10_low=(first + index) / PER_DECADE,
            log10_high=(first + index + 1) / PER_DECADE,
            density=share.value * PER_DECADE,
            error=None if share.error is None else share.error * PER_DECADE,
        )


def _estimate(samples_P: Floats, exact: bool) -> Estimate:
    return Estimate(
        value=float(samples_P.mean()), error=0.0 if exact else standard_error(samples_P)
    )
