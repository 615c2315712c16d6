"""The networks: shapes, the seed, and that features and classifier make the logits."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from train.config import Settings
from train.models import make_network

MODELS = [
    Settings(width=8, depth=1),
    Settings(width=16, depth=3),
    Settings(model="resnet", width=8, depth=2),
    Settings(model="resnet", width=16, depth=8),
]


@pytest.fixture
def images():
    return torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("settings", MODELS, ids=lambda settings: settings.architecture)
def test_features_are_the_nonnegative_penultimate_activations(settings, images):
    network = make_network(settings, num_classes=10).eval()
    features = network.features(images)
    assert features.shape == (5, settings.width)
    assert features.min() >= 0
    assert isinstance(network.classifier, nn.Linear)
    assert network.classifier.weight.shape == (10, settings.width)
    assert torch.equal(network(images), network.classifier(features))


@pytest.mark.parametrize("settings", MODELS, ids=lambda settings: settings.architecture)
def test_every_parameter_learns(settings, images):
    network = make_network(settings, num_classes=10)
    network(images).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_the_depth_of_an_mlp_counts_its_hidden_layers():
    network = make_network(Settings(width=8, depth=4), num_classes=10)
    assert sum(isinstance(layer, nn.Linear) for layer in network.body) == 4


def test_a_deeper_resnet_has_more_blocks():
    shallow, deep = (
        make_network(Settings(model="resnet", width=8, depth=depth), num_classes=10)
        for depth in (6, 12)
    )
    convolutions = [
        sum(isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3) for layer in net.modules())
        for net in (shallow, deep)
    ]
    assert convolutions == [1 + 6, 1 + 12]


def test_the_seed_alone_decides_the_weights_and_the_global_state_is_left_alone():
    first = make_network(Settings(width=8), num_classes=10).state_dict()
    before = torch.random.get_rng_state()
    same = make_network(Settings(width=8), num_classes=10).state_dict()
    other = make_network(Settings(width=8, seed=1), num_classes=10).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])
