"""Checkpoints to measure on: features of a trained network, post-ReLU, seeded, any size.

N samples, K classes, D features, B rows of a block. A feature vector is relu(class mean + common
mean + noise): class means near a simplex, a common mean that is positive in every feature, and
noise whose spectrum falls as a power law. The classifier is near the dual of the class means, its
bias takes the common mean away.
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
METADATA = Metadata(loss="cross-entropy", epoch=200)
# Chosen by eye, so that the spectra of H^T H and of the W block look like those of the trained
# networks in sample_data: K - 1 directions of nearly the same size, far above the noise.
MEANS, COMMON = 10.0, 0.02  # size of the class means, and of what all samples share
NOISE, DECAY = 3.0, 1.2  # size of the noise, and how fast its spectrum falls
GAIN = 0.11  # mean 1 - p_top of some percent
CONFIDENT_GAIN = 0.3  # as after long training with cross-entropy

Matrix = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The size of a checkpoint and how sure its classifier is."""

    count: int  # N
    dim: int  # D
    num_classes: int  # K
    confident: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of the features."""
        return 4 * self.count * self.dim

    @property
    def title(self) -> str:
        """Sizes and variant on one line."""
        variant = ", confident" if self.confident else ""
        return f"N={self.count:,} d={self.dim} K={self.num_classes} float32{variant}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Network:
    """What the features of a case are drawn from."""

    means_KD: Matrix
    common_D: Matrix
    noise_DD: Matrix  # white noise times this is the noise of a sample


def write_case(path: Path, case: Case) -> None:
    """Write the checkpoint of a case, contiguous, and leave it in the page cache."""
    rng = np.random.default_rng([SEED, case.dim, case.num_classes])
    network = _network(case, rng)
    classifier = _classifier(case, network, rng)
    labels_N = rng.permutation(np.arange(case.count) % case.num_classes)
    blocks = _feature_blocks(network, labels_N, rng)
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


def _network(case: Case, rng: np.random.Generator) -> _Network:
    classes, dim = case.num_classes, case.dim
    basis_DD = np.linalg.qr(rng.standard_normal((dim, dim), dtype=np.float32))[0]
    centring_KK = np.eye(classes) - 1.0 / classes
    places_KK = centring_KK @ (0.3 * rng.standard_normal((classes, classes))) + MEANS * centring_KK
    sizes_D = NOISE * (1.0 + np.arange(dim)) ** -DECAY
    return _Network(
        means_KD=places_KK.astype(np.float32) @ basis_DD[:classes],
        common_D=(COMMON * (1.0 + np.abs(rng.standard_normal(dim)))).astype(np.float32),
        noise_DD=sizes_D.astype(np.float32)[:, None] * basis_DD[::-1],
    )


def _classifier(case: Case, network: _Network, rng: np.random.Generator) -> tuple[Matrix, Matrix]:
    gain, means_KD = CONFIDENT_GAIN if case.confident else GAIN, network.means_KD
    jitter_KD = rng.standard_normal(means_KD.shape)
    weight_KD = gain * (means_KD - means_KD.mean(axis=0) + 0.05 * jitter_KD)
    bias_K = 0.1 * rng.standard_normal(case.num_classes) - weight_KD @ network.common_D
    return weight_KD.astype(np.float32), bias_K.astype(np.float32)


def _feature_blocks(
    network: _Network, labels_N: Labels, rng: np.random.Generator
) -> Iterator[Matrix]:
    for start in range(0, len(labels_N), BLOCK_ROWS):
        own_B = labels_N[start : start + BLOCK_ROWS]
        white_BD = rng.standard_normal((len(own_B), len(network.common_D)), dtype=np.float32)
        block_BD = white_BD @ network.noise_DD
        block_BD += network.means_KD[own_B]
        block_BD += network.common_D
        yield np.maximum(block_BD, 0, out=block_BD)


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
