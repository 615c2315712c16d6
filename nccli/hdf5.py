"""The checkpoint file: format "nccli-checkpoint", version 1, in HDF5.

    /classifier/weight   (K, d) float        /classifier/bias  (K,) float, optional
    /SPLIT/features      (N, d) float        /SPLIT/labels     (N,) integer in 0..K-1
    /SPLIT/logits        (N, K) float, optional
    root attributes      format, format_version; all others may be absent

Everything is checked once, here; behind this module arrays are trusted. Readers open without a
lock, read, close and hold no handle, so that they never disturb a run that is still writing.
Only hard links to plain data sets are followed: no soft or external link, no external storage,
no virtual data set.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nccli.attributes import as_attributes, check_format, read_metadata
from nccli.checkpoint import (
    Checkpoint,
    Classifier,
    LazyArray,
    Metadata,
    Split,
    check_labels,
    count_classes,
)
from nccli.errors import ContentError, FormatError, NotFoundError, locate_errors
from nccli.identity import Identity
from nccli.publish import publish_bytes
from nccli.stored import lazy_array
from nccli.text import plural

__all__ = ["Identity", "locate_errors", "read_checkpoint", "reopened", "write_checkpoint"]

MAX_ROOT_NAMES = 1_000  # a checkpoint has a handful; a file with more is not one


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Open a checkpoint: header checked now, numbers fetched (and checked) when asked for.

    Raises NotFoundError, FormatError or ContentError, each naming the file and the remedy.
    """
    file_path = Path(path)
    with locate_errors(file_path), _opened(file_path) as file:
        check_format(file)
        metadata = read_metadata(file)
        identity = Identity.of(file_path)
        classifier = _read_classifier(file, file_path, identity)
        splits = {name: _read_split(file, name, file_path, identity) for name in _split_names(file)}
    with locate_errors(file_path):
        return _assemble(classifier, splits, metadata)


def write_checkpoint(
    path: str | os.PathLike[str],
    *,
    splits: Mapping[str, tuple[NDArray[Any], ...]],
    weight: NDArray[Any] | None = None,
    bias: NDArray[Any] | None = None,
    metadata: Metadata | None = None,
) -> None:
    """Publish a checkpoint atomically.

    splits: {"train": (features (N, d), labels (N,)), "test": (features, labels, logits (N, K))};
    weight (K, d) and bias (K,) are the classifier. Arrays keep their dtype.
    Raises ContentError on arrays that do not fit together, OSError when the disk does not.
    """
    meta = metadata or Metadata()
    with locate_errors(Path(path)):
        Checkpoint.from_arrays(splits, weight=weight, bias=bias, metadata=meta)
        _check_writable_types(splits, weight, bias)
    publish_bytes(Path(path), _image(splits, weight, bias, meta))


# --- reading ------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    _check_plain_file(path)
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise _unopenable(path, error) from None
    with file:
        try:
            yield file
        except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
            # only calls into h5py run in here, and those are its ways to say "damaged"
            raise FormatError(
                f"the HDF5 library cannot read it ({_first_line(error)})",
                remedy="the file is damaged: restore or delete it",
            ) from None


def _check_plain_file(path: Path) -> None:
    try:
        exists, is_file = path.exists(), path.is_file()
    except (OSError, ValueError) as error:
        raise NotFoundError(f"cannot be looked up ({_first_line(error)})") from None
    if not exists:
        raise NotFoundError("no such file", remedy="check the path")
    if not is_file:
        raise NotFoundError(
            "not a regular file", remedy="give a checkpoint file or a run directory"
        )
    if not os.access(path, os.R_OK):
        raise NotFoundError("no permission to read it", remedy="check its owner and mode")
    if path.stat().st_size == 0:
        raise FormatError(
            "the file is empty", remedy="the writer was cut off: write it again or delete it"
        )


def _unopenable(path: Path, error: OSError) -> FormatError:
    text = _first_line(error)
    if not h5py.is_hdf5(path) and "truncated" not in text:
        return FormatError("not an HDF5 file", remedy="give a checkpoint written by nccli")
    if "truncated" in text:
        return FormatError(
            f"truncated HDF5 file ({plural(path.stat().st_size, 'byte')} are there)",
            remedy="copy it again, or delete it if its writer died",
        )
    return FormatError(f"the HDF5 library cannot open it ({text})", remedy="the file is damaged")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip("'\"").splitlines()
    return lines[0] if lines else type(error).__name__


def _split_names(file: h5py.File) -> list[str]:
    if len(file) > MAX_ROOT_NAMES:
        raise FormatError(f"holds {len(file):,} root names, a checkpoint has at most 1,000")
    names = [name for name in file if name != "classifier" and _has_features(file, name)]
    if not names:
        raise FormatError(
            "holds no split: neither train/features nor test/features is there",
            remedy="save features and labels of at least one split",
        )
    order = {"train": 0, "test": 1}
    return sorted(names, key=lambda name: (order.get(name, 2), name))


def _has_features(file: h5py.File, name: str) -> bool:
    group = _member(file, name)
    if not isinstance(group, h5py.Group) or "features" not in group:
        return False
    if "labels" in group:
        return True
    if name in ("train", "test"):
        raise FormatError(f"{name}/features is there but {name}/labels is not")
    return False  # an out-of-distribution split has no labels, and nothing here to measure


