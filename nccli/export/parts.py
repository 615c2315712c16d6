"""What is exported: the numbers behind one chart or table, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nccli.charts import Binned, Reference, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagram:
    """A reliability diagram; `kind` picks the colour, as for `Series`."""

    label: str
    kind: int
    bins: Sequence[Binned]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """The (K, K) cosines between `classes`, and what they all are at collapse, -1/(K-1)."""

    label: str
    values: Sequence[Sequence[float]] | NDArray[Any]  # an array stays one: K may be a thousand
    classes: tuple[str | int, ...]
    target: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of numbers and words; undefined is None."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plotted:
    """The numbers behind one chart or table: curves, diagrams, matrices, a table, or panels."""

    title: str
    name: str  # for the name of the file: "train-nc1", "reliability", "gram-means"
    series: tuple[Series, ...] = ()
    x_label: str = "epoch"
    x_log: bool = False
    y_log: bool = False
    references: tuple[Reference, ...] = ()
    diagrams: tuple[Diagram, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    table: Table | None = None
    panels: tuple[Plotted, ...] = ()  # several charts of curves beside each other, in one figure
    text: str = ""  # the picture as terminal text

    @property
    def drawable(self) -> bool:
        """Whether there is anything that a figure can show."""
        return bool(self.series or self.diagrams or self.matrices or self.panels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The shell command that prints the same numbers, and the checkpoints they come from."""

    command: str
    files: tuple[Path, ...] = ()
