"""The networks: shapes, the seed, and that features and classifier make the logits."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from nccli.errors import UsageError
from train.config import Settings
from train.networks import make_network
from train.networks.chance import Chance, Dropout

MODELS = [
    Settings(width=8, depth=1),
    Settings(width=16, depth=3),
    Settings(model="resnet", width=8, depth=6),
    Settings(model="resnet", width=16, depth=8),
]

DIGIT = (1, 8, 8)


@pytest.fixture
def images():
    return torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("settings", MODELS, ids=lambda settings: settings.architecture)
def test_features_are_the_nonnegative_penultimate_activations(settings, images):
    network = make_network(settings, shape=DIGIT, num_classes=10).eval()
    features = network.features(images)
    assert features.shape == (5, settings.width)
    assert features.min() >= 0
    assert isinstance(network.classifier, nn.Linear)
    assert network.classifier.weight.shape == (10, settings.width)
    assert torch.equal(network(images), network.classifier(features))


@pytest.mark.parametrize("settings", MODELS, ids=lambda settings: settings.architecture)
def test_every_parameter_learns(settings, images):
    network = make_network(settings, shape=DIGIT, num_classes=10)
    network(images).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


@pytest.mark.parametrize("width", [4, 12, 16, 24, 64])
def test_group_norm_of_vectors_lets_images_be_told_apart(width, images):
    """A group of one number is always zero once it is normalised, one of two only a sign."""
    settings = Settings(width=width, depth=1, norm="group")
    network = make_network(settings, shape=DIGIT, num_classes=10)
    features = network.features(images)
    assert (features.detach().std(axis=0) > 1e-2).sum() > width / 2
    assert features.unique().numel() > 2 * width


def test_the_depth_of_an_mlp_counts_its_hidden_layers():
    network = make_network(Settings(width=8, depth=4), shape=DIGIT, num_classes=10)
    assert sum(isinstance(layer, nn.Linear) for layer in network.body) == 4


def test_a_deeper_resnet_has_more_blocks():
    shallow, deep = (
        make_network(Settings(model="resnet", width=8, depth=depth), shape=DIGIT, num_classes=10)
        for depth in (6, 12)
    )
    convolutions = [
        sum(isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3) for layer in net.modules())
        for net in (shallow, deep)
    ]
    assert convolutions == [1 + 6, 1 + 12]


def test_the_seed_alone_decides_the_weights_and_the_global_state_is_left_alone():
    first = make_network(Settings(width=8), shape=DIGIT, num_classes=10).state_dict()
    before = torch.random.get_rng_state()
    same = make_network(Settings(width=8), shape=DIGIT, num_classes=10).state_dict()
    other = make_network(Settings(width=8, seed=1), shape=DIGIT, num_classes=10).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])


# --- torchvision's networks, and the transformer ------------------------------------------------

COLOUR = (3, 32, 32)


def of(model, *, shape=COLOUR, num_classes=7, **changes):
    data = "shapes" if shape[0] == 3 else "digits"
    settings = Settings(data=data, model=model, batch_size=2, **changes)
    return make_network(settings, shape=shape, num_classes=num_classes)


def some_images(shape, count=3):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("model", "dim"),
    [
        ("resnet18", 512),
        ("resnet34", 512),
        ("resnet50", 2048),
        ("vit", 192),
        ("torchvision:vit_b_16", 768),
        ("torchvision:convnext_tiny", 768),
        ("torchvision:efficientnet_b0", 1280),
        ("torchvision:densenet121", 1024),
    ],
)
def test_features_are_the_input_of_the_classifier_as_a_hook_sees_it(model, dim):
    network = of(model).eval()
    seen = []
    network.classifier.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        logits = network(some_images(COLOUR))
        features = network.features(some_images(COLOUR))
    assert torch.equal(seen[0], features)
    assert features.shape == (3, dim)
    assert logits.shape == (3, 7)
    assert torch.equal(logits, network.classifier(features))


@pytest.mark.parametrize("model", ["resnet18", "resnet50"])
@pytest.mark.parametrize("shape", [COLOUR, (1, 28, 28), (3, 96, 96)])
def test_the_papers_stem_keeps_every_pixel(model, shape):
    """3 x 3, stride 1, no max-pooling: torchvision's own otherwise, layer by layer."""
    network = of(model, shape=shape)
    own = getattr(torchvision.models, model)(num_classes=7)
    stem = network.body.conv1
    assert (stem.kernel_size, stem.stride, stem.padding) == ((3, 3), (1, 1), (1, 1))
    assert stem.in_channels == shape[0]
    assert isinstance(network.body.maxpool, nn.Identity)
    names = {name for name, _ in own.named_parameters()} - {"fc.weight", "fc.bias"}
    assert {name for name, _ in network.body.named_parameters()} == names
    assert network.body.layer1(network.body.bn1(stem(some_images(shape)))).shape[2:] == shape[1:]


