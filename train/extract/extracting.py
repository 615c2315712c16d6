"""A network over one or two splits; features go to a file as they come, never whole to memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nccli.checkpoint import Metadata
from nccli.errors import ContentError, UsageError
from nccli.hdf5 import write_checkpoint
from nccli.hdf5.stored import check_finite
from nccli.last_layer import inputs_of, last_linear, logits_of, only_input
from nccli.publish import TEMPORARY_PREFIX
from train.convolutions import convolutions_for
from train.data.loading import DEFAULT_ROOT
from train.extract.models import load_model
from train.extract.sources import Pixels, Source, open_source
from train.snapshot import classifier_dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to extract: see the options of `nccli extract`."""

    model: str
    data: str
    weights: Path | None = None
    splits: tuple[str, ...] = ("train", "test")
    root: Path = DEFAULT_ROOT
    layer: str | None = None
    pixels: Pixels = Pixels()
    batch: int = 256
    device: str = "cpu"
    dtype: str = "float32"
    metadata: Metadata = Metadata()


def extract(request: Request, out: Path, *, done: Callable[[int, int], None] | None = None) -> None:
    """Write a checkpoint with features, labels, logits, W and b.

    done: told of images that are done, and of all. Raises UsageError or InputError.
    """
    sources = {
        split: open_source(request.data, split, root=request.root, pixels=request.pixels)
        for split in request.splits
    }
    names = next(iter(sources.values())).names
    model = load_model(request.model, request.weights, num_classes=len(names)).to(request.device)
    probe = next(next(iter(sources.values())).batches(2)).to(request.device)
    try:
        layer = last_linear(model, lambda: model(probe), name=request.layer)
    except (RuntimeError, ValueError, AssertionError) as error:
        shape = " x ".join(map(str, probe.shape[1:]))
        raise UsageError(
            f"the network cannot take images of {shape} ({str(error).splitlines()[0]})",
            remedy="--size and --resize set another",
        ) from None
    total = sum(len(one.labels) for one in sources.values())
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=out.parent) as folder:
        splits = {}
        for split, source in sources.items():
            place = Path(folder) / split
            splits[split] = _captured(model, layer, source, request, place, done, total)
        _write(request, out, splits, layer, names)


def _write(
    request: Request,
    out: Path,
    splits: dict[str, tuple[NDArray[Any], ...]],
    layer: nn.Linear,
    names: tuple[str, ...],
) -> None:
    def stored(tensor: torch.Tensor) -> NDArray[Any]:
        found: NDArray[Any] = tensor.detach().float().cpu().numpy()
        return found.astype(classifier_dtype(request.dtype))

    said = replace(
        request.metadata,
        dataset=request.metadata.dataset or Path(request.data).name,
        architecture=request.metadata.architecture or request.model,
        class_names=names if len(names) == layer.out_features else None,
    )
    write_checkpoint(
        out,
        splits=splits,
        weight=stored(layer.weight),
        bias=None if layer.bias is None else stored(layer.bias),
        metadata=said,
    )


def _captured(
    model: nn.Module,
    layer: nn.Linear,
    source: Source,
    request: Request,
    place: Path,
    done: Callable[[int, int], None] | None,
    total: int,
) -> tuple[NDArray[Any], ...]:
    count, dtype = len(source.labels), np.dtype(request.dtype)
    kept = [
        np.lib.format.open_memmap(f"{place}-{name}.npy", "w+", dtype, (count, width))
        for name, width in (("features", layer.in_features), ("logits", layer.out_features))
    ]
    row = 0
    seen: list[torch.Tensor] = []
    with inputs_of(layer, seen), torch.inference_mode(), convolutions_for(request.dtype):
        for images in source.batches(request.batch):
            logits = logits_of(model(images.to(request.device)))
            found = (only_input(seen, layer), logits.reshape(len(images), -1))
            for values, memory in zip(found, kept, strict=True):
                memory[row : row + len(images)] = _checked(values, dtype, row)
            row += len(images)
            if done is not None:
                done(len(images), total)
    return kept[0], source.labels, kept[1]


def _checked(values: torch.Tensor, dtype: np.dtype[Any], row: int) -> NDArray[Any]:
    wide = values.float().cpu().numpy()
    with np.errstate(over="ignore"):
        narrow: NDArray[Any] = wide.astype(dtype)
    if np.isfinite(wide).all() and not np.isfinite(narrow).all():
        raise ContentError(f"features overflow {dtype}", remedy="--dtype float32")
    check_finite(narrow, "features or logits", row)
    return narrow
