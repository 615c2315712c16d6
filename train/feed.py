"""Batches from a data set that lies wholly on the device: no loader, no copy, no wait.

What an epoch shows follows from the seed and the epoch alone: the order, and where each image is
cut. Both are drawn on the CPU, so that every device and every way of stepping sees the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from train.config import Settings
from train.data import Images, Part

PAD = 4  # pixels of black around an image before it is cut; the paper's option
_CUTS = 0xA6  # the stream of random numbers for augmentation


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an epoch shows: (batches, B) rows of the data, and how each image is cut."""

    rows: Tensor  # int64, on the device
    cuts: Tensor | None  # (batches, B, 3) int64: down, right, whether mirrored

    @property
    def batches(self) -> int:
        """How many steps the epoch has."""
        return len(self.rows)


class Standardiser:
    """Turns uint8 pixels (N, C, H, W) into network input; leaves alone what is that already."""

    def __init__(self, data: Images, device: str) -> None:
        scale = [1 / (255 * std) for std in data.std]
        shift = [mean / std for mean, std in zip(data.mean, data.std, strict=True)]
        self.scale = torch.tensor(scale, device=device).view(1, -1, 1, 1)
        self.shift = torch.tensor(shift, device=device).view(1, -1, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        """Return images in float32, each channel with about mean 0 and deviation 1."""
        if images.dtype != torch.uint8:
            return images
        return images.float() * self.scale - self.shift


class AnyFeed(Protocol):
    """Where batches come from: memory here, files in `train.streamed`."""

    standardised: Standardiser

    @property
    def device(self) -> torch.device:
        """Where the batches lie."""

    @property
    def counts(self) -> Mapping[str, int]:
        """How many images each part has."""

    def plan(self, epoch: int, share: slice) -> Plan:
        """Return what an epoch (from 1) shows: every image once, a last partial batch dropped.

        share: which places of every batch, where several processes have one each.
        """

    def batch(self, rows: Tensor, cuts: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return network input (B, C, H, W) and labels (B,) of the rows (B,) of the data."""

    def blocks(self, part: str, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield network input and labels of a part in order, un-augmented, `size` at a time."""


class Feed:
    """The parts of a data set on a device, and the batches of its training part."""

    def __init__(self, data: Images, settings: Settings, device: str) -> None:
        self.settings = settings
        self.standardised = Standardiser(data, device)
        self.parts = {name: _on_device(part, device) for name, part in data.parts.items()}

    @property
    def device(self) -> torch.device:
        """Where the data lie."""
        return self.parts["train"][0].device

    @property
    def counts(self) -> dict[str, int]:
        """How many images each part has."""
        return {name: len(labels) for name, (_, labels) in self.parts.items()}

    def plan(self, epoch: int, share: slice) -> Plan:
        """Return what an epoch shows."""
        rows = planned_rows(self.counts["train"], self.settings, epoch)
        cuts = None
        if self.settings.augment != "none":
            drawn = random_cuts(rows.numel(), seed=self.settings.seed, epoch=epoch)
            if self.settings.augment == "crop":
                drawn[:, 2] = 0
            cuts = drawn.view(*rows.shape, 3)[:, share].to(self.device)
        return Plan(rows=rows[:, share].to(self.device), cuts=cuts)

    def batch(self, rows: Tensor, cuts: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return network input and labels of rows of the data."""
        images, labels = self.parts["train"]
        chosen = images[rows]
        if cuts is not None:
            chosen = cut(chosen, cuts)
        return self.standardised(chosen), labels[rows]

    def blocks(self, part: str, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield network input and labels of a part."""
        images, labels = self.parts[part]
        for block, some in zip(torch.split(images, size), torch.split(labels, size), strict=True):
            yield self.standardised(block), some


def planned_rows(count: int, settings: Settings, epoch: int) -> Tensor:
    """Return (batches, B) rows of `count` in the order of an epoch, on the CPU."""
    size = settings.batch_size
    order = shuffled(count, seed=settings.seed, epoch=epoch)
    return order[: count // size * size].view(-1, size)


def cut(images: Tensor, cuts: Tensor) -> Tensor:
    """Return images (B, C, H, W), each moved by up to PAD pixels over black, some mirrored."""
    count, channels, high, wide = images.shape
    device = images.device
    padded = torch.nn.functional.pad(images, (PAD, PAD, PAD, PAD))
    down, right, mirrored = (cuts[:, at].view(-1, 1, 1, 1) for at in range(3))
    rows = down + torch.arange(high, device=device).view(1, 1, -1, 1)
    columns = torch.arange(wide, device=device).view(1, 1, 1, -1)
    columns = right + torch.where(mirrored.bool(), wide - 1 - columns, columns)
    sample = torch.arange(count, device=device).view(-1, 1, 1, 1)
    channel = torch.arange(channels, device=device).view(1, -1, 1, 1)
    return padded[sample, channel, rows, columns]


def shuffled(count: int, *, seed: int, epoch: int) -> Tensor:
    """Return the order (count,) in which an epoch sees its samples; depends on nothing else."""
    return torch.randperm(count, generator=_generator(seed, epoch))


def random_cuts(count: int, *, seed: int, epoch: int) -> Tensor:
    """Return (count, 3): how far down and right each image is cut, in 0..2*PAD, and 1 to mirror."""
    generator = _generator(seed, epoch, _CUTS)
    moves = torch.randint(0, 2 * PAD + 1, (count, 2), generator=generator)
    return torch.cat([moves, torch.randint(0, 2, (count, 1), generator=generator)], dim=1)


def _generator(*words: int) -> torch.Generator:
    mixed = int(np.random.SeedSequence(list(words)).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(mixed)


def _on_device(part: Part, device: str) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(part.images).to(device), torch.from_numpy(part.labels).to(device)
