"""What every data set becomes: parts of images and labels, and how pixels are standardised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a data set, in memory."""

    images: NDArray[Any]  # (N, C, H, W): uint8 pixels, or float32 that is standardised already
    labels: NDArray[np.int64]  # (N,), in 0..K-1

    @property
    def count(self) -> int:
        """N, the number of images."""
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """A data set: "train" and "test", and what turns uint8 pixels / 255 into network input.

    A data set too large for memory has no `parts` but `files`, each with its class, to be decoded
    into squares of `side` pixels.
    """

    parts: Mapping[str, Part]
    files: Mapping[str, Sequence[tuple[str, int]]] = field(default_factory=dict)
    side: int = 0
    num_classes: int
    class_names: tuple[str, ...] = ()
    digest: str = ""  # of a folder's files: tells it from another of the same classes
    mean: tuple[float, ...] = ()  # of each channel; () for images that are standardised already
    std: tuple[float, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        if self.files:
            return 3, self.side, self.side
        channels, high, wide = self.parts["train"].images.shape[1:]
        return channels, high, wide
