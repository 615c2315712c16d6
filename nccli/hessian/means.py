"""Condition of the W block on (1-perp) x (span of the centred class means): the paper's notion.

A "non-zero" condition number by a threshold measures noise on a trained network (1e12); on this
subspace, which the collapsed optimum lives in, it is exact and equals K p_t there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nccli import collapse
from nccli.checkpoint import Checkpoint
from nccli.collapse.centres import Centres
from nccli.errors import ContentError
from nccli.hessian.layer import LastLayer
from nccli.hessian.smallest import Extremes, extremes, is_small

MAX_WORK = 5 * 10**8  # N K R of the iteration for the smallest eigenvalue; our own limit
MAX_BYTES = 512 * 2**20  # of projected features and probabilities kept; our own limit


@dataclass(frozen=True, slots=True, kw_only=True)
class OnTheMeans:
    """What the class means tell: the condition number there, and how far the split collapsed.

    kappa_error: the condition number lies within so much of kappa, if the smallest eigenvalue is
    that which the residual tells of; None where zero is not ruled out. converged: it is known to
    1e-3 of itself, or as well as rounding of the largest eigenvalue lets it.
    """

    kappa: float | None
    nc1: float | None
    kappa_error: float | None = None
    converged: bool = True


def on_the_means(
    checkpoint: Checkpoint, split: str, layer: LastLayer, notes: list[str]
) -> OnTheMeans:
    """Return both numbers; what is undefined is None, with a note."""
    known: dict[str, Centres] = {}
    try:
        collapsed = collapse.analyze(
            checkpoint, split=split, known=known, threads=layer.threads, every_logit=False
        )
    except ContentError as error:
        notes.append(f"kappa_means_w is left out: {error.problem}")
        return OnTheMeans(kappa=None, nc1=None)
    basis_DR = known[split].basis_DR
    rank = basis_DR.shape[1]
    nbytes = 8 * layer.count * (rank + layer.num_classes)
    reason = "class means coincide" if rank == 0 else None
    if rank and not is_small(layer, rank):
        if nbytes > MAX_BYTES:
            reason = f"it would need {nbytes / 2**20:,.0f} MiB of memory, the limit is 512"
        elif layer.count * layer.num_classes * rank > MAX_WORK:
            reason = "so many samples and classes would take it minutes to hours"
    if reason is not None:
        notes.append(f"kappa_means_w is left out: {reason}")
        return OnTheMeans(kappa=None, nc1=collapsed.nc1)
    basis_XR = np.pad(basis_DR, ((0, int(layer.with_bias)), (0, 0)))
    found = extremes(layer, basis_XR)
    size = (layer.num_classes - 1) * rank
    if found.smallest <= found.largest * size * np.finfo(np.float64).eps:
        notes.append("kappa_means_w is above 1e13, beyond what float64 can tell")
        return OnTheMeans(kappa=None, nc1=collapsed.nc1)
    kappa_error = _ratio_error(found)
    return OnTheMeans(
        kappa=found.largest / found.smallest,
        nc1=collapsed.nc1,
        kappa_error=kappa_error,
        converged=found.converged and kappa_error is not None,
    )


def _ratio_error(found: Extremes) -> float | None:
    """How far the ratio of two intervals reaches: above, which is further than below."""
    low = found.smallest - found.smallest_error
    if low <= 0:
        return None
    return (found.largest + found.largest_error) / low - found.largest / found.smallest