def test_a_torchvision_network_keeps_its_own_stem_when_named_so():
    assert of("torchvision:resnet18").body.conv1.kernel_size == (7, 7)


def test_grey_images_go_into_a_network_for_colours():
    network = of("torchvision:resnet18", shape=DIGIT).eval()
    assert network.features(some_images(DIGIT)).shape == (3, 512)


@pytest.mark.parametrize("model", ["mlp", "resnet", "resnet18"])
def test_group_norm_replaces_every_batch_norm(model):
    network = of(model, norm="group")
    kinds = {type(module).__name__ for module in network.modules()}
    assert "GroupNorm" in kinds
    assert not any("BatchNorm" in kind for kind in kinds)
    alone = network.train().features(some_images(COLOUR, 1))
    torch.testing.assert_close(network.features(some_images(COLOUR, 3))[:1], alone)


@pytest.mark.parametrize("shape", [COLOUR, DIGIT])
def test_the_transformer_learns_in_every_parameter(shape):
    network = of("vit", shape=shape, width=24, depth=2)
    network(some_images(shape)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_the_transformer_sees_where_a_patch_lies():
    network = of("vit", width=24, depth=2).eval()
    images = some_images(COLOUR)
    moved = images.roll(8, dims=3)
    assert not torch.allclose(network.features(images), network.features(moved), atol=1e-3)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("torchvision:resnet81", r"no classifier 'resnet81'; did you mean 'resnet18'\?"),
        ("torchvision:zzz", "no classifier 'zzz'; its documentation lists them"),
        ("torchvision:squeezenet1_0", "does not end in a linear classifier"),
        ("torchvision:inception_v3", "cannot take images of 3 x 32 x 32"),
    ],
)
def test_a_network_that_cannot_be_used_is_refused_with_its_reason(model, message):
    with pytest.raises(UsageError, match=message):
        of(model)


def test_a_network_that_cannot_be_made_for_so_small_images_is_refused():
    with pytest.raises(UsageError, match="vit_b_16 cannot be made for images of 8 pixels"):
        of("torchvision:vit_b_16", shape=DIGIT)


def test_chance_in_torchvisions_networks_is_the_runs_own():
    """Stochastic depth and dropout: the same for a seed and epoch, whatever was drawn before."""
    first, again = of("torchvision:convnext_tiny"), of("torchvision:convnext_tiny")
    kinds = {type(module).__name__ for module in first.modules()}
    assert "StochasticDepth" not in kinds
    images = some_images(COLOUR)
    again(images)
    outputs = []
    for network in (first, again):
        torch.manual_seed(len(outputs))
        network.train().chance.start(4)
        outputs.append(network(images).detach())
    assert torch.equal(*outputs)
    first.chance.start(5)
    assert not torch.equal(first(images), outputs[0])


def test_dropout_keeps_the_mean_and_drops_its_share():
    layer = Dropout(0.25, Chance(0))
    ones = torch.ones(400, 50)
    found = layer(ones)
    assert (found == 0).float().mean() == pytest.approx(0.25, abs=0.01)
    assert found.mean() == pytest.approx(1, abs=0.02)
    assert torch.equal(layer.eval()(ones), ones)
    by_sample = Dropout(0.5, Chance(0), by_sample=True)(ones)
    assert set(by_sample.mean(dim=1).tolist()) == {0.0, 2.0}
