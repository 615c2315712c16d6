"""The data, pass after pass: batches on the parameters' device and in their type, and a survey."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nccli.errors import ContentError, FormatError
from nccli.network.loading import call

END = object()  # no batch is this
SAME = 1e-4  # relative: shuffling changes the order of a float32 sum, dropping samples more


class Batches:
    """Batches (X, y) that can be read again and again; a generator is kept as a list.

    Floating-point numbers come in the type of the parameters, all on their device.
    """

    def __init__(self, data: Iterable[Any], *, dtype: torch.dtype, device: torch.device) -> None:
        self._data = call("the data", list, data) if isinstance(data, Iterator) else data
        self._dtype = dtype
        self._device = device

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        batches = call("the data", iter, self._data)
        while (batch := call("the data", next, batches, END)) is not END:
            if not _is_pair(batch):
                raise FormatError(
                    f"a batch must be a pair (X, y) of tensors with the samples first, got "
                    f"{_kind(batch)}",
                    remedy="one batch alone is [(X, y)]",
                )
            yield self._moved(batch[0]), self._moved(batch[1])

    def _moved(self, tensor: Tensor) -> Tensor:
        dtype = self._dtype if tensor.is_floating_point() else tensor.dtype
        return tensor.to(device=self._device, dtype=dtype)


def _is_pair(batch: object) -> bool:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        return False
    if not all(isinstance(part, Tensor) and part.ndim for part in batch):
        return False
    return len(batch[0]) == len(batch[1])


def _kind(batch: Any) -> str:
    if isinstance(batch, Tensor):
        return f"a tensor of shape {tuple(batch.shape)}"
    if isinstance(batch, (tuple, list)):
        parts = (
            f"tensor {tuple(part.shape)}" if isinstance(part, Tensor) else type(part).__name__
            for part in batch[:4]
        )
        return f"a {type(batch).__name__} of {', '.join(parts) or 'nothing'}"
    return f"a {type(batch).__name__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What one pass over the data says."""

    n: int
    loss: float
    mean_doubt: float | None  # mean of 1 - probability of the prediction; None without classes


def survey(model: nn.Module, loss_function: nn.Module, batches: Batches) -> Survey:
    """Return the size of the data, the mean loss and the mean doubt.

    Raises ContentError where there are no data, the loss is not finite, or a second pass finds
    another loss: a curvature product is one more pass, and all must see the same data.
    """
    first = _pass(model, loss_function, batches)
    if first.n == 0:
        raise ContentError("the data are empty: no batch came", remedy="a generator runs once only")
    if not math.isfinite(first.loss):
        raise ContentError(f"the loss over the data is {first.loss}")
    second = _pass(model, loss_function, batches)
    if second.n != first.n or abs(second.loss - first.loss) > SAME * abs(first.loss):
        raise ContentError(
            f"the data or the model change from pass to pass: loss {first.loss:.6g} over "
            f"{first.n:,} samples, then {second.loss:.6g} over {second.n:,}",
            remedy="no random augmentation, no drop_last with shuffle; or give list(loader)",
        )
    return first


@torch.no_grad()
def _pass(model: nn.Module, loss_function: nn.Module, batches: Batches) -> Survey:
    n, loss, doubts, doubted = 0, 0.0, 0.0, 0
    for inputs, targets in batches:
        outputs = call("the model", model, inputs)
        mean = call("the loss", loss_function, outputs, targets)
        _check_scalar(mean)
        n += len(inputs)
        loss += float(mean) * len(inputs)
        if isinstance(loss_function, nn.CrossEntropyLoss) and outputs.ndim > 1:
            _refuse_ignored(loss_function, targets)
            doubt = doubt_of(outputs)
            doubts += float(doubt.sum())
            doubted += doubt.numel()
    return Survey(
        n=n,
        loss=loss / n if n else math.nan,
        mean_doubt=doubts / doubted if doubted else None,
    )


def _check_scalar(mean: Any) -> None:
    if not isinstance(mean, Tensor) or mean.ndim:
        raise ContentError(
            f"the loss must return a single number, got {_kind(mean)}", remedy="the mean of a batch"
        )


def _refuse_ignored(loss_function: nn.CrossEntropyLoss, targets: Tensor) -> None:
    if not targets.is_floating_point() and bool((targets == loss_function.ignore_index).any()):
        raise ContentError(
            f"labels equal to ignore_index ({loss_function.ignore_index}) make the loss no plain "
            "mean over the samples",
            remedy="leave these samples out",
        )


def doubt_of(logits: Tensor) -> Tensor:
    """1 - probability of the prediction, exact where that is tiny; classes lie on axis 1."""
    logits = logits.double()
    top, place = logits.max(dim=1, keepdim=True)
    others = logits.scatter(1, place, -math.inf).logsumexp(dim=1, keepdim=True) - top
    odds = others.exp()
    return odds / (1 + odds)
