"""What stands in an HDF5 file, read without trusting it: names, shapes, types, attributes.

Foreign files are listed too. No data are read, and no link is followed: soft and external links,
external storage and virtual data sets are named only. What a hostile file could make large is
bounded: names, depth, attributes, and how much of an attribute is read (`nccli.hdf5_objects`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from h5py import h5a, h5g, h5l, h5o

from nccli.attributes import FORMAT
from nccli.collapse_report import CollapseReport
from nccli.errors import InputError
from nccli.hdf5 import reopened
from nccli.hdf5_objects import (
    DAMAGE,
    Kind,
    Pairs,
    as_text,
    attributes_of,
    described,
    is_plain,
    not_followed,
    value_of,
)
from nccli.result import quantities, quantity, same_as
from nccli.validate import Finding

MAX_ITEMS = 500  # our own: a checkpoint has about ten
MAX_DEPTH = 8  # our own: a checkpoint has two levels


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One name in a file and what it stands for."""

    path: str  # "/train/features"
    kind: Kind
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    layout: str | None = None  # "contiguous", "chunked 512x64, gzip", "compact", "never written"
    size: int | None = None  # bytes stored
    feeds: tuple[str, ...] = ()  # which results are made of it: see FEEDS
    note: str | None = None
    depth: int = 0  # 0 is what stands in the root
    attributes: Pairs = ()

    @property
    def read_for(self) -> str:
        """What it feeds, in one line."""
        always = [one for one in self.feeds if not one.endswith(WHERE_NO_LOGITS)]
        others = [one.removesuffix(WHERE_NO_LOGITS) for one in self.feeds if one not in always]
        condition = WHERE_NO_LOGITS.strip(" ()") + ": " if others else ""
        return "; ".join(filter(None, [", ".join(always), condition + ", ".join(others)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A file as a list of names in tree order."""

    path: str
    size: int  # bytes of the file
    modified: str  # ISO 8601, UTC
    attributes: Pairs  # of the root
    items: tuple[Item, ...]
    more: int  # names that were seen and left out; what stands inside of those is not counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What `nccli check --contents` says of one file: the finding, and the contents if any."""

    path: str = same_as(Finding, "path")
    ok: bool = same_as(Finding, "ok")
    problem: str | None = same_as(Finding, "problem")
    remedy: str | None = same_as(Finding, "remedy")
    size: int | None = quantity("size", "bytes of the file")
    modified: str | None = quantity("modified", "when the file was last written, UTC")
    attributes: Pairs = quantity("attributes", "of the root", default=(), records=True)
    items: tuple[Item, ...] = quantity("items", "in tree order", default=(), records=True)
    more: int = quantity("more", "names left out", default=0)


def contents(path: Path) -> Contents:
    """List a file; raises what `read_checkpoint` raises where it cannot be opened as HDF5."""
    with reopened(path) as file:
        root = h5o.open(file.id, b"/")
        items, more = _tree(root, checkpoint=_is_checkpoint(root))
        attributes = attributes_of(root)
        status = path.stat()
    return Contents(
        path=str(path),
        size=status.st_size,
        modified=_utc(status.st_mtime),
        attributes=attributes,
        items=tuple(items),
        more=more,
    )


def listing(finding: Finding) -> Listing:
    """Return a finding together with the contents of its file, where that can be opened."""
    told = {name: getattr(finding, name) for name in ("path", "ok", "problem", "remedy")}
    try:
        found = contents(Path(finding.path))
    except InputError:
        return Listing(**told)
    names = ("size", "modified", "attributes", "items", "more")
    return Listing(**told, **{name: getattr(found, name) for name in names})


def _utc(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):  # a file may claim any time
        return "unknown"


# --- what is read for what ------------------------------------------------------------------------

HESSIAN, CALIBRATION = "Hessian", "calibration"
WHERE_NO_LOGITS = " (where there are no logits)"

_MEANS = (
    "nc1", "nc1_train_means", "nc2_features", "nc2_duality", "nc2_equinorm_features",
    "nc2_equiangular_features", "nc3", "nc4", "cdnv",
)  # fmt: skip
_CLASSIFIER = (
    "nc2_classifier", "nc2_duality", "nc2_equinorm_classifier", "nc2_equiangular_classifier",
    "nc3", "weight_norm",
)  # fmt: skip
_SCORED = ("accuracy", "loss", "nontarget_logit_spread", CALIBRATION)

# Which results change with a data set: always, and only where its split has no logits of its own
# (they are features W^T + b then). Fields of CollapseReport, the Hessian, calibration.
# tests/test_contents.py holds this against analyze, hessian and calibrate, in both directions.
FEEDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "features": ((*_MEANS, "feature_norm", HESSIAN), _SCORED),
    "labels": ((*_MEANS, *_SCORED, HESSIAN), ()),
    "logits": (("nc4", *_SCORED, HESSIAN), ()),
    "weight": ((*_CLASSIFIER, HESSIAN), ("nc4", *_SCORED)),
    "bias": ((), ("nc4", *_SCORED, HESSIAN)),
}
_NOTES = {
    "features": "one row a sample",
    "labels": "integers in 0..K-1",
    "logits": "one row a sample, one column a class",
    "weight": "one row a class",
    "bias": "one number a class; zero if absent",
}
_OF_CLASSIFIER = (b"weight", b"bias")
_OF_SPLIT = (b"features", b"labels", b"logits")


def feeds(role: str) -> tuple[str, ...]:
    """Return what a data set of the format is read for, in the words of the tables."""
    always, where_no_logits = FEEDS[role]
    conditional = tuple(_label(name) + WHERE_NO_LOGITS for name in where_no_logits)
    return tuple(_label(name) for name in always) + conditional


def _label(name: str) -> str:
    meaning = quantities(CollapseReport).get(name)
    return name if meaning is None else meaning.label


def _is_checkpoint(root: h5g.GroupID) -> bool:
    """Whether names mean something: the file says that it is ours, or nothing that is read."""
    if not h5a.exists(root, b"format"):
        return False
    attribute = h5a.open(root, b"format")
    # h5py writes texts with a variable length unless told otherwise; these are not read here
    return not is_plain(attribute) or value_of(attribute) == FORMAT


def _meaning(parent: _Node, name: bytes, item: Item, found: Any) -> Item:
    """Tell what an item of a checkpoint is read for, or why it is not read."""
    if item.kind not in ("group", "data set") or item.note is not None:
        return item
    classifier = (name if item.depth == 0 else parent.name) == b"classifier"
    roles = _OF_CLASSIFIER if classifier else _OF_SPLIT
    if item.kind == "group" and item.depth == 0 and (classifier or _present(found, roles)):
        return item
    if item.kind == "group" or item.depth != 1 or name not in roles:
        return replace(item, note="unknown to nccli")
    if not classifier and len(_present(parent.group, (b"features", b"labels"))) < 2:
        return replace(item, note="not read: a split needs features and labels")
    role = name.decode()
    return replace(item, feeds=feeds(role), note=_NOTES[role])


def _present(group: h5g.GroupID, names: tuple[bytes, ...]) -> list[bytes]:
    return [name for name in names if group.links.exists(name)]


# --- the tree -------------------------------------------------------------------------------------

_UNREADABLE = "cannot be read: damaged, or of a kind that h5py does not know"


@dataclass(slots=True, kw_only=True)
class _Node:
    item: Item
    name: bytes = b""
    group: h5g.GroupID | None = None  # None: nothing to list in it
    children: list[_Node] = field(default_factory=list)

    def items(self) -> Iterator[Item]:
        """What stands below, in tree order."""
        for child in self.children:
            yield child.item
            yield from child.items()


def _tree(root: h5g.GroupID, *, checkpoint: bool) -> tuple[list[Item], int]:
    """Level by level, so that one group of many names does not hide its neighbours."""
    top = _Node(item=Item(path="", kind="group", depth=-1), group=root)
    seen = {_address(root): "/"}  # a group may hold itself
    waiting, listed, more = deque([top]), 0, 0
    while waiting:
        node = waiting.popleft()
        room = MAX_ITEMS - listed if node.item.depth + 1 < MAX_DEPTH else 0
        try:
            links, left = _links(node.group, room)
        except DAMAGE:
            if node is top:
                raise
            node.item = replace(node.item, note=_UNREADABLE)
            continue
        listed, more = listed + len(links), more + left
        node.children = [_node(node, name, kind, seen, checkpoint) for name, kind in links]
        waiting.extend(child for child in node.children if child.group is not None)
    return list(top.items()), more


def _links(group: h5g.GroupID, room: int) -> tuple[list[tuple[bytes, int]], int]:
    """The first names of a group, each with its type of link, and how many are left out."""
    found: list[tuple[bytes, int]] = []

    def note(name: bytes, info: h5l.LinkInfo) -> bool | None:
        found.append((name, info.type))
        return len(found) >= room or None  # anything but None ends the iteration

    if room > 0 and group.get_num_objs():
        group.links.iterate(note, info=True)
    return found, group.get_num_objs() - len(found)


def _node(
    parent: _Node,
    name: bytes,
    link: int,
    seen: dict[tuple[int, int], str],
    checkpoint: bool,
) -> _Node:
    path = f"{parent.item.path}/{as_text(name)}"
    item = Item(path=path, kind="other", depth=parent.item.depth + 1)
    try:
        if link != h5l.TYPE_HARD:
            return _Node(item=replace(item, **not_followed(parent.group, name, link)))
        if b"/" in name or name == b".":  # HDF5 would take it for a path, and walk along it
            return _Node(item=replace(item, note="never followed: its name reads as a path"))
        found = h5o.open(parent.group, name)
        item = replace(item, **described(found), attributes=attributes_of(found))
        item = _meaning(parent, name, item, found) if checkpoint else item
        address = _address(found)
    except DAMAGE:
        return _Node(item=replace(item, note=_UNREADABLE))
    if address in seen:
        return _Node(item=replace(item, note=f"the same object as {seen[address]}"))
    seen[address] = path
    return _Node(item=item, name=name, group=found if item.kind == "group" else None)


def _address(found: Any) -> tuple[int, int]:
    info = h5o.get_info(found)
    return info.fileno, info.addr
