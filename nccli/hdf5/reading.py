"""A file becomes a Checkpoint: its header checked now, its numbers fetched when asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nccli.checkpoint import (
    Checkpoint,
    Classifier,
    LazyArray,
    Metadata,
    Split,
    check_labels,
    count_classes,
)
from nccli.errors import FormatError, ShapeError, locate_errors
from nccli.hdf5.digest import PIECE_BYTES, content_hash, entry, hash_numbers
from nccli.hdf5.plain_file import check_plain_file
from nccli.hdf5.stored import StoredArray
from nccli.identity import Identity
from nccli.reader.asking import ask
from nccli.reader.format import FORMAT_MAJOR, FORMAT_MINOR, migrated
from nccli.reader.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a checkpoint file says of itself, and where its arrays stand."""

    metadata: Metadata
    minor: int  # of the format's version
    content_sha256: str | None
    classifier: Mapping[str, StoredArray]  # "weight", "bias"
    splits: Mapping[str, Mapping[str, StoredArray]]  # "features", "labels", "logits"

    def arrays(self) -> dict[str, StoredArray]:
        """Return every array by its path in the file, in the order of their names."""
        parts = {"classifier": self.classifier, **self.splits}
        found = {f"{group}/{name}": one for group in parts for name, one in parts[group].items()}
        return dict(sorted(found.items()))


def describe(path: Path) -> Described:
    """Read a file's header. Raises NotFoundError or FormatError."""
    with locate_errors(path):
        check_plain_file(path)
        told = migrated(ask("describe", path))
        identity = Identity(**told["identity"])
        groups = [*told["splits"], ["classifier", told["classifier"] or {}]]
        found = {
            group: {
                name: StoredArray.of(one, path, identity)
                for name, one in arrays.items()
                if one is not None
            }
            for group, arrays in groups
        }
    return Described(
        metadata=_metadata(told["metadata"]),
        minor=told["format_minor"],
        content_sha256=told["content_sha256"],
        classifier=found.pop("classifier"),
        splits=found,
    )


def array_at(path: Path, name: str) -> StoredArray:
    """Return where any data set of any HDF5 file stands. Raises InputError."""
    with locate_errors(path):
        check_plain_file(path)
        told = ask("locate", path, name=name)
        return StoredArray.of(told["array"], path, Identity(**told["identity"]))


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Open a checkpoint: header checked now, numbers fetched (and checked) when asked for.

    Raises NotFoundError, FormatError or ContentError, each naming the file and the remedy.

    >>> import nccli
    >>> run = nccli.sample_data_path("runs") / "digits-mlp-ls0.05-s0"
    >>> checkpoint = nccli.read_checkpoint(run / "checkpoints" / "epoch-00200.h5")
    >>> checkpoint.num_classes, checkpoint.dim, sorted(checkpoint.splits)
    (10, 128, ['test', 'train'])
    >>> checkpoint.metadata.label_smoothing
    0.05
    """
    file_path = Path(path)
    return checkpoint_of(describe(file_path), file_path)


def checkpoint_of(described: Described, path: Path) -> Checkpoint:
    """Return what a header describes. Raises ContentError where shapes or labels do not fit."""
    lazy = {name: one.lazy() for name, one in described.classifier.items()}
    classifier = Classifier(**lazy) if lazy else None
    with locate_errors(path):
        _check_whole(described)
        return _assemble(
            classifier,
            {name: _split(arrays) for name, arrays in described.splits.items()},
            described.metadata,
        )


def _check_whole(described: Described) -> None:
    """Refuse what would be held in memory whole and has no business to be so large."""
    limits = Limits.of_environment()
    for splits in described.splits.values():
        rows, labels = splits["features"].shape[0], splits["labels"]
        if rows and labels.shape[0] != rows:
            raise ShapeError(f"{labels.name} must have shape ({rows},), got ({labels.shape[0]},)")
    held = [arrays["labels"] for arrays in described.splits.values()]
    for array in (*held, *described.classifier.values()):
        size = array.row_bytes * array.shape[0]
        if size > limits.whole_bytes:
            raise FormatError(
                f"{array.name} takes {size:,} bytes of memory",
                remedy=f"{limits.variable('whole_bytes')} allows more",
            )


def _metadata(told: dict[str, Any]) -> Metadata:
    names = told["class_names"]
    return Metadata(**told | {"class_names": None if names is None else tuple(names)})


def _split(arrays: Mapping[str, StoredArray]) -> Split:
    return Split(**{name: one.lazy() for name, one in arrays.items()})


def _assemble(
    classifier: Classifier | None, splits: dict[str, Split], metadata: Metadata
) -> Checkpoint:
    classes = count_classes(None if classifier is None else classifier.weight, splits)
    splits = {
        name: replace(split, labels=_checked_labels(split, classes, name))
        for name, split in splits.items()
    }
    return Checkpoint(
        num_classes=classes,
        dim=next(iter(splits.values())).features.shape[1],
        splits=splits,
        classifier=classifier,
        metadata=metadata,
    )


def _checked_labels(split: Split, classes: int, name: str) -> LazyArray:
    """The labels, in memory from here on: they are small, and every analysis reads them."""
    labels = split.labels.load()
    check_labels(labels, classes, where=f"{name}/labels")
    return LazyArray.of(labels)


def computed_hash(described: Described) -> str:
    """Read a file in full and return the hash of its content, as `nccli.hdf5.digest` defines it."""
    entries = []
    for name, array in described.arrays().items():
        step = max(1, PIECE_BYTES // max(array.row_bytes, 1))
        numbers = hash_numbers(block for _, block in array.unchecked(0, array.shape[0], step))
        entries.append(entry(name, array.dtype, array.shape, numbers))
    return content_hash(described.metadata, described.minor, entries)


def newer_minor(described: Described) -> list[str]:
    """Say so where a file comes from a newer nccli, which may have said more in it."""
    if described.minor <= FORMAT_MINOR:
        return []
    return [
        f"format version {FORMAT_MAJOR}.{described.minor}, newer than this nccli's "
        f"{FORMAT_MAJOR}.{FORMAT_MINOR}: what it adds is not read"
    ]
