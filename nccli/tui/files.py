"""Tab 6: one file of a picked run: what `check` says, what stands in it, and what it feeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from textual.geometry import Region, Size
from textual.widget import Widget

from nccli.text import file_size, plural
from nccli.tui.number_table import Detail, Numbers, NumberTable
from nccli.tui.palette import tint
from nccli.tui.pane import Pane, Rows
from nccli.tui.paths import near
from nccli.tui.plan import share_rows
from nccli.tui.rows import Cell, Column
from nccli.tui.state import State

if TYPE_CHECKING:  # names of types only: these modules bring HDF5 in
    from nccli.contents import Contents, Item
    from nccli.validate import Finding


class Files(Pane):
    """Three lists: the finding, the tree, the root attributes."""

    def __init__(self, state: State, **options: Any) -> None:
        super().__init__(state, **options)
        self.finding = NumberTable(state, lambda: finding_table(state))
        self.inside = NumberTable(state, lambda: tree_table(state))
        self.attributes = NumberTable(state, lambda: attribute_table(state))

    def compose(self) -> Iterator[Widget]:
        """The lists."""
        yield from self.lists

    @property
    def lists(self) -> Sequence[Rows]:
        """From top to bottom."""
        return (self.finding, self.inside, self.attributes)

    def places(self, size: Size) -> list[tuple[Widget, Region]]:
        """Each list as high as it needs, the one in focus first."""
        return [*share_rows(size, self.lists, self.stop[0])]


def finding_table(state: State) -> Numbers:
    """Which file, how large, and whether it is sound."""
    if state.file_shown is None:
        return Numbers(columns=[Column(title="")], cells=[])
    entry, saved = state.file_shown
    found = state.kept("finding", saved)
    title = f"{entry.name}  {saved.path.name}"
    columns = [Column(title="file", align="left"), Column(title=title, align="left", elastic=True)]
    rows = [("path", near(saved.path), ""), *_about(state)]
    if found is None or isinstance(found, str):
        rows.append(("check", "reading all of it" if found is None else found, ""))
    else:
        rows += _verdict(state, cast("Finding", found))
    return Numbers(
        columns=columns,
        cells=[[(word, tint(state.look, "note")), (text, style)] for word, text, style in rows],
        details=[Detail(title=word, facts=[("", text)]) for word, text, _ in rows],
    )


def _about(state: State) -> list[tuple[str, str, str]]:
    contents = _contents(state)
    if contents is None:
        return []
    return [("size", f"{file_size(contents.size)}, changed {contents.modified}", "")]


def _verdict(state: State, finding: Finding) -> list[tuple[str, str, str]]:
    """What `nccli check` says."""
    good, bad = ("ok", "x") if state.look.ascii else ("✓", "✗")
    if not finding.ok:
        mend = [("mend", finding.remedy, "")] if finding.remedy else []
        return [("check", f"{bad} {finding.problem}", tint(state.look, "trouble")), *mend]
    splits = ", ".join(finding.splits)
    words = f"{good} sound: K {finding.num_classes}, d {finding.dim}, {splits}"
    found = [("check", words, tint(state.look, "supported"))]
    return [*found, *(("note", note, "") for note in finding.notes)]


def tree_table(state: State) -> Numbers:
    """The groups and data sets, and what each is read for."""
    contents = _contents(state)
    columns = [
        Column(title="in the file", align="left"),
        Column(title="shape"),
        Column(title="type", align="left", rank=1),
        Column(title="stored", align="left", rank=4),
        Column(title="size", rank=3),
        Column(title="feeds", align="left", rank=2, elastic=True),
    ]
    if contents is None:
        return Numbers(columns=columns, cells=[])
    more = f"{plural(contents.more, 'more name')} not shown" if contents.more else ""
    return Numbers(
        columns=columns,
        cells=[_item(state, item) for item in contents.items],
        details=[_explained(item) for item in contents.items],
        note=more,
    )


def _item(state: State, item: Item) -> list[Cell]:
    note = tint(state.look, "note")
    name = item.path.rpartition("/")[2]
    times = " x " if state.look.ascii else " × "
    return [
        ("  " * item.depth + name + ("/" if item.kind == "group" else ""), ""),
        (times.join(f"{length:,}" for length in item.shape or ()), ""),
        (item.dtype or ("" if item.kind == "group" else item.kind), note),
        (item.layout or "", note),
        ("" if item.size is None else file_size(item.size), note),
        (item.read_for or item.note or "", "" if item.feeds else note),
    ]


def _explained(item: Item) -> Detail:
    told = [
        ("kind", item.kind),
        ("shape", " × ".join(map(str, item.shape)) if item.shape is not None else ""),
        ("type", item.dtype or ""),
        ("stored", item.layout or ""),
        ("size", "" if item.size is None else f"{item.size:,} bytes"),
        ("feeds", item.read_for),
        ("note", item.note or ""),
        *item.attributes,
    ]
    return Detail(title=item.path, facts=[(name, text) for name, text in told if text])


def attribute_table(state: State) -> Numbers:
    """The attributes of the root."""
    contents = _contents(state)
    columns = [
        Column(title="root attribute", align="left"),
        Column(title="value", align="left", elastic=True),
    ]
    told = () if contents is None else contents.attributes
    return Numbers(
        columns=columns,
        cells=[[(name, tint(state.look, "note")), (value, "")] for name, value in told],
        details=[Detail(title=name, facts=[("value", value)]) for name, value in told],
    )


def _contents(state: State) -> Contents | None:
    """Of the file at the cursor; of the one before while that is read, for they are much alike."""
    if state.file_shown is None:
        return None
    entry, saved = state.file_shown
    found = state.kept("contents", saved) or state.latest("contents", entry)
    return None if found is None or isinstance(found, str) else cast("Contents", found)
