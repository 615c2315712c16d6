"""What goes into a chart (series, bins, references, look) and what comes out (rows of spans)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How the terminal wants it: colours or not, 7-bit characters or not, light or dark surface."""

    colour: bool = True
    ascii: bool = False
    light: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """A run of text in one style; `style` is a definition rich and Textual both read."""

    text: str
    style: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A finished picture: rows from top to bottom, none wider than `width` cells.

    Rows stop at their last visible cell, so they may be shorter than `width`.
    """

    rows: tuple[tuple[Span, ...], ...]
    width: int

    @property
    def height(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def plain(self) -> str:
        """The picture without styles: rows joined by newlines, trailing blanks stripped."""
        return "\n".join("".join(span.text for span in row).rstrip() for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One curve: `x` and `y` of equal length, in drawing order; None, NaN and inf are gaps.

    `kind` picks marker and colour together (0 is sky `●`, 1 is orange `▲`, up to 7, then round
    again), so a run keeps its look from chart to chart.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float | None]
    kind: int

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            lengths = f"{len(self.x)} x values, {len(self.y)} y values"
            raise ValueError(f"series {self.label!r}: x and y must pair up, got {lengths}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A horizontal mark at a theoretical or ideal y, such as the ETF cosine -1/(K-1)."""

    value: float
    label: str


class Binned(Protocol):
    """What a reliability diagram reads of a bin: `Bin` has it, and calibration's own bins do."""

    @property
    def lower(self) -> float: ...
    @property
    def upper(self) -> float: ...
    @property
    def count(self) -> int: ...
    @property
    def confidence(self) -> float | None: ...
    @property
    def accuracy(self) -> float | None: ...
    @property
    def is_beyond(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One confidence bin: edges, mean confidence and accuracy all in [0, 1].

    An empty bin has `count` 0 and no confidence or accuracy (None). `is_beyond`: chance does not
    explain how far they lie apart.
    """

    lower: float
    upper: float
    count: int
    confidence: float | None
    accuracy: float | None
    is_beyond: bool = False
