"""What a field of a result means: one declaration per column, read by every renderer.

A result is a frozen dataclass whose fields carry a `Quantity`. The field's name is the JSON key,
the CSV header and the table column; its label, unit, value at collapse and definition stand in
the `Quantity`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

Better = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """The meaning of one field of a result."""

    label: str  # for people: a table heading or chart title
    definition: str = ""  # one line, in the symbols of the paper
    source: str = ""  # who defined it
    elsewhere: str = ""  # where other codes and papers differ from this definition
    on_test: str = ""  # what is different on a split other than train
    unit: str = ""
    ideal: float | None = None  # its value at exact neural collapse, where there is one
    better: Better | None = None  # which way is better, where that makes sense
    brief: bool = False  # belongs into a table with one line a checkpoint
    nested: type | None = None  # the value is a result of this type, or None
    records: bool = False  # the value is a list of records: for JSON, not for columns


class Shown:
    """A result that a notebook shows as a table: each number with its name and definition."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from nccli import html  # only notebooks ask

        meanings = quantities(self)
        rows, titles = [], []
        for name, meaning in meanings.items():
            if meaning.nested is None and not meaning.records and name != "notes":
                rows.append((meaning.label, plain(getattr(self, name)), name))
                titles.append(meaning.definition)
        told = "".join(f"<p>{html.escaped(note)}</p>" for note in getattr(self, "notes", ()))
        caption = type(self).__name__
        return html.table(("", "value", "field"), rows, caption=caption, titles=titles) + told


def quantity(label: str, definition: str = "", **meaning: Any) -> Any:
    """Declare a dataclass field together with its `Quantity`; its default is None (undefined)."""
    default = meaning.pop("default", None)
    described = Quantity(label=label, definition=definition, **meaning)
    return dataclasses.field(default=default, metadata={"quantity": described})


def same_as(result_type: Any, name: str) -> Any:
    """Declare a field that means what a field of another result means."""
    field = result_type.__dataclass_fields__[name]
    return dataclasses.field(default=field.default, metadata=field.metadata)


def quantities(result_type: Any) -> dict[str, Quantity]:
    """Return the `Quantity` of each field of a result class (or of an instance), in order."""
    return {
        field.name: field.metadata.get("quantity", Quantity(label=field.name))
        for field in dataclasses.fields(result_type)
    }


def record(result: Any) -> dict[str, Any]:
    """Return a result as plain JSON values; what is undefined or not finite becomes None."""
    return {field.name: plain(getattr(result, field.name)) for field in dataclasses.fields(result)}


def columns(result_type: Any, prefix: str = "") -> list[str]:
    """Return the names of the columns of a result: those of a nested one with its name before."""
    names: list[str] = []
    for name, meaning in quantities(result_type).items():
        if meaning.nested is not None:
            names += columns(meaning.nested, f"{prefix}{name}_")
        elif not meaning.records:
            names.append(prefix + name)
    return names


def flat(result: Any) -> dict[str, Any]:
    """Return a result as one row of plain values, always with all columns of its type."""
    return dict.fromkeys(columns(type(result))) | _flat(result, "")


def _flat(result: Any, prefix: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, meaning in quantities(result).items():
        value = getattr(result, name)
        if meaning.nested is not None:
            row |= {} if value is None else _flat(value, f"{prefix}{name}_")
        elif not meaning.records:
            row[prefix + name] = plain(value)
    return row


def plain(value: Any) -> Any:
    """Return one value as JSON can hold it (dict, list, str, int, float, bool or None)."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return record(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if hasattr(value, "item"):  # a numpy scalar
        return plain(value.item())
    raise TypeError(f"a result cannot hold a {type(value).__name__}")
