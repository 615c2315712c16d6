"""Data sets by name: the same parts whatever they come from."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nccli.errors import FormatError, UsageError
from train.catalogue import DataFacts, data_facts
from train.config import Settings
from train.data.images import Images, Part
from train.digits import load_digits

FOLDERS = ("tiny-imagenet", "imagenet", "image-folder")
DEFAULT_ROOT = Path("data")
STREAM_BYTES = 8 * 2**30  # decoded images of a folder, from which on they are not kept in memory

_DRAWING = threading.Lock()


def load_data(settings: Settings, *, root: Path = DEFAULT_ROOT, download: bool = False) -> Images:
    """Return the data set of a run, with as many training images as its settings ask for.

    Raises NotFoundError where files are missing (it says which), FormatError on damaged ones, and
    UsageError where what is there does not suit the settings.
    """
    facts = data_facts(settings.data)
    if settings.data == "digits":
        parts = {
            name: Part(images=part.images, labels=part.labels)
            for name, part in load_digits(pixel_noise=settings.pixel_noise).items()
        }
        names = tuple(str(digit) for digit in range(facts.num_classes))
        found = Images(parts=parts, num_classes=facts.num_classes, class_names=names)
    elif settings.data == "shapes":
        return _shapes(settings, facts)
    else:
        found = _from_files(settings, facts, root, download)
    _check(found, settings, root)
    return _fewer(found, settings.train_count)


def _shapes(settings: Settings, facts: DataFacts) -> Images:
    count = settings.train_count or facts.train_count
    test_count = facts.test_count * count // facts.train_count
    with _DRAWING:  # runs side by side in threads wait for one drawing, and share it
        return _drawn_shapes(settings.num_classes, count, max(test_count, 2 * settings.num_classes))


@lru_cache(maxsize=1)  # ten seconds and 180 MB: once for all runs of a process
def _drawn_shapes(num_classes: int, train_count: int, test_count: int) -> Images:
    from train.data.shapes import load_shapes

    return load_shapes(num_classes=num_classes, train_count=train_count, test_count=test_count)


def _from_files(settings: Settings, facts: DataFacts, root: Path, download: bool) -> Images:
    if settings.data in FOLDERS:
        if download:
            raise UsageError(
                f"{settings.data} cannot be fetched", remedy="unpack it, and give --data-root"
            )
        return _from_folders(settings, facts, root)
    # Deferred: torchvision costs a second.
    from train.data.vision import load_vision

    parts, names = load_vision(settings.data, root, download=download)
    return Images(
        parts=parts,
        num_classes=settings.num_classes or len(names),
        class_names=tuple(names),
        mean=facts.mean,
        std=facts.std,
    )


def _from_folders(settings: Settings, facts: DataFacts, root: Path) -> Images:
    from train.data.folders import digest_of, list_folders, load_folders

    files, names = list_folders(root)
    if settings.train_count:
        files["train"] = _first_of_each(files["train"], settings.train_count)
    images = sum(map(len, files.values()))
    large = images * 3 * facts.side**2 > STREAM_BYTES
    return Images(
        parts={} if large else load_folders(files, side=facts.side),
        files=files if large else {},
        side=facts.side,
        num_classes=settings.num_classes or len(names),
        class_names=tuple(names),
        digest=digest_of(files),
        mean=facts.mean,
        std=facts.std,
    )


def _first_of_each(files: list[tuple[str, int]], count: int) -> list[tuple[str, int]]:
    rows = first_rows(np.array([label for _, label in files]), count)
    return [files[row] for row in rows.tolist()]


def _check(found: Images, settings: Settings, root: Path) -> None:
    for name, part in found.parts.items():
        if len(part.images) != part.count or not part.count:
            raise FormatError(
                f"{len(part.images):,} images and {part.count:,} labels in {name}", source=root
            )
        if part.labels.min() < 0 or part.labels.max() >= found.num_classes:
            raise FormatError(
                f"labels from {part.labels.min()} to {part.labels.max()} in {name}, of "
                f"{found.num_classes:,} classes",
                source=root,
            )
    if len(found.class_names) not in (0, found.num_classes):
        raise FormatError(
            f"{len(found.class_names):,} classes, where {settings.data} has {found.num_classes:,}",
            source=root,
            remedy="give its own folder with --data-root",
        )
    count = len(found.files["train"]) if found.files else found.parts["train"].count
    if settings.batch_size > count:
        raise UsageError(
            f"the batch size is {settings.batch_size:,}, and there are {count:,} training images",
            remedy="make the batch smaller",
        )


def _fewer(found: Images, count: int) -> Images:
    """The first images of each class, so many that they are `count` together; 0: all."""
    if not count or found.files or count == found.parts["train"].count:
        return found
    train = found.parts["train"]
    rows = first_rows(train.labels, count)
    fewer = Part(images=train.images[rows], labels=train.labels[rows])
    return replace(found, parts={**found.parts, "train": fewer})


def first_rows(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return `count` rows, ascending: the first of each class, then the second, and so on."""
    order = np.argsort(labels, kind="stable")
    rank = np.empty(len(labels), np.int64)  # of an image among those of its class
    rank[order] = np.concatenate([np.arange(size) for size in np.bincount(labels)])
    return np.sort(np.argsort(rank, kind="stable")[:count])
