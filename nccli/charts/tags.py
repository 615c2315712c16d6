"""Direct labels: `● CE 0.22` at the right edge, at the height where the curve ends."""

from collections.abc import Sequence
from dataclasses import dataclass

from nccli.charts.canvas import row_of
from nccli.charts.lettering import clean, fit
from nccli.charts.parts import Look

SHORTEST_NAME = 6  # a label is not cut below this to make room for its value


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A direct label before it is fitted; `share` is its height, 0 at the bottom, 1 on top."""

    marker: str
    label: str
    value: str
    style: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedTag:
    """A direct label with its row in the plot."""

    row: int
    text: str
    style: str


def fit_tags(tags: Sequence[Tag], room: int, look: Look) -> list[str]:
    """Texts of at most `room` cells. All give up the same part first: value, name, all."""
    names = [len(clean(tag.label, look)) for tag in tags]
    values = max((len(tag.value) for tag in tags), default=0)
    if room - 3 - values >= min(SHORTEST_NAME, max(names, default=0)):
        return [_joined(tag, room - 3 - len(tag.value), look, tag.value) for tag in tags]
    if room >= 5:
        return [_joined(tag, room - 2, look) for tag in tags]
    return [tag.marker if room >= 1 else "" for tag in tags]


def _joined(tag: Tag, room: int, look: Look, value: str = "") -> str:
    parts = (tag.marker, fit(tag.label, room, look), value)
    return " ".join(part for part in parts if part)


def place_tags(
    tags: Sequence[Tag], texts: Sequence[str], rows: int, more: str = ""
) -> list[PlacedTag]:
    """Rows for the labels, top to bottom by height, pushed apart; what cannot fit is counted."""
    order = sorted(range(len(tags)), key=lambda index: -tags[index].share)
    shown = order if len(order) <= rows else order[: rows - 1]
    wanted = [row_of(tags[index].share, rows) for index in shown]
    left = len(order) - len(shown)
    placed = [
        PlacedTag(row=row, text=texts[index], style=tags[index].style)
        for index, row in zip(shown, pushed_apart(wanted, rows - bool(left)), strict=True)
    ]
    overflow = [PlacedTag(row=rows - 1, text=f"+{left}", style=more)] if left else []
    return placed + overflow


def pushed_apart(wanted: Sequence[int], rows: int) -> list[int]:
    """Distinct rows in 0..rows-1, in the given order and near the wanted ones (ascending)."""
    placed: list[int] = []
    for index, row in enumerate(wanted):
        lowest = rows - (len(wanted) - index)  # leaves a row for each label still to come
        placed.append(min(lowest, max(row, placed[-1] + 1 if placed else 0)))
    return placed
