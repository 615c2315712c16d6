"""The networks: `features(x)` is what the last layer sees, `classifier` is the last layer."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from train.config import Settings

IMAGE_SIDE = 8
_STAGES = 3


class Network(nn.Module):
    """A body that makes features, and a linear classifier with bias on top of them."""

    def __init__(self, body: nn.Module, *, dim: int, num_classes: int) -> None:
        super().__init__()
        self.body = body
        self.classifier = nn.Linear(dim, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """Return the penultimate activations (N, d), past the last ReLU, of images (N, 1, 8, 8)."""
        return cast(Tensor, self.body(images))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, K)."""
        return cast(Tensor, self.classifier(self.features(images)))


def make_network(settings: Settings, *, num_classes: int) -> Network:
    """Return the network of a run, its weights drawn from the run's seed.

    Weights are PyTorch's own initialisation; the global random state is left as it was.
    """
    bodies = {"mlp": mlp_body, "resnet": resnet_body}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        body = bodies[settings.model](width=settings.width, depth=settings.depth)
        return Network(body, dim=settings.width, num_classes=num_classes)


def mlp_body(*, width: int, depth: int) -> nn.Module:
    """`depth` hidden layers of `width`: Linear, BatchNorm, ReLU."""
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise([IMAGE_SIDE**2] + [width] * depth):
        # BatchNorm subtracts the mean: a bias before it would do nothing.
        layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs)]
        layers += [nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def resnet_body(*, width: int, depth: int) -> nn.Module:
    """A small residual network: three stages of width/4, width/2 and width channels.

    `depth` counts the 3x3 convolutions in its blocks, two each, at least one block a stage; the
    image shrinks from 8 to 4 to 2 pixels and is averaged to (N, width).
    """
    blocks = max(_STAGES, depth // 2)
    layers: list[nn.Module] = _convolution(1, width // 4)
    channels = width // 4
    for block in range(blocks):
        outputs = width // 4 * 2 ** (block * _STAGES // blocks)
        layers.append(ResidualBlock(channels, outputs))
        channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; halves the image where it widens (He et al. 2015)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.first = nn.Sequential(*_convolution(inputs, outputs, stride=stride))
        self.second = nn.Sequential(*_convolution(outputs, outputs)[:-1])
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, images: Tensor) -> Tensor:
        """Return images (N, outputs, h, w) of images (N, inputs, H, W)."""
        return torch.relu(self.second(self.first(images)) + self.shortcut(images))


def _convolution(inputs: int, outputs: int, *, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]
