"""Checkpoints to measure on: post-ReLU-like features around class centres, seeded, any size.

N samples, K classes, D features, B rows of a block. A feature vector is relu(centre + noise); the
noise of a sample has its own size (log-normal: real networks have a tail), and a share of the
samples lies part of the way to another class. The classifier is near the dual of the centres.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from nccli.checkpoint import Metadata
from nccli.hdf5 import write_checkpoint
from nccli.hdf5.said import as_attributes

SEED = 20240206
BLOCK_ROWS = 4_096
LARGEST_IMAGE = 2**30  # write_checkpoint builds the file in memory: above this, h5py streams it
METADATA = Metadata(loss="label-smoothing", label_smoothing=0.05, epoch=200)

Matrix = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The size of a checkpoint and how far its classes have collapsed."""

    name: str
    count: int  # N
    dim: int  # D
    num_classes: int  # K
    noise: bool = False  # less collapsed: NC1 about 15 to 30 times larger

    @property
    def rank(self) -> int:
        """Directions of the centred class means."""
        return min(self.num_classes - 1, self.dim)

    @property
    def nbytes(self) -> int:
        """Bytes of the features."""
        return 4 * self.count * self.dim

    @property
    def title(self) -> str:
        """Name, sizes and variant on one line."""
        variant = "less collapsed" if self.noise else "collapsed"
        sizes = f"N={self.count:,} d={self.dim} K={self.num_classes}"
        return f"{self.name}: {sizes} float32, {variant}"


FULL = (
    Case(name="A", count=50_000, dim=512, num_classes=10),
    Case(name="B", count=50_000, dim=2048, num_classes=100),
    Case(name="C", count=200_000, dim=512, num_classes=1000),
)
QUICK = (
    Case(name="A", count=4_000, dim=64, num_classes=10),
    Case(name="B", count=3_000, dim=256, num_classes=50),
    Case(name="C", count=5_000, dim=128, num_classes=300),
)


def write_case(path: Path, case: Case) -> None:
    """Write the checkpoint of a case, contiguous, and leave it in the page cache."""
    rng = np.random.default_rng([SEED, case.count, case.dim, case.num_classes, case.noise])
    centres_KD = rng.standard_normal((case.num_classes, case.dim), dtype=np.float32)
    centres_KD = np.maximum(centres_KD, 0)
    labels_N = rng.permutation(np.arange(case.count) % case.num_classes)
    classifier = _classifier(centres_KD, rng)
    blocks = _feature_blocks(case, centres_KD, labels_N, rng)
    if case.nbytes <= LARGEST_IMAGE:
        features_ND = np.concatenate(list(blocks))
        weight_KD, bias_K = classifier
        splits = {"train": (features_ND, labels_N)}
        write_checkpoint(path, splits=splits, weight=weight_KD, bias=bias_K, metadata=METADATA)
    else:
        _stream(path, case, blocks, labels_N, classifier)
    warm(path)


def warm(path: Path) -> None:
    """Read a file once, so that it lies in the page cache."""
    buffer = bytearray(2**22)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def _feature_blocks(
    case: Case, centres_KD: Matrix, labels_N: Labels, rng: np.random.Generator
) -> Iterator[Matrix]:
    size, confused = (0.8, 0.1) if case.noise else (0.2, 0.01)
    for start in range(0, case.count, BLOCK_ROWS):
        own_B = labels_N[start : start + BLOCK_ROWS]
        other_B = rng.integers(case.num_classes, size=len(own_B))
        way_B = rng.uniform(0.0, 0.7, len(own_B)) * (rng.random(len(own_B)) < confused)
        size_B = size * np.exp(rng.normal(0.0, 0.4, len(own_B)))
        block_BD = rng.standard_normal((len(own_B), case.dim), dtype=np.float32)
        block_BD *= size_B.astype(np.float32)[:, None]
        block_BD += centres_KD[own_B]
        moved = np.flatnonzero(way_B)
        steps_BD = centres_KD[other_B[moved]] - centres_KD[own_B[moved]]
        block_BD[moved] += way_B[moved].astype(np.float32)[:, None] * steps_BD
        yield np.maximum(block_BD, 0, out=block_BD)


def _classifier(centres_KD: Matrix, rng: np.random.Generator) -> tuple[Matrix, Matrix]:
    mean_D = centres_KD.mean(axis=0)
    centred_KD = centres_KD - mean_D
    scale = 15.0 / np.square(centred_KD).sum(axis=1).mean()  # a logit margin of about 15
    jitter_KD = rng.standard_normal(centred_KD.shape, dtype=np.float32)
    weight_KD = scale * (centred_KD + 0.1 * jitter_KD)
    # the bias that puts the borders half-way between two centres, and a little off
    bias_K = -0.5 * np.einsum("kd,kd->k", weight_KD, centres_KD + mean_D)
    bias_K += rng.normal(0.0, 0.5, len(bias_K))
    return weight_KD.astype(np.float32), bias_K.astype(np.float32)


def _stream(
    path: Path,
    case: Case,
    blocks: Iterator[Matrix],
    labels_N: Labels,
    classifier: tuple[Matrix, Matrix],
) -> None:
    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        for name, value in as_attributes(METADATA).items():
            file.attrs.create(name, value)
        file["classifier/weight"], file["classifier/bias"] = classifier
        file["train/labels"] = labels_N
        features = file.create_dataset("train/features", (case.count, case.dim), np.float32)
        start = 0
        for block_BD in blocks:
            features[start : start + len(block_BD)] = block_BD
            start += len(block_BD)
