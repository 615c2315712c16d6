"""Every name in a file, without trusting it: no data are read, and no link is followed.

Soft and external links, external storage and virtual data sets are named only. What a hostile
file could make large is bounded: names, depth, attributes, and how much of an attribute is read.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from h5py import h5a, h5g, h5l, h5o

from nccli.reader.format import FORMAT
from nccli.reader.found import Found
from nccli.reader.limits import Limits
from nccli.reader.objects import (
    as_text,
    attributes_of,
    described,
    is_plain,
    not_followed,
    value_of,
)
from nccli.reader.opening import DAMAGE, address_of, identity_of, opened
from nccli.reader.schema import RANKS

MAX_ITEMS = 500  # our own: a checkpoint has about ten
MAX_DEPTH = 8  # our own: a checkpoint has two levels

_UNREADABLE = "cannot be read: damaged, or of a kind that h5py does not know"


def listing(path: str, *, limits: Limits) -> tuple[dict[str, Any], bytes]:
    """Return the names of a file in tree order, each with what it stands for."""
    del limits  # of a checkpoint's arrays: here nothing is read
    with opened(path) as file:
        root = h5o.open(file.id, b"/")
        found, more = _tree(root)
        told = {
            "checkpoint": _is_checkpoint(root),
            "attributes": attributes_of(root),
            "found": [dataclasses.asdict(one) for one in found],
            "more": more,
            "identity": identity_of(path),
        }
    return told, b""


def _is_checkpoint(root: h5g.GroupID) -> bool:
    """Whether names mean something: the file says that it is ours, or nothing that is read."""
    if not h5a.exists(root, b"format"):
        return False
    attribute = h5a.open(root, b"format")
    # h5py writes texts with a variable length unless told otherwise; these are not read here
    return not is_plain(attribute) or value_of(attribute) == FORMAT


@dataclass(slots=True, kw_only=True)
class _Node:
    item: Found
    group: h5g.GroupID | None = None  # None: nothing to list in it
    children: list[_Node] = field(default_factory=list)

    def items(self) -> Iterator[Found]:
        """What stands below, in tree order."""
        for child in self.children:
            yield child.item
            yield from child.items()


def _tree(root: h5g.GroupID) -> tuple[list[Found], int]:
    """Level by level, so that one group of many names does not hide its neighbours."""
    top = _Node(item=Found(path="", name="", kind="group", depth=-1), group=root)
    seen = {address_of(root): "/"}  # a group may hold itself
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
        node.children = [_node(node, name, kind, seen) for name, kind in links]
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


def _node(parent: _Node, name: bytes, link: int, seen: dict[tuple[int, int], str]) -> _Node:
    word = as_text(name)
    item = Found(
        path=f"{parent.item.path}/{word}", name=word, kind="other", depth=parent.item.depth + 1
    )
    try:
        if link != h5l.TYPE_HARD:
            return _Node(item=replace(item, **not_followed(parent.group, name, link)))
        if b"/" in name or name == b".":  # HDF5 would take it for a path, and walk along it
            return _Node(item=replace(item, note="never followed: its name reads as a path"))
        found = h5o.open(parent.group, name)
        item = replace(item, **described(found), attributes=attributes_of(found))
        if item.kind == "group":
            item = replace(item, present=_present(found))
        address = address_of(found)
    except DAMAGE:
        return _Node(item=replace(item, note=_UNREADABLE))
    if address in seen:
        return _Node(item=replace(item, same_as=seen[address]))
    seen[address] = item.path
    return _Node(item=item, group=found if item.kind == "group" else None)


def _present(group: h5g.GroupID) -> tuple[str, ...]:
    return tuple(name for name in RANKS if group.links.exists(name.encode()))
