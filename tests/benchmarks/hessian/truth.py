"""The float64 values that every contender's error is measured against; nothing of nccli.

N samples, K classes, D features. Literal: U -> (1/N) sum_i (diag p_i - p_i p_i^T) U h_i h_i^T over
all rows at once in double, and ARPACK to its last digits. tr(A_i) = sum_jk p_j p_k over j != k:
1 - p_top would lose digits where the classifier is sure.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh
from source import load

Doubles = NDArray[np.float64]
TOLERANCE = 1e-13  # of the residuals, relative


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The W block of a checkpoint in double."""

    features_ND: Doubles
    probabilities_NK: Doubles
    others_NK: Doubles  # without the top one of each row

    @classmethod
    def of(cls, path: Path) -> Reference:
        """Read a checkpoint and compute its softmax."""
        arrays = load(path)
        features_ND = arrays.features_ND.astype(np.float64)
        logits_NK = features_ND @ arrays.weight_KD.astype(np.float64).T + arrays.bias_K
        top_N1 = logits_NK.argmax(axis=1)[:, None]
        weights_NK = np.exp(logits_NK - np.take_along_axis(logits_NK, top_N1, axis=1))
        probabilities_NK = weights_NK / weights_NK.sum(axis=1, keepdims=True)
        others_NK = probabilities_NK.copy()
        np.put_along_axis(others_NK, top_N1, 0.0, axis=1)
        return cls(features_ND=features_ND, probabilities_NK=probabilities_NK, others_NK=others_NK)

    @property
    def shape(self) -> tuple[int, int]:
        """(K, D)."""
        return self.probabilities_NK.shape[1], self.features_ND.shape[1]

    @property
    def doubt(self) -> float:
        """Mean of 1 - p_top."""
        return float(self.others_NK.sum(axis=1).mean())

    def eigenvalues(self, count: int) -> list[float]:
        """The largest ones, largest first."""
        size = self.shape[0] * self.shape[1]
        operator = LinearOperator((size, size), matvec=self._product, dtype=np.float64)
        start = np.random.default_rng(1).standard_normal(size)
        found = eigsh(
            operator, k=count, which="LA", tol=TOLERANCE, v0=start, return_eigenvectors=False
        )
        return [float(value) for value in np.sort(found)[::-1]]

    def trace(self) -> float:
        """(1/N) sum_i (sum_k p_k (1 - p_k)) |h_i|^2."""
        doubts_N = self.others_NK.sum(axis=1)
        within_N = (self.others_NK * (doubts_N[:, None] - self.others_NK)).sum(axis=1)
        variances_N = 2.0 * (1.0 - doubts_N) * doubts_N + within_N
        return float((variances_N * np.square(self.features_ND).sum(axis=1)).mean())

    def _product(self, vector_M: Doubles) -> Doubles:
        p_NK = self.probabilities_NK
        changes_NK = self.features_ND @ vector_M.reshape(self.shape).T
        # A_i 1 = 0: taking the top entry off first cancels nothing later
        top_N1 = p_NK.argmax(axis=1)[:, None]
        changes_NK -= np.take_along_axis(changes_NK, top_N1, axis=1)
        curved_NK = p_NK * (changes_NK - (p_NK * changes_NK).sum(axis=1, keepdims=True))
        return (curved_NK.T @ self.features_ND).ravel() / len(p_NK)
