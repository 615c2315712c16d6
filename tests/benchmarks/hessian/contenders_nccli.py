"""nccli's answers, from a path to numbers: all of its calls stand here.

Reading the file is part of every call; one thread.
"""

from __future__ import annotations

from pathlib import Path

from nccli.hdf5 import read_checkpoint
from nccli.hessian.density import weight_density
from nccli.hessian.layer import LastLayer, open_layer, survey
from nccli.hessian.weight_block import largest, weight_trace


def eigenvalues(path: Path, count: int) -> list[float]:
    """The largest eigenvalues of the W block, certified in double."""
    solved = largest(_layer(path), k=count)
    if not solved.converged:
        raise SystemExit(f"nccli did not converge in {solved.passes} passes")
    return [float(value) for value in solved.values]


def trace(path: Path) -> list[float]:
    """The exact trace of the W block."""
    return [float(weight_trace(_layer(path)))]


def density(path: Path, probes: int, steps: int) -> list[float]:
    """Lanczos quadrature of some probes side by side: the trace that they imply."""
    layer, _ = survey(_layer(path))
    found = weight_density(layer, probes=probes, steps=steps, seed=0)
    return [found.mean * (layer.num_classes - 1) * layer.width]  # it lives on (1-perp) x R^D


def _layer(path: Path) -> LastLayer:
    return open_layer(read_checkpoint(path), "train", threads=1)
