"""What is asked of all contenders, at which size, and what nccli is to reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from data import Case

Quantity = Literal["eigenvalues", "trace", "density"]
NCCLI, PYHESSIAN, CURVLINOPS = "nccli", "PyHessian", "curvlinops"
LARGE = ", large batches"
BATCH = 512  # rows, as users have them (PyHessian's own example: 200)
LARGE_BATCH = 5_000  # rows: where both peers are about fastest


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Eigenvalues: the `count` largest; density: so many Lanczos steps; trace: neither."""

    quantity: Quantity
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One table: a question about the W block of a case."""

    name: str
    title: str
    question: Question
    case: Case
    faster: Mapping[str, float]  # how many times faster than each peer nccli is to be
    error: float | None = None  # relative, at most
    memory: float | None = None  # above the start, in multiples of the features, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The sizes of the cases."""

    long: Case
    short: Case
    wide: Case
    steps: int = 30
    eigenvalues: int = 9


FULL = Sizes(
    long=Case(count=50_000, dim=512, num_classes=10),
    short=Case(count=10_000, dim=512, num_classes=10),
    wide=Case(count=20_000, dim=2048, num_classes=100),
)
QUICK = Sizes(
    long=Case(count=4_000, dim=64, num_classes=10),
    short=Case(count=2_000, dim=64, num_classes=10),
    wide=Case(count=2_000, dim=128, num_classes=20),
    steps=10,
)


def tasks(sizes: Sizes) -> tuple[Task, ...]:
    """The tables, in their order."""
    return (
        Task(
            name="A",
            title="largest eigenvalue",
            question=Question(quantity="eigenvalues"),
            case=sizes.long,
            faster=_faster(7, 30),
            error=1e-7,
            memory=0.2,
        ),
        Task(
            name="B",
            title=f"top {sizes.eigenvalues} eigenvalues",
            question=Question(quantity="eigenvalues", count=sizes.eigenvalues),
            case=sizes.short,
            faster=_faster(20, 20),
            error=1e-6,
        ),
        Task(
            name="C",
            title="trace",
            question=Question(quantity="trace"),
            case=sizes.long,
            faster=_faster(130, 130),
            error=1e-6,
        ),
        Task(
            name="D",
            title=f"spectral density, one probe of {sizes.steps} Lanczos steps",
            question=Question(quantity="density", count=sizes.steps),
            case=sizes.long,
            faster=_faster(11, 34),
        ),
        Task(
            name="E",
            title="largest eigenvalue, wide",
            question=Question(quantity="eigenvalues"),
            case=sizes.wide,
            faster=_faster(5, 19),
        ),
    )


def _faster(pyhessian: float, curvlinops: float) -> Mapping[str, float]:
    return MappingProxyType({PYHESSIAN: pyhessian, CURVLINOPS: curvlinops})
