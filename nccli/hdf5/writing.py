"""Writing a checkpoint: hashed, laid out, and published whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nccli.checkpoint import Checkpoint, Metadata
from nccli.errors import ContentError, locate_errors
from nccli.hdf5.digest import PIECE_BYTES, content_hash, entry, hash_numbers
from nccli.hdf5.said import as_attributes, as_written
from nccli.publish import publish, write_fully
from nccli.reader.format import FORMAT_MINOR
from nccli.reader.limits import Limits

Splits = Mapping[str, tuple[NDArray[Any], ...]]


def write_checkpoint(
    path: str | os.PathLike[str],
    *,
    splits: Splits,
    weight: NDArray[Any] | None = None,
    bias: NDArray[Any] | None = None,
    metadata: Metadata | None = None,
) -> None:
    """Publish a checkpoint atomically.

    splits: {"train": (features (N, d), labels (N,)), "test": (features, labels, logits (N, K))};
    weight (K, d) and bias (K,) are the classifier. Arrays keep their dtype; they may be memory
    maps, and are never copied whole.
    Raises ContentError on arrays that do not fit together, OSError when the disk does not.

    >>> import tempfile, nccli, numpy as np
    >>> features, labels = np.eye(3).repeat(4, axis=0), np.arange(3).repeat(4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/mine.h5"
    ...     nccli.write_checkpoint(path, splits={"train": (features, labels)}, weight=np.eye(3))
    ...     nccli.collapse.analyze(nccli.read_checkpoint(path), split="train").nc1
    0.0
    """
    from nccli.hdf5.skeleton import make_skeleton  # the HDF5 library, which readers do without

    with locate_errors(Path(path)):
        meta = as_written(metadata or Metadata())
        if bias is not None and weight is None:
            raise ContentError("has a bias and no weight")
        Checkpoint.from_arrays(splits, weight=weight, bias=bias, metadata=meta)
        _check_writable_types(splits, weight, bias)
        _check_names(splits)
    arrays = _by_path(splits, weight, bias)
    hashes = [
        entry(name, array.dtype, array.shape, hash_numbers(_pieces(array)))
        for name, array in arrays.items()
    ]
    skeleton = make_skeleton(
        {name: (array.shape, array.dtype) for name, array in arrays.items()},
        as_attributes(meta, content_hash(meta, FORMAT_MINOR, hashes)),
    )

    def write(descriptor: int) -> None:
        for offset, content in skeleton.pieces:
            write_fully(descriptor, content, offset)
        for name, array in arrays.items():
            offset = skeleton.offsets[name]
            for piece in _pieces(array):
                plain = np.ascontiguousarray(piece, piece.dtype.newbyteorder("<"))
                write_fully(descriptor, plain.reshape(-1).view(np.uint8).data, offset)
                offset += plain.nbytes

    publish(Path(path), write, size=skeleton.size)


def _by_path(
    splits: Splits, weight: NDArray[Any] | None, bias: NDArray[Any] | None
) -> dict[str, NDArray[Any]]:
    found = {"classifier/weight": weight, "classifier/bias": bias}
    for name, arrays in splits.items():
        for part, array in zip(("features", "labels", "logits"), arrays, strict=False):
            found[f"{name}/{part}"] = array
    return {name: array for name, array in found.items() if array is not None}


def _pieces(array: NDArray[Any]) -> list[NDArray[Any]]:
    """Cut an array into rows that fit a core's cache."""
    step = max(1, PIECE_BYTES // max(1, array.nbytes // max(1, len(array))))
    return [array[start : start + step] for start in range(0, len(array), step)]


def _check_names(splits: Splits) -> None:
    most = Limits().names - 1  # beside the classifier
    if len(splits) > most:
        raise ContentError(f"has {len(splits):,} splits, a reader takes {most:,}")
    for name in splits:
        if "/" in name or name in ("", ".", "classifier") or not name.isprintable():
            raise ContentError(f"a split cannot be called {name!r}")


def _check_writable_types(
    splits: Splits, weight: NDArray[Any] | None, bias: NDArray[Any] | None
) -> None:
    for name, array in _by_path(splits, weight, bias).items():
        if name.endswith("/labels"):
            if array.dtype.kind not in "iu":
                raise ContentError(f"{name} must hold integers, got {array.dtype}")
        elif array.dtype not in (np.float16, np.float32, np.float64):
            raise ContentError(f"{name} must be float16, float32 or float64, got {array.dtype}")
