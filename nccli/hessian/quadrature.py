"""Stochastic Lanczos quadrature: what a random vector sees of a spectrum, and bounds of its shares.

P probes side by side, M variables, S Lanczos steps, E points of the axis. A probe's measure puts
the square of its component along an eigenvector at the eigenvalue; S steps give its first 2 S
moments, as a Jacobi matrix (Ubaru, Chen, Saad 2017; Golub and Meurant 2010). Lanczos vectors are
orthogonalised against all before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nccli.hessian.davidson import Product
from nccli.logits import Floats

ENDED = 1e-10  # of the largest diagonal entry: so small a coupling is rounding; so is a weight
ROUNDING = 10 * np.finfo(np.float64).eps  # of an eigenvalue, relative to the matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Jacobi:
    """The tridiagonal matrix of one probe."""

    diagonal_S: Floats
    beside_S: Floats  # the last one couples to the step that was not taken

    @property
    def mean(self) -> float:
        """The mean of the probe's measure."""
        return float(self.diagonal_S[0])

    def gauss(self) -> tuple[Floats, Floats]:
        """Gauss quadrature: Ritz values, from the smallest, and their weights, which sum to 1."""
        values_S, turns_SS = _eigh(self.diagonal_S, self.beside_S[:-1])
        return values_S, np.square(turns_SS[0])

    def peak(self) -> float:
        """The largest Ritz value and its residual: an eigenvalue is no further from it."""
        values_S, turns_SS = _eigh(self.diagonal_S, self.beside_S[:-1])
        return float(values_S[-1] + abs(self.beside_S[-1] * turns_SS[-1, -1]))

    def shares_below(self, points_E: Floats, *, rounding: float) -> tuple[Floats, Floats]:
        """Bounds (E,), (E,) of the measure's share below each point; points from the smallest.

        The Gauss-Radau rule with a node at x has the same moments as the measure, and then its
        weights left of x, without and with that of x, enclose the measure of (-inf, x): the
        inequalities of Chebyshev, Markov and Stieltjes (Szegö 1939, section 3.41; the rule: Golub
        1973). They are the tightest that these moments allow.
        rounding: of an eigenvalue; nodes so near to a point count on either side of it.
        """
        values_S, turns_SS = _eigh(self.diagonal_S, self.beside_S[:-1])
        tails_S = np.square(self.beside_S[-1] * turns_SS[-1])
        low_E, high_E = np.zeros(len(points_E)), np.ones(len(points_E))
        for place, point in enumerate(points_E):
            gaps_S = values_S - point
            gaps_S[gaps_S == 0] = rounding
            corner = point + float(np.sum(tails_S / gaps_S))
            nodes, turns = _eigh(np.append(self.diagonal_S, corner), self.beside_S)
            weights, near = np.square(turns[0]), max(rounding, ROUNDING * abs(corner))
            low_E[place] = weights[nodes < point - near].sum()
            high_E[place] = weights[nodes <= point + near].sum()
        # a share below grows with the point: a neighbour's bound may be the better one
        low_E, high_E = np.maximum.accumulate(low_E), np.minimum.accumulate(high_E[::-1])[::-1]
        return low_E, np.maximum(low_E, high_E)


def lanczos(product: Product, start_PM: Floats, *, steps: int) -> list[Jacobi]:
    """All probes at once, a product with the matrix a step."""
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
        ended_P = norms_P <= ENDED * np.abs(diagonal_PS[:, : step + 1]).max(axis=1)
        lengths = np.where(ended_P, np.minimum(lengths, step + 1), lengths)
        vectors_PM = images_PM / np.where(norms_P > 0, norms_P, 1.0)[:, None]
        if (lengths <= step + 1).all():
            break
    return [
        Jacobi(diagonal_S=diagonal_S[:length], beside_S=beside_S[:length])
        for diagonal_S, beside_S, length in zip(diagonal_PS, beside_PS, lengths, strict=True)
    ]


def rules(found: Sequence[Jacobi]) -> tuple[list[Floats], list[Floats]]:
    """Ritz values and their weights, probe by probe."""
    pairs = [one.gauss() for one in found]
    return [values for values, _ in pairs], [weights for _, weights in pairs]


def _eigh(diagonal_S: Floats, beside: Floats) -> tuple[Floats, Floats]:
    values_S, turns_SS = np.linalg.eigh(
        np.diag(diagonal_S) + np.diag(beside, 1) + np.diag(beside, -1)
    )
    return values_S, turns_SS
