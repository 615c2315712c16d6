"""What of the data is in view: log axes, the stretch of each axis, lines cut at the border."""

import math
from dataclasses import dataclass

from nccli.charts.scale import Scale

Range = tuple[float, float]
Point = tuple[float, float]
Segment = tuple[Point, Point]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Which axes are logarithmic, and which stretch of each is shown; None is all of it."""

    x_log: bool = False
    y_log: bool = False
    x_range: Range | None = None
    y_range: Range | None = None

    def __post_init__(self) -> None:
        for name, ends in (("x_range", self.x_range), ("y_range", self.y_range)):
            if ends and not (all(map(math.isfinite, ends)) and ends[0] <= ends[1]):
                raise ValueError(f"{name} must be two finite numbers, the lower first, got {ends}")

    def holds(self, x: float) -> bool:
        """Whether an x lies in the stretch that is shown."""
        return math.isfinite(x) and (
            self.x_range is None or self.x_range[0] <= x <= self.x_range[1]
        )

    def draws(self, x: float, y: float) -> bool:
        """Whether a point has a place on the axes, be it in the stretch shown or not."""
        finite = math.isfinite(x) and math.isfinite(y)
        return finite and not (self.x_log and x <= 0) and not (self.y_log and y <= 0)


def cut(segment: Segment, x: Scale, y: Scale) -> Segment | None:
    """The part of a line, in inner units, that lies between the ends of both axes; or None."""
    for axis, scale in enumerate((x, y)):
        start, end = segment
        sides = _side(start[axis], scale), _side(end[axis], scale)
        if sides[0] == sides[1] != 0:
            return None
        if any(sides):
            segment = _pulled(start, end, axis, scale), _pulled(end, start, axis, scale)
    return segment


def _side(inner: float, scale: Scale) -> int:
    """0 between the ends of an axis, 1 above them, -1 below."""
    return (inner > scale.high) - (inner < scale.low)


def _pulled(point: Point, other: Point, axis: int, scale: Scale) -> Point:
    """`point`, moved along the line to `other` up to the border it lies beyond."""
    border = min(scale.high, max(scale.low, point[axis]))
    if border == point[axis]:
        return point
    # Halves, and a weighted mean: a difference of two floats may overflow.
    share = (border / 2 - point[axis] / 2) / (other[axis] / 2 - point[axis] / 2)
    across = point[1 - axis] * (1 - share) + other[1 - axis] * share
    return (border, across) if axis == 0 else (across, border)
