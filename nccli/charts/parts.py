"""What goes into a chart (series, bins, references, look) and what comes out (rows of spans)."""

import math
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
    again), so a run keeps its look from chart to chart. `low` and `high` are the spread around
    each y, over seeds say: none, or one for each x; None where there is no spread.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float | None]
    kind: int
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()

    def __post_init__(self) -> None:
        for name, values, wanted in (("y", self.y, True), ("low", self.low, False),
                                     ("high", self.high, False)):  # fmt: skip
            if len(values) != len(self.x) and (wanted or len(values)):
                lengths = f"{len(self.x)} x values, {len(values)} {name} values"
                raise ValueError(f"series {self.label!r}: x and {name} must pair up, got {lengths}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A horizontal mark at a theoretical or ideal y, such as the ETF cosine -1/(K-1)."""

    value: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a histogram counts, bin by bin: finite and not negative; `kind` picks the colour."""

    label: str
    counts: Sequence[float]
    kind: int

    def __post_init__(self) -> None:
        wrong = [count for count in self.counts if not (math.isfinite(count) and count >= 0)]
        if wrong:
            raise ValueError(f"counts {self.label!r} must be finite and >= 0, got {wrong[0]}")


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
