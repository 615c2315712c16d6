"""A checkpoint: what the last layer saw. Frozen, its arrays lazy, its shapes checked once.

It knows no file; `nccli.hdf5` makes one from a file, `Checkpoint.from_arrays` from memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nccli.errors import ContentError, ShapeError
from nccli.text import shortlist

FloatArray = NDArray[np.floating[Any]]
RowReader = Callable[[int, int], NDArray[Any]]
RowStreamer = Callable[[int, int, int], Iterator[tuple[int, NDArray[Any]]]]

# Rows per block are chosen so that a float64 block of features stays near this size: large
# enough for a GEMM to run at speed, small enough that memory does not depend on N.
BLOCK_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class LazyArray:
    """An array whose numbers are fetched when asked for, by rows."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    reader: RowReader = field(repr=False)
    streamer: RowStreamer | None = field(default=None, repr=False)
    chunk_rows: int = 1  # rows that are stored together: reading fewer reads them again

    @classmethod
    def of(cls, array: NDArray[Any]) -> LazyArray:
        """Wrap an array that is in memory already."""
        return cls(
            shape=array.shape, dtype=array.dtype, reader=lambda start, stop: array[start:stop]
        )

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows start..stop-1."""
        return self.reader(start, stop)

    def load(self) -> NDArray[Any]:
        """Return the whole array."""
        return self.reader(0, self.shape[0])

    def stream(self, start: int, stop: int, step: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (first row, at most `step` rows) from start to stop-1, in the array's own dtype.

        A block is valid until the next one is asked for: its memory may be used again.
        """
        if self.streamer is not None:
            yield from self.streamer(start, stop, step)
            return
        for first in range(start, stop, step):
            yield first, self.rows(first, min(first + step, stop))

    def blocks(self) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Yield (row slice, float64 block) over all rows, in order."""
        width = int(np.prod(self.shape[1:], dtype=np.int64))
        step = max(1, BLOCK_BYTES // (8 * max(width, 1)))
        for start, values in self.stream(0, self.shape[0], step):
            block = np.array(values, dtype=np.float64)  # a copy: the caller may keep it
            yield slice(start, start + len(block)), block


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a checkpoint says of its origin; None where it does not say."""

    loss: str | None = None  # "cross-entropy" or "label-smoothing"
    label_smoothing: float | None = None  # delta of the paper
    epoch: int | None = None
    dataset: str | None = None
    architecture: str | None = None
    seed: int | None = None
    weight_decay: float | None = None  # lambda_W: the penalty is weight_decay / 2 * ||W||^2
    feature_decay: float | None = None  # lambda_H, where features are penalised themselves
    created: str | None = None  # ISO 8601
    software: str | None = None  # JSON: versions
    class_names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """The last layer: logits = features W^T + b."""

    weight: LazyArray  # (K, d)
    bias: LazyArray | None = None  # (K,); zero if absent

    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return W (K, d) and b (K,) in float64."""
        weight = np.asarray(self.weight.load(), dtype=np.float64)
        if self.bias is None:
            return weight, np.zeros(weight.shape[0])
        return weight, np.asarray(self.bias.load(), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The samples of one part of the data."""

    features: LazyArray  # (N, d) float
    labels: LazyArray  # (N,) integer in 0..K-1
    logits: LazyArray | None = None  # (N, K) float; features W^T + b if absent

    @property
    def count(self) -> int:
        """N, the number of samples."""
        return self.features.shape[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One saved epoch: classifier, splits and metadata. Raises ContentError on wrong shapes."""

    num_classes: int
    dim: int
    splits: Mapping[str, Split]
    classifier: Classifier | None = None
    metadata: Metadata = Metadata()

    def __post_init__(self) -> None:
        if not self.splits:
            raise ContentError("holds no split with features and labels")
        if self.dim < 1 or self.num_classes < 1:
            raise ContentError(f"has {self.dim} features and {self.num_classes} classes")
        if self.classifier is not None:
            self._check_classifier(self.classifier)
        for name, split in self.splits.items():
            self._check_split(name, split)

    def _check_classifier(self, classifier: Classifier) -> None:
        expected = (self.num_classes, self.dim)
        if classifier.weight.shape != expected:
            raise _wrong_shape("classifier/weight", expected, classifier.weight.shape)
        if classifier.bias is not None and classifier.bias.shape != (self.num_classes,):
            raise _wrong_shape("classifier/bias", (self.num_classes,), classifier.bias.shape)

    def _check_split(self, name: str, split: Split) -> None:
        shape = split.features.shape
        if len(shape) != 2 or shape[1] != self.dim:
            raise _wrong_shape(f"{name}/features", ("N", self.dim), shape)
        if shape[0] == 0:
            raise ContentError(f"{name}/features holds no samples")
        if split.labels.shape != (shape[0],):
            raise _wrong_shape(f"{name}/labels", (shape[0],), split.labels.shape)
        if split.logits is not None and split.logits.shape != (shape[0], self.num_classes):
            expected = (shape[0], self.num_classes)
            raise _wrong_shape(f"{name}/logits", expected, split.logits.shape)

    def split(self, name: str) -> Split:
        """Return a split by name; raises ContentError naming the ones there are."""
        if name not in self.splits:
            have = ", ".join(self.splits)
            raise ContentError(f"has no split '{name}'", remedy=f"it holds: {have}")
        return self.splits[name]

    @classmethod
    def from_arrays(
        cls,
        splits: Mapping[str, tuple[NDArray[Any], ...]],
        *,
        weight: NDArray[Any] | None = None,
        bias: NDArray[Any] | None = None,
        num_classes: int | None = None,
        metadata: Metadata | None = None,
    ) -> Checkpoint:
        """Make a checkpoint of arrays: splits = {"train": (features, labels[, logits])}.

        num_classes is W's rows, else the logits' columns, else the largest label + 1.
        Raises ContentError on wrong shapes and on labels out of range.
        """
        if not splits:
            raise ContentError("holds no split with features and labels")
        made = {name: _split_of(*arrays) for name, arrays in splits.items()}
        classes = num_classes or count_classes(weight, made)
        for name, split in made.items():
            check_labels(split.labels.load(), classes, where=f"{name}/labels")
        return cls(
            num_classes=classes,
            dim=next(iter(made.values())).features.shape[-1],
            splits=made,
            classifier=None if weight is None else _classifier_of(weight, bias),
            metadata=metadata or Metadata(),
        )


def count_classes(weight: NDArray[Any] | LazyArray | None, splits: Mapping[str, Split]) -> int:
    """Return K: the rows of W, else the logits' columns, else the largest label + 1."""
    if weight is not None:
        return int(weight.shape[0])
    for split in splits.values():
        if split.logits is not None:
            return int(split.logits.shape[1])
    classes = 1 + max(int(np.max(split.labels.load(), initial=0)) for split in splits.values())
    samples = sum(split.count for split in splits.values())
    if classes > max(1_000, 10 * samples):
        raise ContentError(
            f"labels run up to {classes - 1:,} for {samples:,} samples",
            remedy="number the classes from 0, or save classifier/weight, which tells K",
        )
    return classes


def check_labels(labels: NDArray[Any], num_classes: int, *, where: str) -> None:
    """Raise ContentError unless every label lies in 0..num_classes-1."""
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if wrong.size:
        found = shortlist(sorted({int(labels[i]) for i in wrong}))
        raise ContentError(
            f"{where} must lie in 0..{num_classes - 1}, found {found} (first at row {wrong[0]})",
            remedy="number the classes from 0",
        )


def _split_of(
    features: NDArray[Any], labels: NDArray[Any], logits: NDArray[Any] | None = None
) -> Split:
    return Split(
        features=LazyArray.of(features),
        labels=LazyArray.of(labels),
        logits=None if logits is None else LazyArray.of(logits),
    )


def _classifier_of(weight: NDArray[Any], bias: NDArray[Any] | None) -> Classifier:
    return Classifier(
        weight=LazyArray.of(weight), bias=None if bias is None else LazyArray.of(bias)
    )


def _wrong_shape(name: str, expected: tuple[object, ...], found: tuple[object, ...]) -> ShapeError:
    return ShapeError(f"{name} must have shape {_shape(expected)}, got {_shape(found)}")


def _shape(shape: tuple[object, ...]) -> str:
    inner = ", ".join(str(size) for size in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"
