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
    """Return a capture in the dtype of the file; raises TrainingError on overflow."""

    def cast(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        with np.errstate(over="ignore"):  # reported below, with a remedy
            narrow = array.astype(dtype, copy=False)
        if not np.isfinite(narrow).all():
            raise TrainingError(
                f"features or weights overflow {dtype}, or are not numbers",
                source=source,
                remedy="save with a wider --dtype, or lower the learning rate",
            )
        return narrow

    splits = {
        name: (cast(features), labels, *(cast(array) for array in logits))
        for name, (features, labels, *logits) in capture.splits.items()
    }
    bias = None if capture.bias is None else cast(capture.bias)
    return Capture(splits=splits, weight=cast(capture.weight), bias=bias)


def checkpoint_bytes(sizes: Mapping[str, int], dtype: str) -> int:
    """Return the size of a checkpoint file with so many numbers of each kind (to some kB)."""
    numbers = sizes["features"] + sizes["logits"] + (sizes["dim"] + 1) * sizes["classes"]
    return numbers * np.dtype(dtype).itemsize + sizes["labels"] * np.dtype(np.int64).itemsize


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
