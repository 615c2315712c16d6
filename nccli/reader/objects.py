"""One object of an HDF5 file, described without reading its data: type, layout, attributes.

Low-level calls only: the sizes of things are looked at before anything is read.
"""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5s, h5t

from nccli.reader.found import Kind, Pairs
from nccli.reader.opening import DAMAGE

MAX_ATTRIBUTES = 64  # of one object
MAX_VALUE_BYTES = 4096  # of an attribute that is read at all
MAX_TEXT = 200  # characters of a name or value


class Described(TypedDict, total=False):
    """Fields of `nccli.reader.found.Found`."""

    kind: Kind
    shape: tuple[int, ...] | None
    dtype: str
    layout: str
    size: int
    note: str | None


def not_followed(group: h5g.GroupID, name: bytes, kind: int) -> Described:
    """Say where a link that is no hard link would lead."""
    if kind not in (h5l.TYPE_SOFT, h5l.TYPE_EXTERNAL):
        return {"note": "never followed: a link of an unknown kind"}
    target = group.links.get_val(name)
    if kind == h5l.TYPE_SOFT:
        return {"kind": "soft link", "note": f"never followed: {as_text(target)}"}
    file, inside = target
    return {"kind": "external link", "note": f"never followed: {as_text(file)} {as_text(inside)}"}


def described(found: Any) -> Described:
    """Say what a group, data set or named type is; `found` is h5py's low-level id."""
    if isinstance(found, h5g.GroupID):
        return {"kind": "group"}
    if not isinstance(found, h5d.DatasetID):
        return {"dtype": _type(found), "note": "a named type"}
    plist, dtype = found.get_create_plist(), _type(found.get_type())
    if plist.get_layout() == h5d.VIRTUAL:  # even to ask for its shape may open other files
        return {"kind": "virtual data set", "dtype": dtype, "note": "never followed"}
    space = found.get_space()
    null = space.get_simple_extent_type() == h5s.NULL
    shape = None if null else space.get_simple_extent_dims()
    told: Described = {"kind": "data set", "dtype": dtype, "shape": shape}
    if plist.get_external_count():
        note = f"never followed: {as_text(plist.get_external(0)[0])}"
        return {**told, "kind": "external storage", "note": note}
    size = found.get_storage_size()
    unwritten = not null and not size and space.get_simple_extent_npoints() > 0
    layout = "never written" if unwritten else _layout(plist)
    return {
        **told,
        "layout": layout,
        "size": size,
        "note": "holds nothing (null)" if null else None,
    }


_LAYOUTS = {h5d.COMPACT: "compact", h5d.CONTIGUOUS: "contiguous"}
_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset",
            32000: "lzf"}  # fmt: skip


def _layout(plist: Any) -> str:
    if plist.get_layout() != h5d.CHUNKED:
        return _LAYOUTS.get(plist.get_layout(), "unknown")
    chunk = "x".join(str(length) for length in plist.get_chunk())
    return _short(", ".join([f"chunked {chunk}", *(name for _, name in filters_of(plist))]))


def filters_of(plist: Any) -> list[tuple[int, str]]:
    """Return number and name of each filter that a data set's chunks are packed by."""
    codes = [plist.get_filter(index)[0] for index in range(plist.get_nfilters())]
    return [(code, _FILTERS.get(code, f"filter {code}")) for code in codes]


_CLASSES = {
    h5t.COMPOUND: "compound", h5t.ARRAY: "array", h5t.VLEN: "list of variable length",
    h5t.REFERENCE: "reference", h5t.OPAQUE: "opaque", h5t.TIME: "time",
}  # fmt: skip


def _type(kind: h5t.TypeID) -> str:
    if kind.get_class() in _CLASSES:
        return _CLASSES[kind.get_class()]
    if kind.get_class() == h5t.STRING:
        length = kind.get_size()
        return "string of variable length" if kind.is_variable_str() else f"string[{length}]"
    try:
        return _short(str(kind.dtype))
    except DAMAGE:
        return "a type that numpy does not know"


# --- attributes -----------------------------------------------------------------------------------


def attributes_of(found: Any) -> Pairs:
    """Names and values; where there are too many, the last pair says how many more."""
    names: list[bytes] = []

    def note(name: bytes) -> bool | None:
        names.append(name)
        return len(names) >= MAX_ATTRIBUTES or None

    h5a.iterate(found, note)
    pairs = [(as_text(name), _readable_value(found, name)) for name in names]
    left = h5a.get_num_attrs(found) - len(names)
    return (*pairs, *([("…", f"{left:,} more, not shown")] if left else []))


def _readable_value(found: Any, name: bytes) -> str:
    try:
        return value_of(h5a.open(found, name))
    except DAMAGE:
        return "cannot be read"


def value_of(attribute: h5a.AttrID) -> str:
    """The value as text, or what it is where it is not read."""
    space = attribute.get_space()
    if space.get_simple_extent_type() == h5s.NULL:
        return "nothing (null)"
    if not is_plain(attribute):
        shape = "x".join(str(length) for length in attribute.shape)
        return f"{_type(attribute.get_type())}{' of shape ' if shape else ''}{shape}, not shown"
    values = np.empty(attribute.shape, attribute.dtype)
    attribute.read(values)
    return _short(", ".join(_word(value) for value in values.reshape(-1).tolist()))


def is_plain(attribute: h5a.AttrID) -> bool:
    """Whether it is small and of numbers or texts of a fixed length: its size is known."""
    kind = attribute.get_type()
    if kind.get_class() not in (h5t.INTEGER, h5t.FLOAT, h5t.ENUM, h5t.STRING):
        return False
    endless = kind.get_class() == h5t.STRING and kind.is_variable_str()
    return not endless and attribute.get_storage_size() <= MAX_VALUE_BYTES


def _word(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def as_text(value: bytes | str) -> str:
    """A name or value of a file, shortened; its control characters are left to the renderers."""
    return _short(_word(value))


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
