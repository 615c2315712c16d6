"""Results as text that other programs read: JSON, JSON lines, CSV, Markdown, plain columns.

The same results give the same bytes. Numbers round-trip; what is undefined is null or empty.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from nccli.errors import UsageError
from nccli.result import flat, record
from nccli.text import visible

FORMATS = ("auto", "table", "json", "jsonl", "csv", "md", "latex")
FOR_PEOPLE = ("table", "latex")  # made of the tables; the others are made of the results
PLAIN = "plain"  # what "auto" means on a pipe: columns between tabs


def resolve_format(name: str, *, terminal: bool) -> str:
    """Return the format that a --format word means here; raises UsageError on an unknown one."""
    if name not in FORMATS:
        raise UsageError(f"unknown format '{name}'", remedy=f"try one of: {', '.join(FORMATS)}")
    if name == "auto":
        return "table" if terminal else PLAIN
    return name


def rendered(results: Sequence[Any], *, form: str) -> str:
    """Return results in a machine format, ending in a newline (nothing where there are none)."""
    if form == "json":
        return to_json(results)
    if form == "jsonl":
        return "".join(to_json_line(result) for result in results)
    rows = [flat(result) for result in results]
    if not rows:
        return ""
    header = list(rows[0])
    cells = [[exact(row[name]) for name in header] for row in rows]
    if form == "csv":
        return _csv(header, cells)
    if form == "md":
        return _markdown(header, cells)
    return "".join("\t".join(line) + "\n" for line in [header, *cells])


def to_json(results: Sequence[Any]) -> str:
    """Return an array of objects, one a result."""
    return json.dumps([record(result) for result in results], indent=2, allow_nan=False) + "\n"


def to_json_line(result: Any) -> str:
    """Return one result as one line."""
    return json.dumps(record(result), allow_nan=False) + "\n"


def exact(value: Any) -> str:
    """Return a value as text that reads back as the same value; undefined is empty."""
    if value is None:
        return ""
    if isinstance(value, list):
        return "; ".join(exact(item) for item in value)
    return repr(value) if isinstance(value, float) else visible(value)


def shown(value: Any) -> str:
    """Return a value for people: four significant digits, `–` where undefined."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(shown(item) for item in value)
    return visible(value)


def _csv(header: list[str], rows: list[list[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *rows])
    return text.getvalue()


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "".join("| " + " | ".join(line) + " |\n" for line in escaped)
