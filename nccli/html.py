"""HTML of results: tables of numbers, every word escaped; no script, nothing from outside."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from typing import Any

from nccli.text import visible

NONE = "–"
_NUMERIC = re.compile(r"[×Δ]? ?−?\d[\d.,e+−-]*( ± [\d.e+-]+)?$|\[")  # also what is made of numbers


def escaped(text: object) -> str:
    """Return text from anywhere as HTML that shows it and does nothing else."""
    return html.escape(visible(text))


def number(value: Any) -> str:
    """Return a value for a cell: four significant digits, a dash for what is undefined."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NONE
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return escaped(value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**15 else f"{value:.4g}"
    return f"{value:.4g}".replace("-", "−")


def table(
    headings: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    caption: str = "",
    titles: Sequence[str] = (),
) -> str:
    """Return a table; the first column heads its row, numbers stand on the right.

    titles: what each row's heading says when the pointer rests on it.
    """
    head = "".join(f'<th scope="col">{escaped(one)}</th>' for one in headings)
    told = f"<caption>{escaped(caption)}</caption>" if caption else ""
    body = "".join(_row(row, titles[at] if at < len(titles) else "") for at, row in enumerate(rows))
    return f"<table>{told}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(row: Sequence[Any], title: str) -> str:
    said = f' title="{escaped(title)}"' if title else ""
    first = f'<th scope="row"{said}>{number(row[0])}</th>'
    return f"<tr>{first}{''.join(_cell(value) for value in row[1:])}</tr>"


def _cell(value: Any) -> str:
    shown = number(value)
    kind = ' class="number"' if shown == NONE or _NUMERIC.match(shown) else ""
    return f"<td{kind}>{shown}</td>"
