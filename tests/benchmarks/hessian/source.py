"""A checkpoint file as the peers and the reference read it: plain h5py, nothing of nccli."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrays:
    """The train split in memory; N samples, K classes, D features."""

    features_ND: NDArray[np.float32]
    labels_N: NDArray[np.int64]
    weight_KD: NDArray[np.float32]
    bias_K: NDArray[np.float32]


def load(path: Path) -> Arrays:
    """Read the train split and the classifier."""
    with h5py.File(path, "r", locking=False) as file:
        return Arrays(
            features_ND=file["train/features"][:],
            labels_N=file["train/labels"][:].astype(np.int64),
            weight_KD=file["classifier/weight"][:],
            bias_K=file["classifier/bias"][:],
        )
