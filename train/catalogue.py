"""The data sets and networks that can be named, and what each needs; free of torch.

Sources: image counts and sizes are the data sets' own. Means and standard deviations of the
channels are those in general use; STL-10 takes CIFAR-10's, as the paper's protocol does.
"""

from __future__ import annotations

from dataclasses import dataclass

from nccli.errors import UsageError
from train.words import nearest

Channels = tuple[float, ...]

_CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
_CIFAR100 = ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """A data set: images (channels, side, side), classes, and how many images each part has."""

    channels: int
    side: int
    num_classes: int  # 0: the folders tell
    train_count: int  # 0: the files tell
    test_count: int
    mean: Channels = ()  # of each channel, of pixels in [0, 1]; (): standardised already
    std: Channels = ()
    most_classes: int = 0  # of a generated set: num_classes may be chosen up to it
    shipped: bool = False
    download: bool = False  # whether torchvision can fetch it

    @property
    def has_files(self) -> bool:
        """Whether it is read from --data-root."""
        return not (self.shipped or self.most_classes)


def _facts(
    shape: tuple[int, int],
    num_classes: int,
    counts: tuple[int, int],
    scale: tuple[Channels, Channels],
    *,
    download: bool = True,
) -> DataFacts:
    return DataFacts(
        channels=shape[0],
        side=shape[1],
        num_classes=num_classes,
        train_count=counts[0],
        test_count=counts[1],
        mean=scale[0],
        std=scale[1],
        download=download,
    )


DATA_SETS = {
    "digits": DataFacts(
        channels=1, side=8, num_classes=10, train_count=1_000, test_count=797, shipped=True
    ),
    "shapes": DataFacts(
        channels=3,
        side=32,
        num_classes=10,
        train_count=50_000,
        test_count=10_000,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        most_classes=100,
    ),
    "cifar10": _facts((3, 32), 10, (50_000, 10_000), _CIFAR10),
    "cifar100": _facts((3, 32), 100, (50_000, 10_000), _CIFAR100),
    "stl10": _facts((3, 96), 10, (5_000, 8_000), _CIFAR10),
    "mnist": _facts((1, 28), 10, (60_000, 10_000), ((0.1307,), (0.3081,))),
    "fashion-mnist": _facts((1, 28), 10, (60_000, 10_000), ((0.2860,), (0.3530,))),
    "svhn": _facts(
        (3, 32), 10, (73_257, 26_032), ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970))
    ),
    "tiny-imagenet": _facts((3, 64), 200, (100_000, 10_000), _IMAGENET, download=False),
    "imagenet": _facts((3, 224), 1_000, (0, 0), _IMAGENET, download=False),
    "image-folder": _facts((3, 224), 0, (0, 0), _IMAGENET, download=False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFacts:
    """A network: the sizes it has where none are given, 0 where it has its own and no choice."""

    width: int = 0  # d, the number of features
    depth: int = 0
    divisor: int = 1  # of the width
    reason: str = ""  # why the width must be divisible
    shallowest: int = 1
    layers_a_block: int = 1  # the depth is a multiple of it
    norms: tuple[str, ...] = ("batch", "group")


NETWORKS = {
    "mlp": NetworkFacts(width=128, depth=6),
    "resnet": NetworkFacts(
        width=128,
        depth=6,
        divisor=4,
        reason="its three stages have width/4, width/2 and width channels",
        shallowest=6,
        layers_a_block=2,
    ),
    "resnet18": NetworkFacts(),
    "resnet34": NetworkFacts(),
    "resnet50": NetworkFacts(),
    "vit": NetworkFacts(
        width=192, depth=6, divisor=8, reason="attention has heads of 32 or 8", norms=("batch",)
    ),
}
TORCHVISION = "torchvision:"  # and the name of one of its classifiers
_TORCHVISION_FACTS = NetworkFacts(norms=("batch",))


def data_facts(name: str) -> DataFacts:
    """Return the facts of a data set; raises UsageError on an unknown one."""
    if name not in DATA_SETS:
        raise UsageError(f"unknown data '{name}'", remedy=nearest(name, (*DATA_SETS, "ufm")))
    return DATA_SETS[name]


def network_facts(name: str) -> NetworkFacts:
    """Return the facts of a network; raises UsageError on an unknown one.

    Of `torchvision:NAME` only torchvision knows whether it exists.
    """
    if name.startswith(TORCHVISION) and len(name) > len(TORCHVISION):
        return _TORCHVISION_FACTS
    if name not in NETWORKS:
        choices = (*NETWORKS, f"{TORCHVISION}NAME")
        raise UsageError(f"unknown model '{name}'", remedy=nearest(name, choices))
    return NETWORKS[name]
