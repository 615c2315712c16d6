"""Evaluation data as batches: a loader as it is, a data set in its order."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from nccli.errors import UsageError

LABELS = ("labels", "label")  # what a dict's labels may be called

Collate = Callable[[list[Any]], Any]


def loader_of(data: Any, *, split: str, batch_size: int, collate: Collate | None = None) -> Any:
    """Return what gives the same batches at each pass.

    data: a DataLoader or another iterable of batches, taken as it is; or a data set (it has a
    length and items), of which batches are made in its order. Raises UsageError otherwise.
    """
    if isinstance(data, DataLoader):
        return data
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, Mapping):
        return DataLoader(data, batch_size=batch_size, collate_fn=collate)
    if isinstance(data, Iterator) or not hasattr(data, "__iter__") or isinstance(data, Mapping):
        raise UsageError(
            f"{split}= must be a DataLoader or a data set, got a {type(data).__name__}",
            remedy="it is read once a recorded epoch, so that an iterator is of no use",
        )
    return data


def parted(batch: Any, *, split: str) -> tuple[Any, Tensor]:
    """Return the inputs and the labels (N,) of a batch: (inputs, labels, ...) or a dict.

    Raises UsageError where it has no labels, or other ones than a class a sample.
    """
    inputs, labels = _parted(batch, split)
    if labels.ndim != 1 or labels.is_floating_point():
        kind = str(labels.dtype).removeprefix("torch.")
        raise UsageError(f"{split}: labels must be (N,) integers, got {tuple(labels.shape)} {kind}")
    return inputs, labels


def _parted(batch: Any, split: str) -> tuple[Any, Tensor]:
    if isinstance(batch, Mapping):
        name = next((one for one in LABELS if one in batch), None)
        if name is None:
            raise UsageError(
                f"{split}: a batch has no labels", remedy=f"it has: {', '.join(map(str, batch))}"
            )
        rest = {key: value for key, value in batch.items() if key not in LABELS}
        return rest, torch.as_tensor(batch[name])
    if isinstance(batch, (tuple, list)) and len(batch) >= 2:
        with suppress(TypeError, ValueError, RuntimeError):  # what is no array of numbers
            return batch[0], torch.as_tensor(batch[1])
    raise UsageError(
        f"{split}: a batch has no labels",
        remedy=f"it must be (inputs, labels) or a dict with 'labels', got a {type(batch).__name__}",
    )


def call(model: nn.Module, inputs: Any, labels: Tensor) -> Any:
    """Return the model's output; a dict gives the words of its forward(), no others.

    Labels are given only where forward() cannot do without. Inputs are moved to the device of the
    parameters, floating-point numbers to their type.
    """
    if not isinstance(inputs, Mapping):
        return model(_moved(inputs, model))
    words = inspect.signature(model.forward).parameters.values()
    names = {one.name for one in words}
    needed = {one.name for one in words if one.default is one.empty}
    anything = any(one.kind is one.VAR_KEYWORD for one in words)
    given = {key: one for key, one in inputs.items() if key in names or anything}
    given |= {key: labels for key in LABELS if key in needed}
    return model(**{key: _moved(one, model) for key, one in given.items()})


def _moved(value: Any, model: nn.Module) -> Any:
    if isinstance(value, Mapping):
        return {key: _moved(one, model) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        moved = [_moved(one, model) for one in value]
        return type(value)(*moved) if hasattr(value, "_fields") else type(value)(moved)
    if not isinstance(value, Tensor):
        return value
    parameter = next(model.parameters())
    dtype = parameter.dtype if value.is_floating_point() else value.dtype
    return value.to(device=parameter.device, dtype=dtype)
