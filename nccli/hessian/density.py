"""Spectral density of the W block by stochastic Lanczos quadrature, seeded, with error bars.

P random probes side by side, K classes, X variables of a class, S Lanczos steps. Each probe gives
Ritz values and weights that integrate polynomials up to degree 2 S - 1 exactly as the spectrum
does, in expectation (Ubaru, Chen, Saad 2017); the spread between probes is the error bar. Probes
lie in (1-perp) x R^X: the softmax's null modes, one for each variable of a class, are known and
need no counting. Lanczos vectors are orthogonalised against all before them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nccli.errors import ContentError
from nccli.hessian.davidson import Product
from nccli.hessian.layer import LastLayer
from nccli.hessian.weight_block import weight_product
from nccli.logits import Floats

STEPS = 30
PROBES = 4  # of our own choice
MAX_QUADRATURE = 2**29  # numbers in the Lanczos vectors of all probes: 2 GiB in single
PER_DECADE = 5  # bins of log10 lambda
RESOLUTION = {4: 1e-6, 8: 1e-13}  # of the largest Ritz value: what lies below is told as one bin


@dataclass(frozen=True, slots=True, kw_only=True)
class Density:
    """Shares of the eigenvalues on (1-perp) x R^X by bins of log10; they add up to 1."""

    edges: Floats  # (M + 1,) of log10 lambda
    shares: Floats  # (M,)
    errors: Floats  # (M,): standard errors over the probes
    below: float  # the share below the first edge: beyond the resolution, or zero
    below_error: float
    mean: float  # of the eigenvalues: an estimate of trace / ((K - 1) X)


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

    nodes, weights = quadrature(product, start_PKX.reshape(probes, -1), steps=steps)
    return density_of(nodes, weights, resolution=RESOLUTION[layer.dtype.itemsize])


def quadrature(
    product: Product, start_PM: Floats, *, steps: int
) -> tuple[list[Floats], list[Floats]]:
    """Lanczos for all probes at once: Ritz values and their weights, probe by probe."""
    probes, size = start_PM.shape
    steps = min(steps, size)
    vectors_PM = start_PM / np.linalg.norm(start_PM, axis=1, keepdims=True)
    basis_SPM = np.empty((steps, probes, size), np.float32 if size > 2**16 else np.float64)
    diagonal_PS, beside_PS = np.zeros((probes, steps)), np.zeros((probes, steps))
    lengths = np.full(probes, steps)  # a probe may span its whole Krylov space sooner
    for step in range(steps):
        basis_SPM[step] = vectors_PM
        images_PM = product(vectors_PM)
        diagonal_PS[:, step] = np.vecdot(images_PM, vectors_PM)
        for _ in range(2):
            seen_SPM = basis_SPM[: step + 1]
            inner_SP = np.einsum("spm,pm->sp", seen_SPM, images_PM)
            images_PM = images_PM - np.einsum("sp,spm->pm", inner_SP, seen_SPM)
        norms_P = np.linalg.norm(images_PM, axis=1)
        beside_PS[:, step] = norms_P
        ended_P = norms_P <= 1e-10 * np.abs(diagonal_PS[:, : step + 1]).max(axis=1)
        lengths = np.where(ended_P, np.minimum(lengths, step + 1), lengths)
        vectors_PM = images_PM / np.where(norms_P > 0, norms_P, 1.0)[:, None]
        if (lengths <= step + 1).all():
            break
    nodes, weights = [], []
    for probe, length in enumerate(lengths):
        beside = beside_PS[probe, : length - 1]
        matrix = np.diag(diagonal_PS[probe, :length]) + np.diag(beside, 1) + np.diag(beside, -1)
        values, turns = np.linalg.eigh(matrix)
        nodes.append(values)
        weights.append(np.square(turns[0]))
    return nodes, weights


def density_of(nodes: list[Floats], weights: list[Floats], *, resolution: float) -> Density:
    """Put Ritz values into bins of log10, a histogram a probe; mean and standard error of them."""
    probes = len(nodes)
    largest = max(float(values[-1]) for values in nodes)
    floor = resolution * largest
    if largest <= 0:  # a saturated softmax has no curvature left
        return Density(
            edges=np.zeros(1),
            shares=np.zeros(0),
            errors=np.zeros(0),
            below=1.0,
            below_error=0.0,
            mean=0.0,
        )
    kept = [values[values > floor] for values in nodes]
    low = min(float(values.min(initial=largest)) for values in kept)
    first = np.floor(np.log10(low) * PER_DECADE)
    last = np.floor(np.log10(largest) * PER_DECADE) + 1
    edges = np.arange(first, last + 1) / PER_DECADE
    shares_PM = np.zeros((probes, len(edges) - 1))
    below_P = np.zeros(probes)
    for probe, (values, shares) in enumerate(zip(nodes, weights, strict=True)):
        above = values > floor
        places = np.floor(np.log10(values[above]) * PER_DECADE - first).astype(np.int64)
        places = np.clip(places, 0, len(edges) - 2)
        shares_PM[probe] = np.bincount(places, weights=shares[above], minlength=len(edges) - 1)
        below_P[probe] = shares[~above].sum()
    means_P = np.array([values @ shares for values, shares in zip(nodes, weights, strict=True)])
    divisor = np.sqrt(probes) if probes > 1 else np.nan
    spread = 1 if probes > 1 else 0
    return Density(
        edges=edges,
        shares=shares_PM.mean(axis=0),
        errors=shares_PM.std(axis=0, ddof=spread) / divisor,
        below=float(below_P.mean()),
        below_error=float(below_P.std(ddof=spread) / divisor),
        mean=float(means_P.mean()),
    )
