"""Networks of torchvision: any classifier by name, cut in front of its last linear layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torchvision import models

from nccli.errors import UsageError
from train.networks.network import Network, Shape
from train.networks.plain import group_norm
from train.words import nearest

PROBE = 2  # images of the trial pass; BatchNorm needs two where a feature map has one pixel


def vision_parts(
    name: str, *, shape: Shape, num_classes: int, small_stem: bool, norm: str
) -> tuple[nn.Module, nn.Linear]:
    """Return (body, classifier) of a torchvision classifier with random weights.

    small_stem: as the paper has its ResNets for every image size: a 3 x 3 convolution of stride
    1 first, and no max-pooling. Grey images go in as three equal channels, or as one where the
    stem is made anew.

    Raises UsageError on an unknown name, and on a network that does not end in a linear layer.
    """
    network = _build(name, shape[1], num_classes, norm)
    if small_stem:
        network.conv1 = nn.Conv2d(shape[0], 64, 3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        network.maxpool = nn.Identity()
    classifier = _cut(network, name, num_classes)
    body = network if small_stem or shape[0] == 3 else nn.Sequential(ThreeChannels(), network)
    return body, classifier


class ThreeChannels(nn.Module):
    """A grey image as a colour image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (N, 3, H, W) of (N, 1, H, W)."""
        return images.expand(-1, 3, -1, -1)


def _build(name: str, side: int, num_classes: int, norm: str) -> Any:
    known = models.list_models(module=models)
    if name not in known:
        near = nearest(name, known).split("?")[0]
        raise UsageError(
            f"torchvision has no classifier '{name}'",
            remedy=f"{near}?" if "mean" in near else "its documentation lists them",
        )
    options: dict[str, Any] = {"num_classes": num_classes}
    if name.startswith("vit_"):
        options["image_size"] = side
    if name in ("googlenet", "inception_v3"):
        options |= {"aux_logits": False, "init_weights": True}
    if norm == "group":
        options["norm_layer"] = group_norm
    try:
        return models.get_model(name, weights=None, **options)
    except (ValueError, TypeError, RuntimeError, AssertionError) as error:
        raise UsageError(
            f"torchvision's {name} cannot be made for images of {side} pixels ({error})",
            remedy="choose another --model",
        ) from None


def _cut(network: nn.Module, name: str, num_classes: int) -> nn.Linear:
    """Take the last linear layer out of a network, leaving its input as the output."""
    path, last = [(p, m) for p, m in network.named_modules() if not list(m.children())][-1]
    if not isinstance(last, nn.Linear) or last.out_features != num_classes:
        raise UsageError(
            f"torchvision's {name} does not end in a linear classifier", remedy="choose another"
        )
    parent, _, child = path.rpartition(".")
    setattr(network.get_submodule(parent), child, nn.Identity())
    return last


def check_forward(network: Network, name: str, shape: Shape) -> None:
    """Raise UsageError where a network cannot take images of this shape."""
    reason = ""
    try:
        with torch.inference_mode():
            features = network.eval().features(torch.zeros(PROBE, *shape))
        if features.shape != (PROBE, network.classifier.in_features):
            reason = f"features of shape {tuple(features.shape[1:])}"
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
    if reason:
        raise UsageError(
            f"{name} cannot take images of {shape[0]} x {shape[1]} x {shape[2]} ({reason})",
            remedy="choose a --model for small images: resnet18, vit",
        )
    network.train()
