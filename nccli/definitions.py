"""What each field of a result means, where from, and where other codes differ: `--definitions`.

Nothing is defined here. Everything is read off the fields of the result itself, so that the
documentation of a number cannot part from the number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from nccli.collapse_report import SYMBOLS, CollapseReport
from nccli.render import shown
from nccli.result import Quantity, quantities, quantity
from nccli.text import visible

INDENT = 2  # columns that a block's text stands in from its name
WAYS = {"lower": "lower is better", "higher": "higher is better"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One field of a result, documented; an empty text says that there is nothing to say."""

    name: str = quantity("field", "the JSON key and CSV header", default="")
    label: str = quantity("label", "its heading in tables and charts", default="")
    definition: str = quantity("definition", "formula in one line", default="")
    source: str = quantity("source", "who defined it", default="")
    elsewhere: str = quantity("elsewhere", "where other codes and papers differ", default="")
    on_test: str = quantity("other splits", "what differs on splits but train", default="")
    at_collapse: float | None = quantity("at collapse", "value at exact neural collapse")
    better: str | None = quantity("better", "lower or higher, where one of them is better")
    unit: str = quantity("unit", "empty for pure numbers", default="")


def definitions(result_type: Any = CollapseReport) -> list[Definition]:
    """Return the documentation of each field of a result class, in the order of the fields.

    Fields of a nested result come with its name before theirs, as in the column formats.
    """
    return _definitions(result_type, "")


def _definitions(result_type: Any, prefix: str) -> list[Definition]:
    found: list[Definition] = []
    for name, meaning in quantities(result_type).items():
        if meaning.nested is not None:
            found += _definitions(meaning.nested, f"{prefix}{name}_")
        else:
            found.append(_definition(prefix + name, meaning))
    return found


def _definition(name: str, meaning: Quantity) -> Definition:
    return Definition(
        name=name,
        label=meaning.label,
        definition=meaning.definition,
        source=meaning.source,
        elsewhere=meaning.elsewhere,
        on_test=meaning.on_test,
        at_collapse=meaning.ideal,
        better=meaning.better,
        unit=meaning.unit,
    )


# --- for people ---------------------------------------------------------------------------------


def definitions_text(found: Sequence[Definition], *, symbols: str = SYMBOLS) -> RenderableType:
    """A block for each documented field, a line for each that needs no more; wraps anywhere.

    symbols: a paragraph before everything that says what the letters of the formulas are.
    """
    parts: list[RenderableType] = [_text(symbols, "dim"), Text()] if symbols else []
    for documented, members in groupby(found, key=lambda one: bool(_facts(one))):
        if documented:
            parts += [_block(one) for one in members]
        else:
            parts += [_lines(list(members)), Text()]
    return Group(*parts)


def _text(words: str, style: str = "") -> Text:
    return Text(visible(words), style=style)


def _block(one: Definition) -> RenderableType:
    heading = _text(one.name, "bold")
    if one.label != one.name:
        heading.append(visible(f"  {one.label}"))
    facts = _columns(12, 1)
    for name, statements in _facts(one):
        mark = "·" if len(statements) > 1 else ""
        for index, statement in enumerate(statements):
            facts.add_row(_text("" if index else name, "dim"), mark, _text(statement))
    below = (0, 0, 0, INDENT)
    return Group(heading, Padding(_text(one.definition), below), Padding(facts, below), Text())


def _lines(found: Sequence[Definition]) -> Table:
    table = _columns(max(len(one.name) for one in found) + 1)
    for one in found:
        table.add_row(_text(one.name, "bold"), _text(one.definition or one.label))
    return table


def _columns(*widths: int) -> Table:
    """Columns of these widths, and one more that wraps."""
    table = Table.grid(padding=(0, 1, 0, 0))
    for width in widths:
        table.add_column(no_wrap=True, width=width)
    table.add_column(overflow="fold")
    return table


def _facts(one: Definition) -> list[tuple[str, list[str]]]:
    """What there is to say of a field beyond its definition: statements, by what they are about."""
    value = [] if one.at_collapse is None else [f"{shown(one.at_collapse)} at collapse"]
    value += [WAYS[one.better]] if one.better else []
    value += [f"in {one.unit}"] if one.unit else []
    facts = [
        ("source", [one.source]),
        ("elsewhere", one.elsewhere.split("; ")),
        ("other splits", one.on_test.split("; ")),
        ("value", ["; ".join(value)]),
    ]
    return [(name, statements) for name, statements in facts if any(statements)]
