"""One table: what was measured, its target, and whether it is met."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib import metadata

PACKAGES = ("nccli", "textual", "rich", "numpy", "h5py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table; the smaller the better. `worst` is there where it was done often."""

    name: str
    value: float
    unit: str
    worst: float | None = None
    target: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Whether the target is met, by the median only or also by the worst."""
        if self.target is None:
            return ""
        if self.value > self.target:
            return "no"
        return "yes" if self.worst is None or self.worst <= self.target else "median only"


def machine() -> str:
    """Versions and processors: what the numbers depend on."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    processors = len(os.sched_getaffinity(0))
    return (
        f"Python {platform.python_version()}, {versions}\n"
        f"{processors} processors ({platform.machine()}), load {os.getloadavg()[0]:.1f} "
        f"at the start; {sys.platform}"
    )


def heading() -> str:
    """The names of the columns."""
    return f"{'':46} {'median':>9} {'worst':>9} {'target':>7}      met"


def line(row: Row) -> str:
    """A row of the table."""
    worst = "" if row.worst is None else _number(row.worst)
    target = "" if row.target is None else f"{row.target:g}"
    told = f"{row.name:46} {_number(row.value):>9} {worst:>9} {target:>7} {row.unit:4} "
    return f"{told}{row.verdict:11} {row.note}".rstrip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:.3g}"
