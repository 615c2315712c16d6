"""What is saved at an epoch: the arrays as the file will hold them, and what it says of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nccli import hdf5
from nccli.checkpoint import Metadata
from nccli.errors import InputError, TrainingError
from train import rundir
from train.config import Settings
from train.loop import Capture


def metadata_of(
    settings: Settings, *, epoch: int, software: str, class_names: tuple[str, ...] = ()
) -> Metadata:
    """Return what a checkpoint says of its origin."""
    free = settings.data == "ufm"
    return Metadata(
        loss=settings.loss,
        label_smoothing=settings.label_smoothing,
        epoch=epoch,
        dataset=settings.data,
        architecture=settings.architecture,
        seed=settings.seed,
        weight_decay=settings.lambda_w if free else settings.weight_decay,
        feature_decay=settings.lambda_h if free else settings.feature_decay or None,
        created=rundir.now(),
        software=software,
        class_names=class_names or None,
    )


def stored(capture: Capture, *, dtype: str, source: Path) -> Capture:
    """Return a capture in the dtypes of the file; raises TrainingError on overflow."""

    def cast(array: np.ndarray[Any, Any], to: np.dtype[Any]) -> np.ndarray[Any, Any]:
        with np.errstate(over="ignore"):  # reported below, with a remedy
            narrow = array.astype(to, copy=False)
        if not np.isfinite(narrow).all():
            raise TrainingError(
                f"features or weights overflow {to}, or are not numbers",
                source=source,
                remedy="save in a wider dtype (float32), or lower the learning rate",
            )
        return narrow

    rows, classifier = np.dtype(dtype), classifier_dtype(dtype)
    splits = {
        name: (cast(features, rows), labels, *(cast(array, rows) for array in logits))
        for name, (features, labels, *logits) in capture.splits.items()
    }
    bias = None if capture.bias is None else cast(capture.bias, classifier)
    return Capture(splits=splits, weight=cast(capture.weight, classifier), bias=bias)


def classifier_dtype(dtype: str) -> np.dtype[Any]:
    """Return the dtype of W and b beside features of some dtype: single at least.

    They are few, and no average over samples takes their rounding away: half precision moves NC3
    by 2e-4 of itself, that of the features by 4e-5 (tests/benchmarks/float16.py).
    """
    return np.promote_types(dtype, np.float32)


def checkpoint_bytes(sizes: Mapping[str, int], dtype: str) -> int:
    """Return the size of a checkpoint file with so many numbers of each kind (to some kB)."""
    rows = (sizes["features"] + sizes["logits"]) * np.dtype(dtype).itemsize
    classifier = (sizes["dim"] + 1) * sizes["classes"] * classifier_dtype(dtype).itemsize
    return rows + classifier + sizes["labels"] * np.dtype(np.int64).itemsize


def too_few_features(sizes: Mapping[str, int]) -> str | None:
    """Return what to say of a network whose features have no room for a simplex ETF."""
    dim, classes = sizes["dim"], sizes["classes"]
    if dim >= classes - 1:
        return None
    return (
        f"d = {dim} features are fewer than K - 1 = {classes - 1}: no simplex ETF of {classes} "
        "classes fits, NC2 stays above 0 and the closed form does not apply"
    )


def holds(path: Path, capture: Capture) -> bool:
    """Tell whether a checkpoint with the same numbers is there, published before a kill."""
    if not path.exists():
        return False
    try:
        found = hdf5.read_checkpoint(path)
        if found.classifier is None:
            return False
        weight, bias = found.classifier.arrays()
        return (
            np.array_equal(weight, capture.weight)
            and np.array_equal(bias, 0 * bias if capture.bias is None else capture.bias)
            and all(
                np.array_equal(found.split(name).features.load(), arrays[0])
                for name, arrays in capture.splits.items()
            )
        )
    except InputError:
        return False
