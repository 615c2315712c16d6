"""Labels of a checkpoint as the analyses take them, and whether a split has logits at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nccli.checkpoint import Checkpoint

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def can_predict(checkpoint: Checkpoint, split: str) -> bool:
    """Tell whether a split has logits, its own or through the classifier."""
    return checkpoint.classifier is not None or checkpoint.split(split).logits is not None


def load_labels(checkpoint: Checkpoint, split: str) -> Integers:
    """Return the labels of a split (N,) as int64."""
    return np.asarray(checkpoint.split(split).labels.load(), dtype=np.int64)
