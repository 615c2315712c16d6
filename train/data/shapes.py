"""`shapes`: pictures of CIFAR's size that are made, not downloaded, and are not easy.

A class is an outline (ten radial functions: polygons, stars, lobes) and a texture of its inside
(ten patterns); K <= 10 classes differ by outline alone. Position, size, rotation, colours and
background say nothing about the class. What keeps test accuracy below 100 %: outlines are
deformed at random towards another class's, some of the picture is hidden, and pixels are noisy.
The same seed makes the same pictures on every machine up to rounding of a pixel; more pictures
of a part begin with those of a smaller one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.data.images import Images, Part

SIDE = 32
OUTLINES = 10
SEED = 2_402  # belongs to the data set, not to a run
MOST_MORPH = 0.5  # of the way to another outline; at a half it looks as much like that one
NOISE = 0.08  # standard deviation, of pixels in [0, 1]
LARGEST_BOX = 9  # pixels along a side of what hides part of the figure
GROUND = 0.3  # contrast of the waves behind it
BLOCK = 500  # images made at a time: the arrays stay in the cache

_PARTS = {"train": 0, "test": 1}
Floats = NDArray[np.floating[Any]]

# corners, depth of the dents between them, and whether the sides are straight
_RADIAL = (
    *((3, 0.0, True), (4, 0.0, True), (6, 0.0, True), (0, 0.0, False), (5, 0.45, False)),
    *((3, 0.45, False), (4, 0.5, False), (2, 0.4, False), (7, 0.35, False), (1, 0.35, False)),
)

WAVES: tuple[Callable[[Floats, Floats], Any], ...] = (
    lambda u, _: np.sin(9 * u),
    lambda _, v: np.sin(9 * v),
    lambda u, v: np.sin(7 * (u + v)),
    lambda u, v: np.sin(7 * (u - v)),
    lambda u, v: 1.6 * np.sin(8 * u) * np.sin(8 * v),
    lambda u, v: np.sin(11 * np.hypot(u, v)),
    lambda u, v: np.sin(5 * np.arctan2(v, u)),
    lambda u, _: np.sin(16 * u),
    lambda _, v: np.sin(16 * v),
)


def load_shapes(*, num_classes: int, train_count: int, test_count: int) -> Images:
    """Return `shapes` with K classes in 2..100, the same number of images of each to within one."""
    counts = {"train": train_count, "test": test_count}
    parts = {name: _part(name, count, num_classes) for name, count in counts.items()}
    return Images(
        parts=parts, num_classes=num_classes, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)
    )


def _part(name: str, count: int, num_classes: int) -> Part:
    labels = np.arange(count, dtype=np.int64) % num_classes
    images = np.empty((count, 3, SIDE, SIDE), np.uint8)
    for block, start in enumerate(range(0, count, BLOCK)):
        rng = np.random.default_rng([SEED, _PARTS[name], num_classes, block])
        drawn = _draw(rng, np.arange(start, start + BLOCK) % num_classes, num_classes)
        images[start : start + BLOCK] = drawn[: count - start]
    return Part(images=images, labels=labels)


def _draw(
    rng: np.random.Generator, labels: NDArray[np.int64], num_classes: int
) -> NDArray[np.uint8]:
    """Pictures (B, 3, 32, 32) of the classes `labels` (B,)."""
    count = len(labels)
    x, y = _own_coordinates(rng, count)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    outline = _deformed(rng, angle, labels, min(num_classes, OUTLINES))
    inside = 1 / (1 + np.exp(14 * (radius - outline)))  # soft over about two pixels
    pattern = _pattern(x, y, labels // OUTLINES)
    ink, paper, other = (rng.random((count, 3, 1, 1), np.float32) for _ in range(3))
    paper = _apart(paper, ink)
    ground = paper + (other - paper) * GROUND * _stripes(rng, count)[:, None]
    figure = ink + (paper - ink) * 0.75 * pattern[:, None]
    picture = ground + (figure - ground) * (inside * _visible(rng, count))[:, None]
    picture += NOISE * rng.standard_normal(picture.shape, np.float32)
    pixels: NDArray[np.uint8] = np.clip(255 * picture, 0, 255).astype(np.uint8)
    return pixels


def _own_coordinates(rng: np.random.Generator, count: int) -> tuple[Floats, Floats]:
    """Where each pixel lies as the outline sees it: centred, turned, in units of its size."""
    grid = (np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2) / (SIDE / 2)
    centre = rng.uniform(-0.25, 0.25, (2, count, 1, 1)).astype(np.float32)
    size = rng.uniform(0.45, 0.8, (count, 1, 1)).astype(np.float32)
    turn = rng.uniform(-0.5, 0.5, (count, 1, 1)).astype(np.float32)
    across, down = grid - centre[0], grid[:, None] - centre[1]
    x = (np.cos(turn) * across + np.sin(turn) * down) / size
    y = (np.cos(turn) * down - np.sin(turn) * across) / size
    return x, y


def _deformed(
    rng: np.random.Generator, angle: Floats, labels: NDArray[np.int64], outlines: int
) -> Floats:
    """The radius of each outline at each pixel's angle, on its way to another class's outline."""
    own = labels % outlines
    others = (own + rng.integers(1, outlines, len(own))) % outlines
    share = (MOST_MORPH * rng.random(len(own), np.float32))[:, None, None]
    mixed: Floats = (1 - share) * _outline(angle, own) + share * _outline(angle, others)
    wobble = rng.integers(2, 6, (len(own), 1, 1)).astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi, (len(own), 1, 1)).astype(np.float32)
    mixed *= 1 + 0.06 * np.sin(wobble * angle + phase)
    return mixed


def _outline(angle: Floats, kinds: NDArray[np.int64]) -> Floats:
    """The radius (B, H, W) of the outlines `kinds` (B,) at an angle; about 1 in the mean."""
    radius = np.ones_like(angle)
    for kind in range(OUTLINES):
        corners, dent, straight = _RADIAL[kind]
        rows = np.flatnonzero(kinds == kind)
        if straight and rows.size:
            sector = 2 * np.pi / corners
            within = np.mod(angle[rows] + np.pi / 2, sector) - sector / 2
            radius[rows] = 1.15 * np.cos(sector / 2) / np.cos(within)
        elif dent and rows.size:
            radius[rows] = 1 + dent * np.cos(corners * (angle[rows] + np.pi / 2))
    return radius


def _pattern(x: Floats, y: Floats, kinds: NDArray[np.int64]) -> Floats:
    """How much of the paper's colour shows inside, in [0, 1]: the textures `kinds` (B,)."""
    found = np.zeros_like(x)  # texture 0 is plain
    for kind in range(1, len(WAVES) + 1):
        rows = np.flatnonzero(kinds == kind)
        if rows.size:
            wave = WAVES[kind - 1](x[rows], y[rows])
            found[rows] = 0.5 + 0.5 * np.clip(3 * wave, -1, 1)
    return found


