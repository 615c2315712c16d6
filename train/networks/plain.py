"""The networks for a laptop: a multilayer perceptron, and a small residual network."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

STAGES = 3
MOST_GROUPS = 32  # of GroupNorm (Wu & He 2018)
SMALLEST_GROUP = 16  # numbers of a vector that are normalised together


def group_norm(channels: int, *, most: int = MOST_GROUPS) -> nn.GroupNorm:
    """Return GroupNorm with at most 32 groups, as many as divide the channels."""
    groups = next(g for g in range(min(most, channels), 0, -1) if channels % g == 0)
    return nn.GroupNorm(groups, channels)


def norm_1d(kind: str, width: int) -> nn.Module:
    """Return the normalisation of vectors: `batch` or `group`."""
    if kind == "batch":
        return nn.BatchNorm1d(width)
    # of one or two numbers, a group's normalised values say nothing of the input, or just a sign
    return group_norm(width, most=max(1, min(MOST_GROUPS, width // SMALLEST_GROUP)))


def norm_2d(kind: str, channels: int) -> nn.Module:
    """Return the normalisation of feature maps: `batch` or `group`."""
    return nn.BatchNorm2d(channels) if kind == "batch" else group_norm(channels)


def mlp_body(*, inputs: int, width: int, depth: int, norm: str = "batch") -> nn.Module:
    """`depth` hidden layers of `width`: Linear, norm, ReLU."""
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise([inputs] + [width] * depth):
        # The norm subtracts the mean: a bias before it would do nothing.
        layers += [nn.Linear(before, after, bias=False), norm_1d(norm, after)]
        layers += [nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def resnet_body(*, channels: int, width: int, depth: int, norm: str = "batch") -> nn.Module:
    """A small residual network: three stages of width/4, width/2 and width channels.

    `depth` counts the 3x3 convolutions in its blocks, two each, at least one block a stage; the
    image's side halves twice and is averaged to (N, width).
    """
    blocks = depth // 2
    before = width // 4
    layers: list[nn.Module] = _convolution(channels, before, norm=norm)
    for block in range(blocks):
        after = width // 4 * 2 ** (block * STAGES // blocks)
        layers.append(ResidualBlock(before, after, norm=norm))
        before = after
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; halves the image where it widens (He et al. 2015)."""

    def __init__(self, inputs: int, outputs: int, *, norm: str = "batch") -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.first = nn.Sequential(*_convolution(inputs, outputs, stride=stride, norm=norm))
        self.second = nn.Sequential(*_convolution(outputs, outputs, norm=norm)[:-1])
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), norm_2d(norm, outputs)
            )

    def forward(self, images: Tensor) -> Tensor:
        """Return images (N, outputs, h, w) of images (N, inputs, H, W)."""
        return torch.relu(self.second(self.first(images)) + self.shortcut(images))


def _convolution(
    inputs: int, outputs: int, *, stride: int = 1, norm: str = "batch"
) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        norm_2d(norm, outputs),
        nn.ReLU(inplace=True),
    ]
