"""What stands in a checkpoint file, as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nccli.tables import grid, short_path
from nccli.text import visible

if TYPE_CHECKING:
    from nccli.contents import Item, Listing


def contents_tables(listings: Sequence[Listing]) -> RenderableType:
    """A file after the other: attributes of its root, the tree, what is read for what, verdict."""
    parts: list[RenderableType] = []
    for listing in listings:
        parts += [Text()] if parts else []
        parts.append(_text(short_path(listing.path), "bold"))
        if listing.size is not None:
            parts += [_text(f"{listing.size:,} bytes, written {listing.modified}", "dim")]
            parts += [_pairs(listing.attributes), Text(), _tree(listing.items), Text()]
            parts += [_text(f"{listing.more:,} more names", "dim")] if listing.more else []
            parts += [_read_for(listing.items)]
        sound = Text("✓ can be analysed", style="green")
        parts.append(sound if listing.ok else _text(f"✗ {listing.problem}", "red"))
    return Group(*parts)


def _pairs(pairs: Iterable[tuple[str, str]]) -> Table:
    table = grid("attribute")
    table.add_column("value", overflow="fold")
    for name, value in pairs:
        table.add_row(_text(name), _text(value))
    return table


def _tree(items: Sequence[Item]) -> Table:
    table = grid("in the file", "shape", "type", "bytes")
    table.add_column("stored", overflow="fold")
    table.add_column("note", overflow="fold")
    for item in items:
        name = "  " * item.depth + item.path.rpartition("/")[2]
        slash = "/" if item.kind == "group" else ""
        shape = "" if item.shape is None else "x".join(map(str, item.shape)) or "one"
        size = "" if item.size is None else f"{item.size:,}"
        stored = item.layout or ("" if item.kind == "group" else item.kind)
        cells = (name + slash, shape, item.dtype or "", size, stored, item.note or "")
        table.add_row(*map(_text, cells))
    return table


def _read_for(items: Sequence[Item]) -> RenderableType:
    table = grid("data set")
    table.add_column("is read for", overflow="fold")
    paths: dict[str, list[str]] = {}
    for item in items:
        paths.setdefault(item.read_for, []).append(visible(item.path))
    for words, places in paths.items():
        if words:
            table.add_row(Text("\n".join(places)), _text(words))
    return Group(table, Text()) if table.row_count else Group()


def _text(value: object, style: str = "") -> Text:
    return Text(visible(value), style=style)