def _apart(paper: Floats, ink: Floats) -> Floats:
    """The paper's colour, moved away from the ink's where the two would hardly differ."""
    differ = np.abs(paper - ink).mean(axis=1, keepdims=True)
    moved: Floats = np.where(differ < 0.25, np.mod(paper + 0.5, 1), paper)
    return moved


def _stripes(rng: np.random.Generator, count: int) -> Floats:
    """Waves behind the figure (B, H, W), in [0, 1]."""
    grid = np.arange(SIDE, dtype=np.float32)
    slope = rng.uniform(-0.6, 0.6, (2, count, 1, 1)).astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1)).astype(np.float32)
    waves: Floats = 0.5 + 0.5 * np.sin(slope[0] * grid + slope[1] * grid[:, None] + phase)
    return waves


def _visible(rng: np.random.Generator, count: int) -> Floats:
    """0 in a box that hides part of the figure of every image, 1 elsewhere (B, H, W)."""
    grid = np.arange(SIDE)
    low = rng.integers(0, SIDE, (2, count, 1))
    size = rng.integers(4, LARGEST_BOX + 1, (2, count, 1))
    hidden = (grid >= low) & (grid < low + size)
    shown: Floats = 1 - (hidden[0][:, None, :] & hidden[1][:, :, None]).astype(np.float32)
    return shown
