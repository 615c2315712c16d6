"""Results as tables for people (rich renderables; text from files is never markup)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from nccli.conventions import Convention, meanings, reading
from nccli.render import shown
from nccli.result import quantities
from nccli.runs import epoch_of, run_folder, run_of
from nccli.text import group_name, visible

if TYPE_CHECKING:  # names of types only: these modules bring scipy in
    from nccli.charts import Chart
    from nccli.compare import Claim, Comparison
    from nccli.ufm import UFMReport
    from nccli.validate import Finding

MAX_SIDE_BY_SIDE = 3  # results that stand beside each other as columns; more become rows
_VERDICT_STYLES = {"supported": "green", "not supported": "red", "undecided": "yellow"}
_VERDICT_MARKS = {"supported": "✓", "not supported": "✗", "undecided": "?"}


def results_table(results: Sequence[Any], convention: Convention | None = None) -> RenderableType:
    """A few results side by side with every number; many as rows with the brief ones, by run.

    convention: the source whose headings and scales are shown, of collapse metrics; None: ours.
    """
    side_by_side = len(results) <= MAX_SIDE_BY_SIDE and len({one.path for one in results}) == 1
    parts = [_full(results, convention)] if side_by_side else _by_run(results, convention)
    return Group(*parts, *([] if convention is None else [_text(convention.line, "dim")]))


def grid(*headings: str, title: str = "") -> Table:
    """A table without lines; the first column on the left, numbers on the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), title=_text(title, "bold"),
                  title_justify="left", header_style="bold", show_header=True)  # fmt: skip
    for place, heading in enumerate(headings):
        table.add_column(_text(heading), justify="right" if place else "left")
    return table


def _text(value: object, style: str = "") -> Text:
    return Text(visible(value), style=style)


# --- a few results, every number ----------------------------------------------------------------


def _full(results: Sequence[Any], convention: Convention | None) -> RenderableType:
    rows = [reading(result, convention) for result in results]
    if "theory_trace_w" in rows[0] and len(rows) == 1:
        from nccli.hessian_table import against_theory

        return against_theory(results[0])
    table = grid()
    table.add_column("")
    columns = [column for row in rows for column in _columns_of(row)]
    for name, _ in columns:
        table.add_column(_text(name), justify="right")
    ideals = any(meaning.ideal is not None for meaning in quantities(results[0]).values())
    ideals = ideals and "intervals" not in rows[0]  # 80 columns hold no more
    if ideals:
        table.add_column("at collapse", justify="right", style="dim")
    for name, meaning in meanings(results[0], convention).items():
        if name in _HEADING or not _is_number_row(rows, name):
            continue
        cells = [_text(shown(row[name]) if name in row else "") for _, row in columns]
        ideal = [_text("" if meaning.ideal is None else shown(meaning.ideal))] if ideals else []
        table.add_row(_text(meaning.label), *cells, *ideal)
    return Group(result_heading(results[0]), table)


