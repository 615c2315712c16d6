"""CIFAR, STL-10, MNIST and SVHN through torchvision's own data sets, wholly in memory."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torchvision import datasets
from torchvision.datasets.utils import check_integrity

from nccli.errors import FormatError, NotFoundError
from train.data.images import Part

SVHN_FILES = ("train", "test")


class LabelledSTL10(datasets.STL10):  # type: ignore[misc]  # torchvision is untyped
    """STL-10 without the 2.6 GB of images that have no labels: nobody needs them here."""

    train_list = datasets.STL10.train_list[:2]


Opened = tuple[NDArray[Any], NDArray[Any], list[str]]  # images, labels, names of the classes


def load_vision(name: str, root: Path, *, download: bool) -> tuple[dict[str, Part], list[str]]:
    """Return the parts of a data set and its classes' names.

    Files are checked against their known hashes before they are opened (CIFAR's are pickles).
    Raises NotFoundError that lists the files that are missing, FormatError on damaged ones.
    """
    if not download:
        _check_files(name, root)
    try:
        opened = {part: _OPENERS[name](root, part, download) for part in ("train", "test")}
    except OSError as error:  # what urllib raises is one too
        verb = "download" if download else "read"
        raise NotFoundError(
            f"cannot {verb} {name} ({error})", source=root, remedy=_remedy(name)
        ) from None
    except Exception as error:  # noqa: BLE001 (a damaged file makes its reader raise anything)
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FormatError(
            f"cannot be read as {name} ({reason})", source=root, remedy="download it again"
        ) from None
    parts = {
        part: Part(images=np.ascontiguousarray(images), labels=np.asarray(labels, np.int64))
        for part, (images, labels, _) in opened.items()
    }
    return parts, opened["train"][2]


def _cifar(kind: Any) -> Callable[[Path, str, bool], Opened]:
    def opened(root: Path, part: str, download: bool) -> Opened:
        found = kind(root, train=part == "train", download=download)
        return found.data.transpose(0, 3, 1, 2), np.array(found.targets), list(found.classes)

    return opened


def _stl10(root: Path, part: str, download: bool) -> Opened:
    kind = datasets.STL10 if download else LabelledSTL10
    found = kind(root, split=part, download=download)
    return found.data, found.labels, list(getattr(found, "classes", []))


def _mnist(kind: Any) -> Callable[[Path, str, bool], Opened]:
    def opened(root: Path, part: str, download: bool) -> Opened:
        found = kind(root, train=part == "train", download=download)
        return found.data[:, None].numpy(), found.targets.numpy(), list(found.classes)

    return opened


def _svhn(root: Path, part: str, download: bool) -> Opened:
    found = datasets.SVHN(root, split=part, download=download)
    return found.data, found.labels, [str(digit) for digit in range(10)]


_OPENERS = {
    "cifar10": _cifar(datasets.CIFAR10),
    "cifar100": _cifar(datasets.CIFAR100),
    "stl10": _stl10,
    "mnist": _mnist(datasets.MNIST),
    "fashion-mnist": _mnist(datasets.FashionMNIST),
    "svhn": _svhn,
}


# --- which files are expected -------------------------------------------------------------------


def expected_files(name: str) -> list[tuple[str, str | None]]:
    """Return (path below the data root, MD5 or None) of every file that a data set needs."""
    if name in ("cifar10", "cifar100"):
        kind = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
        listed = [*kind.train_list, *kind.test_list, [kind.meta["filename"], kind.meta["md5"]]]
        return [(f"{kind.base_folder}/{file}", md5) for file, md5 in listed]
    if name == "stl10":
        listed = [*LabelledSTL10.train_list, *LabelledSTL10.test_list]
        return [(f"{LabelledSTL10.base_folder}/{file}", md5) for file, md5 in listed]
    if name == "svhn":
        split = datasets.SVHN.split_list
        return [(split[part][1], split[part][2]) for part in SVHN_FILES]
    folder = "MNIST" if name == "mnist" else "FashionMNIST"
    pieces = itertools.product(("train", "t10k"), ("images-idx3", "labels-idx1"))
    return [(f"{folder}/raw/{part}-{kind}-ubyte", None) for part, kind in pieces]


def check_present(name: str, root: Path) -> None:
    """Raise NotFoundError that lists the files of a data set that are missing."""
    expected = expected_files(name)
    missing = [file for file, _ in expected if not (root / file).is_file()]
    if missing:
        some = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if missing[3:] else "")
        raise NotFoundError(
            f"{len(missing)} of the {len(expected)} files of {name} are not here: {some}",
            source=root,
            remedy=_remedy(name),
        )


def _check_files(name: str, root: Path) -> None:
    check_present(name, root)
    for file, md5 in expected_files(name):
        if md5 is not None and not check_integrity(os.fspath(root / file), md5):
            raise FormatError(
                f"is damaged, or is not {name}'s (its MD5 is not {md5})",
                source=root / file,
                remedy="remove it and download it again",
            )


def _remedy(name: str) -> str:
    return f"--data-root names the folder that holds them; --download fetches {name}"
