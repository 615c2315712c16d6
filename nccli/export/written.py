"""Exported numbers as text: CSV with its origin in comments, JSON, and the picture itself.

Numbers round-trip. What is undefined is empty in CSV and null in JSON; infinity, which JSON does
not know, is null there as well.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from numbers import Integral, Real
from typing import Any

from nccli.charts import Binned, Series
from nccli.errors import UsageError
from nccli.export.parts import Matrix, Plotted
from nccli.export.provenance import Provenance
from nccli.text import visible

Row = Sequence[Any]
BIN = ("lower", "upper", "count", "confidence", "accuracy")
COMMENT = "#"
QUOTED = f'",{COMMENT}'  # readers that drop comments look for # in every bare field


def to_csv(plotted: Plotted, provenance: Provenance) -> str:
    """Return tidy CSV (RFC 4180, lines end in LF), a row a point, comments above.

    Columns: series, x (under its name), y and, where there is a spread, low and high (of panels,
    the panel first); or series with the bin's numbers; or series, row, column, cosine; or those of
    the table.
    """
    header, rows = _tidy(plotted)
    comments = [*provenance.lines(), *_marks(plotted)]
    lines = [f"{COMMENT} {_comment(line)}" for line in comments]
    lines.append(_line(header))
    lines += map(_line, rows) if rows is not None else _pair_lines(plotted.matrices)
    return "\n".join(lines) + "\n"


def to_json(plotted: Plotted, provenance: Provenance) -> str:
    """Return one JSON object: title, provenance, and the parts that there are."""
    found = {"title": plotted.title, "provenance": provenance.record(), **_parts(plotted)}
    return json.dumps(_strict(found), indent=2, allow_nan=False) + "\n"


def _parts(plotted: Plotted) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if plotted.panels:
        found["panels"] = [{"title": one.title, **_parts(one)} for one in plotted.panels]
    if plotted.series:
        found["x"] = {"label": plotted.x_label, "log": plotted.x_log}
        found["y"] = {"log": plotted.y_log}
        found["series"] = [_series_record(one) for one in plotted.series]
    if plotted.references:
        marks = [{"label": one.label, "value": one.value} for one in plotted.references]
        found["references"] = marks
    if plotted.diagrams:
        found["diagrams"] = [
            {"label": one.label, "bins": [dict(zip(BIN, _bin(b), strict=True)) for b in one.bins]}
            for one in plotted.diagrams
        ]
    if plotted.matrices:
        found["matrices"] = [_matrix_record(one) for one in plotted.matrices]
    if plotted.table is not None:
        found["table"] = {"columns": plotted.table.columns, "rows": plotted.table.rows}
    return found


def to_text(plotted: Plotted, provenance: Provenance) -> str:
    """Return the picture, then where it comes from; UsageError where there is no picture."""
    if not plotted.text:
        raise UsageError("no picture as text of this", remedy="export it as csv")
    picture = [visible(line).rstrip() for line in plotted.text.splitlines()]
    return "\n".join([*picture, "", *provenance.lines()]) + "\n"


# --- CSV ----------------------------------------------------------------------------------------


def _tidy(plotted: Plotted) -> tuple[Row, Iterator[Row] | None]:
    """The header and the rows; no rows of matrices, whose lines are made at once."""
    if plotted.panels:
        points = ((one, _points(one.series, spread=True)) for one in plotted.panels)
        rows = ((one.title, *point) for one, found in points for point in found)
        return ("panel", "series", plotted.panels[0].x_label or "x", "y", "low", "high"), rows
    if plotted.series:
        spread = any(len(one.low) or len(one.high) for one in plotted.series)
        header = ("series", plotted.x_label or "x", "y", *(("low", "high") if spread else ()))
        return header, _points(plotted.series, spread=spread)
    if plotted.diagrams:
        bins = ((one.label, *_bin(entry)) for one in plotted.diagrams for entry in one.bins)
        return ("series", *BIN), bins
    if plotted.matrices:
        return ("series", "row", "column", "cosine"), None
    assert plotted.table is not None  # nothing at all was refused before
    return plotted.table.columns, iter(plotted.table.rows)


def _points(series: Sequence[Series], *, spread: bool) -> Iterator[Row]:
    for one in series:
        nothing = (None,) * len(one.x)
        columns: list[Sequence[Any]] = [one.x, one.y]
        if spread:  # a curve may have none where another has
            columns += [values if len(values) else nothing for values in (one.low, one.high)]
        for point in zip(*columns, strict=True):
            yield (one.label, *point)


def _pair_lines(matrices: Sequence[Matrix]) -> Iterator[str]:
    """A line a pair: a thousand classes have a million, so no more is done for each than must."""
    for one in matrices:
        label, classes = _field(one.label), [_field(name) for name in one.classes]
        for row, cosines in zip(classes, one.values, strict=True):
            head = f"{label},{row},"
            for column, cosine in zip(classes, _plain(cosines), strict=True):
                yield f"{head}{column},{_field(cosine)}"


def _marks(plotted: Plotted) -> list[str]:
    """Theory, which is no point of any curve, as comments."""
    found = [
        ("reference", one.label, one.value)
        for chart in (plotted, *plotted.panels)
        for one in chart.references
    ]
    found += [("target", m.label, m.target) for m in plotted.matrices if m.target is not None]
    return [visible(f"{what}: {label}, {_number(value)}") for what, label, value in found]


def _line(row: Row) -> str:
    return ",".join(_field(cell) for cell in row) or '""'  # an empty line would be no row


def _field(value: Any) -> str:
    if type(value) is float and value == value:  # nearly always
        return repr(value)
    plain = _number(value)
    if plain is None or isinstance(plain, (int, float)):
        return "" if plain is None else repr(plain)
    return _quoted(plain)


@lru_cache(maxsize=4096)  # the same few labels come with every point
def _quoted(text: str) -> str:
    shown = visible(text)
    if shown.strip() == shown and not any(character in QUOTED for character in shown):
        return shown
    return '"' + shown.replace('"', '""') + '"'


def _comment(line: str) -> str:
    # a reader that takes a comment for a record would find the start of a quoted field here,
    # and look for its end in the lines below
    return line.replace(',"', ",\\x22")


# --- JSON ---------------------------------------------------------------------------------------


def _series_record(one: Series) -> dict[str, Any]:
    found = {"label": one.label, "x": one.x, "y": one.y}
    if len(one.low) or len(one.high):
        found |= {"low": one.low, "high": one.high}
    return found


def _matrix_record(one: Matrix) -> dict[str, Any]:
    return {
        "label": one.label,
        "classes": one.classes,
        "target": one.target,
        "cosines": one.values,
    }


def _bin(entry: Binned) -> Row:
    return [getattr(entry, name) for name in BIN]


def _strict(value: Any) -> Any:
    """JSON values of what may hold numpy's numbers, NaN and infinity."""
    if isinstance(value, dict):
        return {name: _strict(inner) for name, inner in value.items()}
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        plain = _number(value)
        return None if isinstance(plain, float) and not math.isfinite(plain) else plain
    return [_strict(inner) for inner in _plain(value)]


def _plain(values: Any) -> Any:
    """An array as Python's own numbers, which are quicker to write one by one."""
    return values.tolist() if hasattr(values, "tolist") else values


def _number(value: Any) -> str | int | float | bool | None:
    """Python's own number for any number; None for NaN; all else is text."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if type(value) is float:  # nearly always; the abstract classes below are slow
        return None if value != value else value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return None if math.isnan(value) else float(value)
    return str(value)
