"""Classes and pairs of classes as tables for people: `nccli analyze --per-class`, `--gram`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nccli.charts import Look
from nccli.tables import as_text, result_heading
from nccli.text import visible

if TYPE_CHECKING:  # names of types only: these modules bring numpy in
    from nccli.collapse.classes import ClassReport
    from nccli.collapse.gram import GramReport

HEATMAP_HEIGHT = 26
SIDE_BY_SIDE = 100  # columns from which on two heatmaps stand beside each other
NAME_WIDTH = 12


def class_table(reports: Sequence[ClassReport]) -> RenderableType:
    """One line a class, a table a (file, split); below it the classes that stand out."""
    parts: list[RenderableType] = []
    for _, members in groupby(reports, key=lambda one: (one.path, one.split)):
        found = list(members)
        parts += [Text()] if parts else []
        parts += [result_heading(found[0], found[0].split), _classes(found), *_extremes(found)]
    return Group(*parts)


# heading (two lines), field, how it is shown
_COLUMNS = (
    ("\nN", "count", "count"),
    ("accu-\nracy", "accuracy", "number"),
    ("vari-\nance", "variance", "number"),
    ("of\nNC1", "nc1_share", "share"),
    ("norm\nmean", "mean_norm", "number"),
    ("norm\nw", "weight_norm", "number"),
    ("near-\nest", "nearest", "count"),
    ("dis-\ntance", "nearest_distance", "number"),
    ("of\nerrors", "confusion_share", "share"),
    ("taken\nfor", "confused_with", "count"),
    ("how\noften", "confused_share", "share"),
)


def _classes(found: Sequence[ClassReport]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    named = any(one.class_name for one in found)
    table.add_column("\nclass", justify="right")
    if named:
        table.add_column("\nname", overflow="ellipsis", no_wrap=True, max_width=NAME_WIDTH)
    for heading, _, _ in _COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found:
        cells = [_cell(getattr(one, name), kind) for _, name, kind in _COLUMNS]
        name = [Text(visible(one.class_name or ""))] if named else []
        table.add_row(Text(str(one.label)), *name, *cells, style="" if one.count else "dim")
    return table


def _cell(value: float | None, kind: str) -> Text:
    if value is None:
        return Text("–")
    if kind == "share":
        return Text(f"{value:.1%}" if value < 0.1 else f"{value:.0%}")
    return Text(f"{value:,}" if kind == "count" else f"{value:.3g}")


def _extremes(found: Sequence[ClassReport]) -> Iterator[Text]:
    """What stands out, in words; of two classes there is nothing to pick."""
    sampled = [one for one in found if one.count]
    names = {one.label: one.class_name for one in found}
    if len(sampled) < 3:
        return
    # both classes of the pair have its distance, to rounding: the first one is named first
    closest = min(sampled, key=lambda one: float(f"{one.nearest_distance or 0.0:.12g}"))
    yield _line(
        f"closest means: {_pair(closest.label, closest.nearest, names)}, "
        f"{closest.nearest_distance or 0.0:.3g} apart"
    )
    if sampled[0].nc1_share is not None:
        most = max(sampled, key=lambda one: one.nc1_share or 0.0)
        yield _line(f"most of NC1: {_named(most.label, names)}, {most.nc1_share or 0.0:.0%}")
    wrong = [one for one in sampled if one.confused_share]
    if wrong:
        worst = max(wrong, key=lambda one: one.confused_share or 0.0)
        yield _line(
            f"most often taken for another: {_named(worst.label, names)} for "
            f"{_named(worst.confused_with, names)}, {worst.confused_share or 0.0:.1%}"
        )


def _line(words: str) -> Text:
    return Text(visible(words), style="dim")


def _named(label: int | None, names: dict[int, str | None]) -> str:
    name = None if label is None else names.get(label)
    return str(label) if not name else f"{label} ({name})"


def _pair(one: int, other: int | None, names: dict[int, str | None]) -> str:
    return f"{_named(one, names)} and {_named(other, names)}"


# --- pairs of classes ---------------------------------------------------------------------------


def gram_view(reports: Sequence[GramReport], *, width: int, look: Look) -> RenderableType:
    """The cosines of the class means, and of the classifier, as heatmaps on one scale."""
    parts: list[RenderableType] = []
    for one in reports:
        parts += [Text()] if parts else []
        parts += [result_heading(one, one.split), *_heatmaps(one, width, look)]
    return Group(*parts)


def _heatmaps(one: GramReport, width: int, look: Look) -> Iterable[RenderableType]:
    beside = width >= SIDE_BY_SIDE and one.features and one.classifier
    each = (width - 3) // 2 if beside else width
    every_class = list(range(one.num_classes))
    limit = _limit(one)
    charts = [
        _heatmap(matrix, title, labels, one.target, limit, each, look)
        for matrix, title, labels in (
            (one.features, "class means (centred)", list(one.classes)),
            (one.classifier, "rows of the classifier", every_class),
        )
        if matrix
    ]
    if not beside:
        return [part for chart in charts for part in (chart, Text())][:-1]
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_row(*charts)
    return [table]


def _limit(one: GramReport) -> float:
    """One colour scale for both: the smallest round number that holds every pair."""
    from nccli.charts.blocks import as_cosines, largest_size
    from nccli.charts.heatmap import LIMITS

    found = [matrix for matrix in (one.features, one.classifier) if matrix]
    most = max([largest_size(as_cosines(m)) for m in found] + [abs(one.target or 0.0)])
    return next((limit for limit in LIMITS if most <= limit), LIMITS[-1])


def _heatmap(
    matrix: Any,
    title: str,
    labels: list[int],
    target: float | None,
    limit: float,
    width: int,
    look: Look,
) -> Text:
    from nccli.charts.heatmap import heatmap  # brings numpy in

    chart = heatmap(
        matrix,
        title=title,
        labels=labels,
        target=target,
        limit=limit,
        width=width,
        height=HEATMAP_HEIGHT,
        look=look,
    )
    return as_text(chart)