def _columns_of(row: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """A split's own column, and beside it its intervals."""
    columns = [(row["split"], row)]
    if row.get("intervals") is not None:
        found = {name: _interval(one) for name, one in row["intervals"].items()}
        columns.append(("95 % interval", found))
    return columns


def _interval(one: dict[str, Any] | None) -> str:
    return "" if one is None else f"[{one['low']:.3g}, {one['high']:.3g}]"


_HEADING = (
    "path", "split", "epoch", "loss_name", "label_smoothing", "seed", "num_classes", "dim", "notes",
    "intervals", "rank_cut", "rank_gap",
)  # fmt: skip


def _is_number_row(rows: list[dict[str, Any]], name: str) -> bool:
    if name in ("num_present", "num_present_train"):  # news only where a class is missing
        return any(row[name] != row["num_classes"] for row in rows)
    return not any(isinstance(row[name], (dict, list, str)) for row in rows)


def as_text(chart: Chart) -> Text:
    """Turn a chart into a rich text, ready to be printed."""
    text = Text(no_wrap=True)
    for index, row in enumerate(chart.rows):
        text.append("\n" if index else "")
        for span in row:
            text.append(span.text, style=span.style)
    return text


def result_heading(result: Any, *words: str) -> Text:
    """The file of a result in bold, below it what the file says of itself, and more words."""
    parts = [group_name(result.loss_name, result.label_smoothing)] if result.loss_name else []
    parts += [f"epoch {result.epoch}"] if result.epoch is not None else []
    parts += [f"seed {result.seed}"] if result.seed is not None else []
    if hasattr(result, "dim"):
        parts += [f"K={result.num_classes} d={result.dim}"]
    heading = _text(short_path(result.path), "bold")
    return heading.append("\n" + visible("  ".join([*parts, *words])), style="dim")


def short_path(path: str | None) -> str:
    """A path relative to here where that is shorter."""
    if path is None:
        return ""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(path) else path


# --- many results, one line each ----------------------------------------------------------------


def _by_run(results: Sequence[Any], convention: Convention | None) -> Iterable[RenderableType]:
    groups = [list(members) for _, members in groupby(results, key=run_of)]
    for index, members in enumerate(groups):
        if index:
            yield Text()
        yield _run_heading(members)
        yield _brief(members, convention)


def _run_heading(members: Sequence[Any]) -> Text:
    first = members[0]
    heading = _text(short_path(_only_file(members) or run_folder(first.path)), "bold")
    loss = group_name(first.loss_name, first.label_smoothing) if first.loss_name else ""
    seed = "" if first.seed is None else f"seed {first.seed}"
    return heading.append(visible(f"  {loss}  {seed}"), style="dim")


def _is_loose(result: Any) -> bool:
    """Whether a file's name does not tell its epoch, as those of a run do."""
    return result.path is not None and epoch_of(Path(result.path)) is None


def _only_file(members: Sequence[Any]) -> str | None:
    """The one loose file that all of some results are of."""
    paths = {result.path for result in members}
    return members[0].path if len(paths) == 1 and _is_loose(members[0]) else None


def _brief(members: Sequence[Any], convention: Convention | None) -> Table:
    table = grid()
    columns = {name: one for name, one in meanings(members[0], convention).items() if one.brief}
    by_file = any(result.epoch is None or _is_loose(result) for result in members)
    by_file &= _only_file(members) is None  # else the heading has it
    if by_file or all(result.epoch is None for result in members):
        columns.pop("epoch", None)
    if by_file:
        table.add_column("file", overflow="fold")
    for meaning in columns.values():
        table.add_column(_text(meaning.label), justify="right", overflow="fold")
    for result in members:
        row = reading(result, convention)
        name = [_text(Path(result.path).name)] if by_file else []
        table.add_row(*name, *(_text(shown(row[column])) for column in columns))
    return table


# --- the closed form ----------------------------------------------------------------------------

_WHICH = (
    "kappa, loss only: of the loss-only W and H blocks, the paper's notion (arXiv 2402.03979); "
    "label smoothing always makes it smaller for K >= 3, exactly linearly in delta.",
    "kappa, regularised blocks: with the penalties; NOT always smaller under label smoothing, it "
    "rises with delta where the penalties are weak.",
    "kappa, joint: of the whole Hessian in (W, H), what gradient descent meets; zero modes left "
    "out.",
)


def closed_form(reports: Sequence[UFMReport]) -> RenderableType:
    """Minimiser and condition numbers, a column a delta; the spectrum where there is one."""
    table = grid()
    table.add_column("")
    for report in reports:
        name = "CE" if report.label_smoothing == 0 else f"LS {report.label_smoothing:g}"
        table.add_column(name, justify="right")
    for name, meaning in quantities(reports[0]).items():
        if name not in (*_PROBLEM, "spectrum", "notes"):
            table.add_row(meaning.label, *(shown(getattr(report, name)) for report in reports))
    which = [Text(line, style="dim") for line in _WHICH]
    parts: list[RenderableType] = [_problem(reports[0]), table, Text(), *which]
    if len(reports) == 1:
        parts += [Text(), _spectrum(reports[0])]
    return Group(*parts)


_PROBLEM = ("num_classes", "per_class", "dim", "lambda_w", "lambda_h", "label_smoothing")


def _problem(report: UFMReport) -> Text:
    words = f"K={report.num_classes} n={report.per_class} d={report.dim}"
    penalties = f"lambda_W={report.lambda_w:g} lambda_H={report.lambda_h:g}"
    return Text(f"unconstrained feature model  {words}  {penalties}", style="bold")


def _spectrum(report: UFMReport) -> Table:
    table = grid(title="joint spectrum")
    table.add_column("eigenvalue", justify="right")
    table.add_column("multiplicity", justify="right")
    table.add_column("block")
    for entry in report.spectrum:
        table.add_row(shown(entry.value), f"{entry.multiplicity:,}", entry.block)
    return table


# --- findings of a check ------------------------------------------------------------------------


def findings_table(findings: Sequence[Finding]) -> RenderableType:
    """One line a file, by run: sound or not, what it holds."""
    parts: list[RenderableType] = []
    for folder, members in groupby(findings, key=lambda finding: run_folder(finding.path)):
        parts += [_text(short_path(folder), "bold"), _findings(list(members))]
    return Group(*parts)


def _findings(findings: Sequence[Finding]) -> Table:
    table = grid()
    noted = any(finding.notes or not finding.ok for finding in findings)
    verified = any(finding.integrity != "not checked" for finding in findings)
    more = [*(["content"] if verified else []), *(["notes"] if noted else [])]
    for heading in ("", "file", "epoch", "K", "d", "samples", *more):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        mark = Text("✓", style="green") if finding.ok else Text("✗", style="red")
        notes = "; ".join(finding.notes) if finding.ok else finding.problem
        table.add_row(
            mark,
            _text(Path(finding.path).name),
            *(shown(value) for value in (finding.epoch, finding.num_classes, finding.dim)),
            _text(", ".join(finding.splits)),
            *([_text(_verified(finding))] if verified else []),
            *([_text(notes)] if noted else []),
        )
    return table


def _verified(finding: Finding) -> str:
    if finding.integrity == "failed":
        return "no hash" if finding.content_sha256 is None else "not as written"
    return "verified" if finding.integrity == "ok" else ""


# --- cross-entropy beside label smoothing -------------------------------------------------------


def comparison_table(rows: Sequence[Comparison]) -> Table:
    """Means and spread of both groups, their ratio (Δ: difference), and which is better."""
    table = grid()
    table.add_column("last epoch", no_wrap=True)
    for heading in (rows[0].baseline, rows[0].other, "ratio, 95 % interval"):
        table.add_column(_text(heading), justify="right", overflow="fold")
    table.add_column("better", no_wrap=True)
    for row in rows:
        if row.baseline_mean is not None or row.other_mean is not None:
            table.add_row(*_comparison_cells(row))
    return table


def _comparison_cells(row: Comparison) -> list[RenderableType]:
    interval = "" if row.low is None or row.high is None else _ends(row.low, row.high)
    change = "" if row.ratio is None else f"{row.ratio:.2g}"
    if row.ratio is None and row.difference is not None:
        change = f"Δ{row.difference:+.1g}"
        interval = "" if row.low is None or row.high is None else _ends(row.low, row.high, 1)
    style = "" if row.winner is None else "bold"
    return [
        _text(row.label),
        mean_and_spread(row.baseline_mean, row.baseline_std),
        mean_and_spread(row.other_mean, row.other_std),
        change + interval,
        _text((row.winner or ("" if row.better is None else "–")).partition(" ")[0], style),
    ]


def _ends(low: float, high: float, digits: int = 2) -> str:
    """The ends of an interval, with the digits that tell them apart."""
    while digits < 4 and f"{low:.{digits}g}" == f"{high:.{digits}g}":
        digits += 1
    return f" [{low:.{digits}g}, {high:.{digits}g}]"


def mean_and_spread(mean: float | None, spread: float | None) -> str:
    """`0.0314 ± 0.002`, or the mean alone where there is one run."""
    if mean is None:
        return "–"
    value = f"{mean:.3g}" if abs(mean) < 1e5 else f"{mean:.1e}"
    if spread is None:
        return value
    return f"{value} ± {spread:.0f}" if 10 <= spread < 1e5 else f"{value} ± {spread:.1g}"


def claims_table(claims: Sequence[Claim]) -> RenderableType:
    """Each statement of the paper, the verdict, and beneath it the evidence."""
    lines: list[RenderableType] = []
    for claim in claims:
        style = _VERDICT_STYLES[claim.verdict]
        line = Text(f"{_VERDICT_MARKS[claim.verdict]} {claim.verdict:<13} ", style=style)
        lines.append(line.append(visible(claim.statement), style="default"))
        lines.append(Padding(_text(claim.evidence, "dim"), (0, 0, 0, 4)))
    return Group(*lines)
