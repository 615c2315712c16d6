"""Image folders too large for memory: decoded on threads while the network trains on those before.

Where `augment` asks for it, ImageNet's usual augmentation (Szegedy et al. 2015, as torchvision has
it): a random part of the image, 8 to 100 % of its area and 3/4 to 4/3 in shape, scaled to the
square, and with `flip-crop` mirrored half of the time. It follows from the seed, the epoch and the
image alone, as everything that an epoch shows.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from train.config import Settings
from train.data import Images
from train.data.folders import decoded, opened
from train.feed import Plan, Standardiser, planned_rows

AHEAD = 4  # batches that are decoded ahead of the one in use
AREA, SHAPE = (0.08, 1.0), (3 / 4, 4 / 3)
TRIES = 10  # to find a part of the wanted shape inside the image; then the middle
_CUTS = 0x5C  # the stream of random numbers

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]


class StreamedFeed:
    """For files what `train.feed.Feed` is for data in memory."""

    def __init__(self, data: Images, settings: Settings, device: str) -> None:
        self.settings = settings
        self.device = torch.device(device)
        self.standardised = Standardiser(data, device)
        self._files = data.files
        self._side = data.shape[1]
        self._threads = ThreadPoolExecutor(thread_name_prefix="decode")
        self._coming: Iterator[list[int]] = iter(())
        self._begun: deque[tuple[list[int], list[Future[Pixels]]]] = deque()
        self._epoch = 0

    @property
    def counts(self) -> dict[str, int]:
        """How many images each part has."""
        return {name: len(files) for name, files in self._files.items()}

    def plan(self, epoch: int, share: slice) -> Plan:
        """Return what an epoch shows; its batches must then be asked for in their order."""
        for _, left in self._begun:  # of an epoch that was broken off
            for future in left:
                future.cancel()
        rows = planned_rows(self.counts["train"], self.settings, epoch)[:, share]
        self._coming, self._epoch = iter(rows.tolist()), epoch
        self._begun = deque()
        return Plan(rows=rows, cuts=None)

    def batch(self, rows: Tensor, cuts: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return network input and labels of the plan's next rows; raises FormatError."""
        assert cuts is None
        while len(self._begun) <= AHEAD and (some := next(self._coming, None)) is not None:
            begun = [self._threads.submit(self._drawn, row, self._epoch) for row in some]
            self._begun.append((some, begun))
        planned, images = self._begun.popleft()
        assert planned == rows.tolist()
        labels = torch.tensor([self._files["train"][row][1] for row in planned])
        pixels = _stacked([future.result() for future in images])
        return self.standardised(pixels.to(self.device)), labels.to(self.device)

    def blocks(self, part: str, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield network input and labels of a part in order, un-augmented, `size` at a time."""
        files = self._files[part]
        for start in range(0, len(files), size):
            some = files[start : start + size]
            images = list(self._threads.map(lambda one: decoded(one[0], self._side), some))
            yield (
                self.standardised(_stacked(images).to(self.device)),
                torch.tensor([label for _, label in some]),
            )

    def _drawn(self, row: int, epoch: int) -> Pixels:
        file = self._files["train"][row][0]
        if self.settings.augment == "none":
            return decoded(file, self._side)
        rng = np.random.default_rng([self.settings.seed, epoch, _CUTS, row])
        flip = self.settings.augment == "flip-crop"
        return random_part(opened(file), self._side, rng, flip=flip)


def _stacked(images: Sequence[Pixels]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2)))


def random_part(image: Image.Image, side: int, rng: np.random.Generator, *, flip: bool) -> Pixels:
    """Return a random part of an image as (side, side, 3), mirrored half of the time if `flip`."""
    drawn = image.resize((side, side), Image.Resampling.BILINEAR, box=random_box(*image.size, rng))
    pixels = np.asarray(drawn)
    return pixels[:, ::-1] if flip and rng.random() < 0.5 else pixels


def random_box(wide: int, high: int, rng: np.random.Generator) -> Box:
    """Return left, top, right and bottom of a part of an image of wide x high pixels."""
    for _ in range(TRIES):
        area = wide * high * rng.uniform(*AREA)
        shape = math.exp(rng.uniform(math.log(SHAPE[0]), math.log(SHAPE[1])))
        across, down = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < across <= wide and 0 < down <= high:
            left = int(rng.integers(0, wide - across + 1))
            top = int(rng.integers(0, high - down + 1))
            return left, top, left + across, top + down
    side = min(wide, high)
    left, top = (wide - side) // 2, (high - side) // 2
    return left, top, left + side, top + side
