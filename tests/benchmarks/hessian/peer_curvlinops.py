"""curvlinops as its documentation uses it: the curvature as a linear operator, scipy's eigsh on it.

The GGN is the Hessian where the model is linear, and the quicker of its two operators here. The
check that data come in the same order every time is switched off: two products less.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from curvlinops import GGNLinearOperator, hutchinson_trace
from curvlinops.papyan2020traces.spectrum import fast_lanczos
from peers import problem
from scipy.sparse.linalg import eigsh

TOLERANCE = 1e-3  # Hutchinson: the stopping rule of PyHessian, as curvlinops has none
MAX_PROBES = 100
BLOCK = 10  # probes side by side: a third of the time of one by one


def eigenvalues(path: Path, count: int, *, batch: int) -> list[float]:
    """The largest eigenvalues by ARPACK, to the precision of its float32."""
    operator = _operator(path, batch).to_scipy(np.float32)
    start = np.random.default_rng(0).standard_normal(operator.shape[0]).astype(np.float32)
    found = eigsh(operator, k=count, which="LA", v0=start, return_eigenvectors=False)
    return [float(value) for value in np.sort(found)[::-1]]


def trace(path: Path, *, batch: int) -> list[float]:
    """The mean of as many Rademacher probes as the stopping rule takes."""
    torch.manual_seed(0)
    operator, samples, mean = _operator(path, batch), [], 0.0
    for _ in range(MAX_PROBES // BLOCK):
        samples.append(float(hutchinson_trace(operator, num_matvecs=BLOCK)))
        before, mean = mean, sum(samples) / len(samples)
        if abs(mean - before) < TOLERANCE * (abs(before) + 1e-6):
            break
    return [mean]


def density(path: Path, steps: int, *, batch: int) -> list[float]:
    """Lanczos quadrature of one probe (its bounds of the spectrum not counted): the trace."""
    torch.manual_seed(0)
    operator = _operator(path, batch)
    nodes, vectors = fast_lanczos(operator, steps)
    return [operator.shape[0] * float(nodes @ vectors[0].square())]


def _operator(path: Path, batch: int) -> GGNLinearOperator:
    task = problem(path, batch)
    return GGNLinearOperator(
        task.model, task.loss, [task.weight], task.batches, check_deterministic=False
    )
