"""The trace of a block: its diagonal where the matrix is there, else probes beyond the top.

P probes, B eigenpairs, M parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nccli.logits import Floats
from nccli.network.block import Block
from nccli.network.eigenvalues import Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number and its standard error: 0 where it is exact, None of a single probe."""

    value: float
    error: float | None


def trace(block: Block, top: Pairs, *, probes: int, rng: np.random.Generator) -> Estimate:
    """Return the trace: the top eigenvalues, plus Hutchinson's estimate beyond their vectors.

    Hutch++ (Meyer, Musco, Musco, Woodruff 2021) with the eigenvectors that are there already in
    place of a sketch: tr G = tr(V G V^T) + tr(Q G Q), Q = 1 - V^T V, for any orthonormal V, so
    the estimate has no bias, and what the top holds adds nothing to its spread.
    """
    if block.matrix_MM is not None:
        return Estimate(value=float(np.trace(block.matrix_MM)), error=0.0)
    samples: list[float] = []
    for count in block.groups_of(probes):
        signs_PM = rng.choice(np.array([-1.0, 1.0]), (count, block.size))
        beyond_PM = signs_PM - (signs_PM @ top.vectors_BM.T) @ top.vectors_BM
        samples += np.vecdot(block.product(beyond_PM), beyond_PM).tolist()
    samples_P = np.array(samples)
    return Estimate(
        value=float(top.values_B.sum() + samples_P.mean()), error=standard_error(samples_P)
    )


def standard_error(samples_P: Floats) -> float | None:
    """Of the mean of some samples; None of a single one."""
    probes = len(samples_P)
    return float(samples_P.std(ddof=1) / np.sqrt(probes)) if probes > 1 else None
