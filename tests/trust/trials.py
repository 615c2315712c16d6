"""The short form of each trial runs with the suite; `make torture` sets NCCLI_TORTURE for all."""

from __future__ import annotations

import os

import numpy as np

from nccli import hdf5
from nccli.checkpoint import Metadata

FULL = os.environ.get("NCCLI_TORTURE") == "1"


def tries(short: int, full: int) -> int:
    """How many times to try."""
    return full if FULL else short


def save(path, *, epoch=1, count=20, **metadata):
    """Publish a small checkpoint with train, test and logits; it depends on the epoch alone."""
    rng = np.random.default_rng(int(epoch))
    labels = np.arange(count) % 5
    weight, bias = rng.normal(size=(5, 8)), rng.normal(size=5)
    splits = {}
    for name in ("train", "test"):
        features = rng.normal(size=(count, 8)) + 2 * weight[labels]
        splits[name] = (features, labels, features @ weight.T + bias)
    said = {"epoch": epoch, "loss": "cross-entropy", "seed": 0, "software": "{}"} | metadata
    hdf5.write_checkpoint(path, splits=splits, weight=weight, bias=bias, metadata=Metadata(**said))
    return path


def content(path):
    """Everything that is read of a checkpoint."""
    described = hdf5.describe(path)
    arrays = {}
    for name, array in described.arrays().items():
        arrays[name] = array.rows(0, array.shape[0]).tobytes(), array.shape, array.dtype.str
    return described.metadata, arrays


def verified(path):
    """Whether the content of a checkpoint is what was written."""
    described = hdf5.describe(path)
    return described.content_sha256 == hdf5.computed_hash(described)
