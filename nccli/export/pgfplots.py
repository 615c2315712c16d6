r"""Exported numbers as a pgfplots picture: for documents that draw their figures themselves.

\input it in a document that loads pgfplots with the libraries fillbetween and groupplots, and
amssymb. The numbers stand in it, in full, the origin in comments above.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from string import ascii_uppercase
from typing import Any

from nccli.charts import Reference, Series
from nccli.charts.palette import LIGHT
from nccli.errors import UsageError
from nccli.escapes import escaped
from nccli.export.parts import Diagram, Matrix, Plotted
from nccli.export.provenance import Provenance

MARKS = ("*", "triangle*", "square*", "diamond*", "pentagon*", "o", "triangle", "square")
COLOURS = "colormap={nccli}{rgb255=(0,114,178) rgb255=(247,247,247) rgb255=(213,94,0)}"
NEEDS = r"needs \usepackage{pgfplots,amssymb} \usepgfplotslibrary{fillbetween,groupplots}"


def to_tex(plotted: Plotted, provenance: Provenance) -> str:
    """Return a tikzpicture with the numbers in it; UsageError of what is only a table."""
    if not plotted.drawable:
        raise UsageError("a table is no figure", remedy="export it as csv")
    lines = [f"% {line}" for line in (*provenance.lines(), NEEDS)]
    lines += [r"\begin{tikzpicture}", *_colours()]
    charts = plotted.panels or (plotted,)
    groups = [part for at, chart in enumerate(charts) for part in _axes(chart, key=at == 0)]
    columns = min(len(groups), 2)
    rows = math.ceil(len(groups) / columns)
    spacing = f"horizontal sep={3.0 if plotted.matrices else 1.6}cm, vertical sep=1.8cm"
    style = f"group style={{group size={columns} by {rows}, {spacing}}}"
    look = r"unbounded coords=jump, legend style={draw=none, font=\small}"
    lines.append(rf"\begin{{groupplot}}[{style}, {look}]")
    for options, content in groups:
        lines += [rf"\nextgroupplot[{', '.join(options)}]", *content]
    lines += [r"\end{groupplot}", r"\end{tikzpicture}"]
    return "\n".join(lines) + "\n"


_Axis = tuple[list[str], list[str]]  # options, content


def _axes(chart: Plotted, *, key: bool) -> Iterator[_Axis]:
    if chart.series:
        yield _curves(chart, key=key)
    yield from (_diagram(one) for one in chart.diagrams)
    yield from (_matrix(one) for one in chart.matrices)


def _colours() -> Iterator[str]:
    for name, colour in zip(ascii_uppercase, LIGHT, strict=False):
        yield rf"\definecolor{{nccli{name}}}{{HTML}}{{{colour.lstrip('#').upper()}}}"


def _colour(kind: int) -> str:
    return f"nccli{ascii_uppercase[kind % len(LIGHT)]}"


# --- curves -------------------------------------------------------------------------------------


def _curves(chart: Plotted, *, key: bool) -> _Axis:
    options = [f"title={{{escaped(chart.title)}}}", f"xlabel={{{escaped(chart.x_label)}}}"]
    options += [f"{axis}mode=log" for axis, log in (("x", chart.x_log), ("y", chart.y_log)) if log]
    content = [line for at, one in enumerate(chart.series) for line in _curve(at, one)]
    content += [
        rf"\legend{{{', '.join(f'{{{escaped(one.label)}}}' for one in chart.series)}}}"
    ] * key
    places = [x for one in chart.series for x in one.x if x is not None and math.isfinite(x)]
    content += [_reference(one, places) for one in chart.references if places]
    return options, content


def _curve(at: int, one: Series) -> Iterator[str]:
    colour = _colour(one.kind)
    if len(one.low) and len(one.high):
        for name, values in (("low", one.low), ("high", one.high)):
            path = f"name path={name}{at}, draw=none, forget plot"
            yield rf"\addplot[{path}] table {{{_table(one.x, values)}}};"
        fill = f"{colour}, fill opacity=0.18, draw=none, forget plot"
        yield rf"\addplot[{fill}] fill between[of=low{at} and high{at}];"
    mark = MARKS[one.kind % len(MARKS)]
    style = f"{colour}, thick, mark={mark}, mark size=1.5pt"
    yield rf"\addplot[{style}] table {{{_table(one.x, one.y)}}};"


def _reference(one: Reference, places: Sequence[float]) -> str:
    ends = f"({_number(min(places))},{_number(one.value)}) ({_number(max(places))},"
    return (
        rf"\addplot[gray, dashed, forget plot] coordinates {{{ends}{_number(one.value)})}} "
        rf"node[pos=0.5, above, font=\tiny] {{{escaped(one.label)}}};"
    )


def _table(*columns: Sequence[Any]) -> str:
    rows = (" ".join(_number(value) for value in row) for row in zip(*columns, strict=True))
    return "\n" + "\n".join(rows) + "\n"


# --- diagrams and matrices ----------------------------------------------------------------------


def _diagram(one: Diagram) -> _Axis:
    options = [f"title={{{escaped(one.label)}}}", "xlabel={confidence}", "ylabel={accuracy}"]
    options += ["xmin=0", "xmax=1", "ymin=0", "ymax=1"]
    content = [r"\addplot[gray, dashed, forget plot] coordinates {(0,0) (1,1)};"]
    told = [entry for entry in one.bins if entry.accuracy is not None]
    colour = _colour(one.kind)
    content += [
        rf"\draw[{colour}, fill={colour}, fill opacity=0.35] (axis cs:{_number(entry.lower)},0) "
        rf"rectangle (axis cs:{_number(entry.upper)},{_number(entry.accuracy)});"
        for entry in told
    ]
    points = _table([e.confidence for e in told], [e.accuracy for e in told])
    content.append(rf"\addplot[only marks, mark=-, black] table {{{points}}};")
    return options, content


def _matrix(one: Matrix) -> _Axis:
    size = len(one.classes)
    others = [abs(value) for at, row in enumerate(one.values) for value in _others(at, row)]
    limit = max(others, default=1.0)
    options = [f"title={{{escaped(one.label)}}}", "xlabel={class}", "ylabel={class}"]
    options += ["y dir=reverse", "enlargelimits=false", "axis on top", "unit vector ratio=1 1"]
    options += ["colorbar", f"point meta min={-limit!r}", f"point meta max={limit!r}", COLOURS]
    rows = [
        f"{column} {row} {_number(value)}"
        for row, values in enumerate(one.values)
        for column, value in enumerate(values)
    ]
    table = "x y c\n" + "\n".join(rows) + "\n"
    style = f"matrix plot*, point meta=explicit, mesh/cols={size}"
    return options, [rf"\addplot[{style}] table[x=x, y=y, meta=c] {{{table}}};"]


def _others(at: int, row: Sequence[float]) -> Iterator[float]:
    """The cosines with other classes: those with itself are all one."""
    return (float(value) for place, value in enumerate(row) if place != at)


def _number(value: Any) -> str:
    return "nan" if value is None or not math.isfinite(value) else repr(float(value))
