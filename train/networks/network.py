"""A network of any kind as a body and a linear classifier on top of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from train.catalogue import TORCHVISION
from train.config import Settings
from train.networks.chance import Chance, Dropout, with_own_chance
from train.networks.plain import mlp_body, resnet_body
from train.networks.vit import vit_body

Shape = tuple[int, int, int]  # (C, H, W) of an image

_DRAWING = threading.Lock()  # torch's random state is one for all threads


class Network(nn.Module):
    """A body that makes features, and a linear classifier with bias on top of them.

    `body` maps images (N, C, H, W) to the classifier's input, `classifier` is an `nn.Linear` from
    d features to K logits. Dropout, where there is any, lies between the two; it is off in eval
    mode, so that captured features are never masked.
    """

    def __init__(
        self, body: nn.Module, classifier: nn.Linear, *, chance: Chance, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.body = body
        self.classifier = classifier
        self.dropout = Dropout(dropout, chance) if dropout else nn.Identity()
        self.chance = chance

    def features(self, images: Tensor) -> Tensor:
        """Return the penultimate activations (N, d) of images (N, C, H, W)."""
        return cast(Tensor, self.body(images))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, K)."""
        return self.both(images)[1]

    def both(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and logits of one pass."""
        features = self.features(images)
        return features, self.classifier(self.dropout(features))


def make_network(settings: Settings, *, shape: Shape, num_classes: int) -> Network:
    """Return the network of a run, its weights drawn from the run's seed.

    Weights are PyTorch's own initialisation; the global random state is left as it was.
    Raises UsageError on a network that torchvision does not have, or that cannot take the images.
    """
    chance = Chance(settings.seed)
    with _DRAWING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        body, classifier = _parts(settings, shape, num_classes)
    body = with_own_chance(body, chance)
    network = Network(body, classifier, chance=chance, dropout=settings.dropout)
    if _is_torchvisions(settings.model):
        from train.networks.vision import check_forward

        check_forward(network, settings.model, shape)
    return network


def _is_torchvisions(model: str) -> bool:
    return model not in _BODIES


def _parts(settings: Settings, shape: Shape, num_classes: int) -> tuple[nn.Module, nn.Linear]:
    if _is_torchvisions(settings.model):
        # Deferred: torchvision costs a second.
        from train.networks.vision import vision_parts

        name = settings.model.removeprefix(TORCHVISION)
        cut = settings.model == name  # resnet18, not torchvision:resnet18
        return vision_parts(
            name, shape=shape, num_classes=num_classes, small_stem=cut, norm=settings.norm
        )
    body = _BODIES[settings.model](settings, shape)
    return body, nn.Linear(settings.width, num_classes)


_BODIES: dict[str, Callable[[Settings, Shape], nn.Module]] = {
    "mlp": lambda settings, shape: mlp_body(
        inputs=shape[0] * shape[1] * shape[2],
        width=settings.width,
        depth=settings.depth,
        norm=settings.norm,
    ),
    "resnet": lambda settings, shape: resnet_body(
        channels=shape[0], width=settings.width, depth=settings.depth, norm=settings.norm
    ),
    "vit": lambda settings, shape: vit_body(
        shape=shape, width=settings.width, depth=settings.depth
    ),
}
