"""Logits like a trained network's: seeded, in memory, float32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIZES = {"A": (10_000, 10), "B": (50_000, 1000), "C": (1_000_000, 100)}
QUICK = {"A": (2_000, 10), "B": (1_000, 200), "C": (5_000, 50)}
LIFT = 6.0  # of the label's logit: about nine in ten are right


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Logits (N, K) and labels (N,)."""

    logits_NK: NDArray[np.float32]
    labels_N: NDArray[np.int64]


def make(count: int, num_classes: int, seed: int = 0) -> Data:
    """Normal logits of deviation 1.5, the label's lifted by a random amount."""
    rng = np.random.default_rng(seed)
    labels_N = rng.integers(0, num_classes, count)
    logits_NK = rng.standard_normal((count, num_classes), dtype=np.float32)
    logits_NK *= 1.5
    logits_NK[np.arange(count), labels_N] += LIFT * rng.random(count, dtype=np.float32) + 1.0
    return Data(logits_NK=logits_NK, labels_N=labels_N)
