"""Batches of images, ready for the network, of a known data set or of image folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nccli.errors import UsageError
from train.catalogue import DATA_SETS
from train.data.folders import decoded, samples
from train.data.images import Part
from train.data.loading import load_data
from train.presets import make_settings

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """How images are prepared: scaled to `resize`, cut to `size`, standardised."""

    resize: int = 256
    size: int = 224
    mean: tuple[float, ...] | None = None  # None: the data set's, or ImageNet's of folders
    std: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One split: its labels, and its images when asked for."""

    labels: NDArray[np.int64]
    names: tuple[str, ...]  # of the classes
    mean: tuple[float, ...]
    std: tuple[float, ...]
    images: NDArray[np.uint8] | NDArray[np.float32] | None = None  # (N, C, H, W)
    files: Sequence[str] = ()
    pixels: Pixels = Pixels()

    def batches(self, size: int) -> Iterator[Tensor]:
        """Yield float32 images (n, C, H, W), standardised, in order."""
        with ThreadPoolExecutor() as threads:
            for start in range(0, len(self.labels), size):
                if self.images is not None:
                    found = self.images[start : start + size]
                else:
                    files = self.files[start : start + size]
                    found = np.stack(list(threads.map(self._decoded, files)))
                yield self._standardised(torch.from_numpy(np.ascontiguousarray(found)))

    def _decoded(self, file: str) -> NDArray[np.uint8]:
        whole, cut = self.pixels.resize, self.pixels.size
        start = (whole - cut) // 2
        image = decoded(file, whole)[start : start + cut, start : start + cut]
        return image.transpose(2, 0, 1)

    def _standardised(self, images: Tensor) -> Tensor:
        if images.dtype != torch.uint8:
            return images.float()
        shape = (1, -1, 1, 1)
        mean, std = torch.tensor(self.mean).view(shape), torch.tensor(self.std).view(shape)
        return (images.float() / 255 - mean) / std


def open_source(data: str, split: str, *, root: Path, pixels: Pixels) -> Source:
    """Return a split of a data set by name, or of a folder with train/CLASS/*.jpg, val/...

    Raises UsageError on an unknown name, InputError where files are missing or damaged.
    """
    if split not in ("train", "test"):
        raise UsageError(f"unknown split '{split}'", remedy="train, test, or both by a comma")
    if pixels.size > pixels.resize:
        raise UsageError(f"--size {pixels.size} is above --resize {pixels.resize}")
    if data not in DATA_SETS:
        if not Path(data).is_dir():
            raise UsageError(
                f"'{data}' is neither a folder nor a data set",
                remedy=f"a folder with train/CLASS/*.jpg, or one of: {', '.join(DATA_SETS)}",
            )
        listed, names = samples(Path(data), split)
        return _of_files(listed, names, pixels)
    found = load_data(make_settings(data=data), root=root)
    if found.files:
        return _of_files(list(found.files[split]), list(found.class_names), pixels)
    part: Part = found.parts[split]
    return Source(
        labels=part.labels,
        names=found.class_names,
        mean=pixels.mean or found.mean,
        std=pixels.std or found.std,
        images=part.images,
    )


def _of_files(listed: Sequence[tuple[str, int]], names: Sequence[str], pixels: Pixels) -> Source:
    return Source(
        labels=np.array([label for _, label in listed], np.int64),
        names=tuple(names),
        mean=pixels.mean or IMAGENET_MEAN,
        std=pixels.std or IMAGENET_STD,
        files=[file for file, _ in listed],
        pixels=pixels,
    )
