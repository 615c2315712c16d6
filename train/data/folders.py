"""Image folders: a folder a class, as ImageNet and Tiny ImageNet have it; decoded into memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from nccli.errors import FormatError, NotFoundError
from train.data.images import Part

VALIDATION = ("val", "test", "validation")  # the first that exists is the part "test"
TINY_FILE = "val_annotations.txt"  # Tiny ImageNet's val has one folder, and this list of classes

SIZES_READ = 2_000  # of a part's files, for the digest

Samples = list[tuple[str, int]]  # file, class


def list_folders(root: Path) -> tuple[dict[str, Samples], list[str]]:
    """Return the files of each part with their classes, and the names of the classes.

    A folder has train/CLASS/*.jpg and val/CLASS/*.jpg. Raises NotFoundError where a folder is
    missing or empty, FormatError on classes that only one part has.
    """
    train, names = samples(root, "train")
    return {"train": train, "test": samples(root, "test")[0]}, names


def digest_of(files: Mapping[str, Samples]) -> str:
    """Return a SHA-256 that tells two folders apart, whatever path leads to them.

    It is of the classes and names of all files, and of the sizes of some: a million files would
    take minutes over a network.
    """
    digest = hashlib.sha256()
    for part, listed in files.items():
        step = max(1, len(listed) // SIZES_READ)
        for at, (file, label) in enumerate(listed):
            path = Path(file)
            name = f"{path.parent.name}/{path.name}"  # class and file
            size = _size(path) if at % step == 0 else 0
            digest.update(f"{part}\0{name}\0{label}\0{size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # whoever decodes it says so
        return 0


def check_folders(root: Path) -> None:
    """Raise NotFoundError where the folders of the classes, or of the test images, are missing."""
    _classes(root)
    _validation(root)


def load_folders(files: Mapping[str, Samples], *, side: int) -> dict[str, Part]:
    """Return the parts with all images decoded.

    Images are scaled to `side` pixels along their shorter side and cut to the middle square.
    Raises FormatError on an image that cannot be decoded.
    """
    return {
        name: Part(
            images=_decoded([file for file, _ in listed], side),
            labels=np.array([label for _, label in listed], np.int64),
        )
        for name, listed in files.items()
    }


def samples(root: Path, part: str) -> tuple[Samples, list[str]]:
    """Return the image files of a part with their classes, and the names of the classes."""
    classes = _classes(root)
    if part == "train":
        return _listed(root / "train", classes), classes
    folder = _validation(root)
    if (folder / TINY_FILE).is_file():
        return _annotated(folder, classes), classes
    return _listed(folder, classes), classes


def _classes(root: Path) -> list[str]:
    folder = root / "train"
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir()) if (
        folder.is_dir()
    ) else []  # fmt: skip
    if len(names) < 2:
        raise NotFoundError(
            f"{len(names)} folders of classes here, of at least 2",
            source=folder,
            remedy="--data-root names the folder with train/CLASS/*.jpg and val/CLASS/*.jpg",
        )
    return names


def _validation(root: Path) -> Path:
    for name in VALIDATION:
        if (root / name).is_dir():
            return root / name
    raise NotFoundError(
        "no folder with test images", source=root, remedy=f"make one of: {', '.join(VALIDATION)}"
    )


def _listed(folder: Path, classes: list[str]) -> Samples:
    try:
        found = ImageFolder(os.fspath(folder))
    except FileNotFoundError as error:  # a class without images, or no classes at all
        raise NotFoundError(
            (str(error).splitlines() or ["no images"])[0], source=folder, remedy="add its images"
        ) from None
    if found.classes != classes:
        odd = sorted(set(found.classes) ^ set(classes))
        raise FormatError(
            f"has {len(found.classes)} classes where train has {len(classes)}: "
            f"'{odd[0]}' is in one of them only",
            source=folder,
            remedy="give both the same folders",
        )
    return list(found.samples)


def _annotated(folder: Path, classes: list[str]) -> Samples:
    numbers = {name: number for number, name in enumerate(classes)}
    found: Samples = []
    for line in (folder / TINY_FILE).read_text(encoding="utf-8").splitlines():
        file, _, rest = line.partition("\t")
        name = rest.partition("\t")[0]
        if name not in numbers:
            raise FormatError(
                f"names the class '{name}', which train/ lacks",
                source=folder / TINY_FILE,
                remedy="unpack it again",
            )
        found.append((os.fspath(folder / "images" / file), numbers[name]))
    return found


def _decoded(files: list[str], side: int) -> NDArray[np.uint8]:
    """Images (N, 3, side, side); the decoder lets go of Python's lock, so threads help."""
    images = np.empty((len(files), 3, side, side), np.uint8)

    def decode(at: int) -> None:
        images[at] = decoded(files[at], side).transpose(2, 0, 1)

    with ThreadPoolExecutor() as threads:
        for _ in threads.map(decode, range(len(files)), chunksize=64):
            pass
    return images


def opened(file: str) -> Image.Image:
    """Return an image in RGB; raises FormatError where it cannot be decoded."""
    try:
        with Image.open(file) as found:
            return found.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FormatError(
            f"cannot be decoded as an image ({error})",
            source=Path(file),
            remedy=f"replace it ({', '.join(IMG_EXTENSIONS[:3])} ...) or remove it",
        ) from None


def decoded(file: str, side: int) -> NDArray[np.uint8]:
    """Return an image as (side, side, 3): its shorter side scaled, the middle square cut out."""
    image = opened(file)
    if image.size != (side, side):
        scale = side / min(image.size)
        wide, high = (max(side, round(length * scale)) for length in image.size)
        left, top = (wide - side) // 2, (high - side) // 2
        image = image.resize((wide, high), Image.Resampling.BILINEAR)
        image = image.crop((left, top, left + side, top + side))
    return np.asarray(image)
