"""Arrays as others keep them become arrays as a checkpoint has them; each change is noted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nccli.errors import ContentError
from nccli.hdf5.stored import check_finite
from nccli.importing.safetensors_file import widened

BLOCK_ROWS = 4096
Notes = list[str]


def as_floats(array: NDArray[Any], name: str, notes: Notes, *, bfloat16: bool) -> NDArray[Any]:
    """Return float16, float32 or float64 numbers, all finite. Raises ContentError."""
    kind = array.dtype
    if bfloat16 and (kind == np.uint16 or kind == np.dtype("V2")):
        notes.append(f"{name}: bfloat16 bits, as float32")
        array = widened(np.ascontiguousarray(array).view("<u2"))
    elif kind == np.dtype("V2") or kind == np.uint16:
        raise ContentError(
            f"{name} holds {kind}, which may be the bits of bfloat16",
            remedy="--bfloat16 reads them so; else convert it to float32",
        )
    elif kind.kind in "iu":
        raise ContentError(f"{name} holds {kind}, not floats", remedy="is it the labels?")
    elif kind.kind != "f" or kind.itemsize not in (2, 4, 8):
        raise ContentError(f"{name} holds {kind}", remedy="convert it to float32")
    for start in range(0, len(array) if array.ndim else 0, BLOCK_ROWS):
        check_finite(np.ascontiguousarray(array[start : start + BLOCK_ROWS]), name, start)
    return array


def as_features(array: NDArray[Any], name: str, notes: Notes) -> NDArray[Any]:
    """Return (N, d): (N, d, 1, 1) is what a pooled network gives. Raises ContentError."""
    if array.ndim > 2 and array.shape[2:] == (1,) * (array.ndim - 2):
        notes.append(f"{name}: shape {array.shape} without its trailing ones")
        return array.reshape(array.shape[:2])
    if array.ndim != 2:
        raise ContentError(
            f"{name} must have shape (N, d), got {array.shape}",
            remedy="average or pick positions first: one row a sample, as the classifier sees it",
        )
    return array


def as_labels(
    array: NDArray[Any], name: str, notes: Notes, *, first: int
) -> tuple[NDArray[np.int64], tuple[str, ...] | None]:
    """Return class numbers from 0, and the classes' names where the labels are words."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        return _from_one_hot(array, name, notes), None
    if array.ndim != 1:
        raise ContentError(f"{name} must have shape (N,), got {array.shape}")
    if array.dtype.kind in "SU":
        names, numbers = np.unique(array.astype(str), return_inverse=True)
        notes.append(f"{name}: {len(names)} names, numbered in alphabetical order")
        return numbers.astype(np.int64), tuple(names.tolist())
    if array.dtype.kind == "f":
        if not (np.isfinite(array).all() and (array == np.round(array)).all()):
            raise ContentError(f"{name} holds fractions or NaN", remedy="give class numbers")
        notes.append(f"{name}: whole numbers kept as {array.dtype}")
    elif array.dtype.kind not in "iub":
        raise ContentError(f"{name} holds {array.dtype}", remedy="give class numbers, or names")
    if first:
        notes.append(f"{name}: numbered from {first}, here from 0")
    return array.astype(np.int64) - first, None


def _from_one_hot(array: NDArray[Any], name: str, notes: Notes) -> NDArray[np.int64]:
    if not (((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all()):
        raise ContentError(
            f"{name} has shape {array.shape} and is not one-hot",
            remedy="give one class a sample; smoothed targets are set by label smoothing itself",
        )
    notes.append(f"{name}: one-hot rows as class numbers")
    numbers: NDArray[np.int64] = np.argmax(array, axis=1).astype(np.int64)
    return numbers


def as_weight(array: NDArray[Any], dim: int, name: str, notes: Notes) -> NDArray[Any]:
    """Return W (K, d); (d, K), as some frameworks keep it, is turned. Raises ContentError."""
    if array.ndim > 2 and array.shape[2:] == (1,) * (array.ndim - 2):
        array = array.reshape(array.shape[:2])  # a 1 x 1 convolution
    if array.ndim != 2 or dim not in array.shape:
        raise ContentError(
            f"{name} must have shape (K, {dim}), got {array.shape}",
            remedy=f"the features have d = {dim}: are they those that this layer takes?",
        )
    if array.shape[1] != dim:
        notes.append(f"{name}: shape {array.shape}, turned to {array.shape[::-1]}")
        return array.T
    return array