def _member(group: h5py.Group, name: str) -> Any:
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise FormatError(
            f"'{group.name.strip('/')}/{name}' is a {type(link).__name__}, which is never followed",
            remedy="store the data themselves in the file",
        )
    return group[name]


def _read_classifier(file: h5py.File, path: Path, identity: Identity) -> Classifier | None:
    if "classifier" not in file:
        return None
    group = _member(file, "classifier")
    if not isinstance(group, h5py.Group) or "weight" not in group:
        raise FormatError("classifier is there but classifier/weight is not")
    weight = _lazy(_dataset(group, "weight", kind="float", rank=2), path, identity)
    if "bias" not in group:
        return Classifier(weight=weight)
    bias = _lazy(_dataset(group, "bias", kind="float", rank=1), path, identity)
    return Classifier(weight=weight, bias=bias)


def _read_split(file: h5py.File, name: str, path: Path, identity: Identity) -> Split:
    group = _member(file, name)
    logits = None
    if "logits" in group:
        logits = _lazy(_dataset(group, "logits", kind="float", rank=2), path, identity)
    return Split(
        features=_lazy(_dataset(group, "features", kind="float", rank=2), path, identity),
        labels=_lazy(_dataset(group, "labels", kind="integer", rank=1), path, identity),
        logits=logits,
    )


_REMEDIES = {
    "float": "convert it to float32, float16 or float64 before saving",
    "integer": "save class numbers as int64 (argmax of one-hot rows)",
}


def _dataset(group: h5py.Group, name: str, *, kind: str, rank: int) -> h5py.Dataset:
    found = _member(group, name)
    where = f"{group.name.strip('/')}/{name}"
    if not isinstance(found, h5py.Dataset):
        raise FormatError(f"{where} must be a data set, found a group")
    if found.is_virtual or found.external:
        raise FormatError(f"{where} keeps its data outside the file, which is never followed")
    if found.shape is None:
        raise FormatError(f"{where} is an empty (null) data set", remedy="save its numbers")
    if found.dtype.kind not in {"float": "f", "integer": "iu"}[kind]:
        noun = "floats" if kind == "float" else "integers"
        raise FormatError(f"{where} must hold {noun}, got {found.dtype}", remedy=_REMEDIES[kind])
    if kind == "float" and found.dtype.itemsize not in (2, 4, 8):
        raise FormatError(
            f"{where} must be float16, float32 or float64, got {found.dtype}",
            remedy=_REMEDIES[kind],
        )
    if len(found.shape) != rank:
        raise FormatError(
            f"{where} must have {plural(rank, 'dimension')}, got shape {found.shape}",
            remedy="of one-hot rows save the argmax" if kind == "integer" else None,
        )
    if found.size and not found.id.get_storage_size():
        raise FormatError(
            f"{where} was declared with shape {found.shape} and never written",
            remedy="its writer died: write it again or delete it",
        )
    return found


def _lazy(dataset: h5py.Dataset, path: Path, identity: Identity) -> LazyArray:
    return lazy_array(dataset, path, identity, reopened)


@contextmanager
def reopened(path: Path) -> Iterator[h5py.File]:
    """Open a file without a lock; every error in it is an InputError that names the file."""
    with locate_errors(path), _opened(path) as file:
        yield file


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


# --- writing ------------------------------------------------------------------------------------


def _check_writable_types(
    splits: Mapping[str, tuple[NDArray[Any], ...]],
    weight: NDArray[Any] | None,
    bias: NDArray[Any] | None,
) -> None:
    floats = {"classifier/weight": weight, "classifier/bias": bias}
    for name, (features, labels, *logits) in splits.items():
        floats |= {f"{name}/features": features, f"{name}/logits": logits[0] if logits else None}
        if labels.dtype.kind not in "iu":
            raise ContentError(f"{name}/labels must hold integers, got {labels.dtype}")
    for name, array in floats.items():
        if array is not None and array.dtype not in (np.float16, np.float32, np.float64):
            raise ContentError(f"{name} must be float16, float32 or float64, got {array.dtype}")


def _image(
    splits: Mapping[str, tuple[NDArray[Any], ...]],
    weight: NDArray[Any] | None,
    bias: NDArray[Any] | None,
    metadata: Metadata,
) -> bytes:
    # Built in memory: a disk that fills up while the HDF5 library writes kills the process.
    # ("earliest", "v110") keeps the file readable by HDF5 1.14 and older.
    options = {"driver": "core", "backing_store": False, "libver": ("earliest", "v110")}
    # HDF5 knows files in memory by their names: those of two threads must differ.
    with h5py.File(f"image-{threading.get_ident()}", "w", **options) as file:
        for name, value in as_attributes(metadata).items():
            file.attrs.create(name, value)
        if weight is not None:
            file["classifier/weight"] = weight
        if bias is not None:
            file["classifier/bias"] = bias
        for name, arrays in splits.items():
            for part, array in zip(("features", "labels", "logits"), arrays, strict=False):
                file[f"{name}/{part}"] = array
        file.flush()
        image: bytes = file.id.get_file_image()
    return image
