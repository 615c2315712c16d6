"""The tables of the page, as HTML; a section without content is an empty string."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from nccli.calibration_report import CalibrationReport, Scores
from nccli.collapse_report import CollapseReport
from nccli.compare import Claim, Comparison, are_the_papers, claims
from nccli.definitions import definitions
from nccli.export import Origin
from nccli.export.provenance import gather
from nccli.groups import Group, Pair
from nccli.hessian_report import HessianReport
from nccli.html import NONE, escaped, number, table
from nccli.result import plain, quantities
from nccli.trajectory import Trajectory

NOT_NUMBERS = {"path", "split", "loss_name", "label_smoothing", "seed", "notes", "epoch"}
MARKS = {"supported": "✓", "not supported": "✗", "undecided": "?"}


def _scroll(content: str) -> str:
    return f'<div class="scroll">{content}</div>'


def _everyone(groups: Sequence[Group]) -> list[Trajectory]:
    return [run for group in groups for run in group]


def runs(groups: Sequence[Group]) -> str:
    """Return each run with its loss, its seed, and how far it got."""
    rows = [
        (
            run.name,
            run.group,
            NONE if run.seed is None else str(run.seed),
            len(run.observations),
            run.last.epoch,
            None if run.last.train is None else run.last.train.accuracy,
            None if run.last.test is None else run.last.test.accuracy,
        )
        for run in _everyone(groups)
    ]
    headings = ("run", "group", "seed", "checkpoints", "last epoch", "train acc.", "test acc.")
    return _scroll(table(headings, rows))


def comparisons(pairs: Sequence[Pair], compared: Sequence[Sequence[Comparison]]) -> str:
    """Return each pair of groups: the table, and of smoothing with cross-entropy the verdicts."""
    found = []
    for (baseline, other), rows in zip(pairs, compared, strict=True):
        found.append(_comparison(rows))
        if are_the_papers(baseline, other):
            found.append(_verdicts(claims(baseline, other, compared=rows)))
    return "".join(found)


def _comparison(rows: Sequence[Comparison]) -> str:
    first = rows[0]
    told = [row for row in rows if row.baseline_mean is not None or row.other_mean is not None]
    headings = ("last epoch", first.baseline, first.other, "ratio or difference",
                "95 % interval", "better")  # fmt: skip
    cells = [
        (
            row.label,
            _spread(row.baseline_mean, row.baseline_std),
            _spread(row.other_mean, row.other_std),
            _change(row),
            NONE if row.low is None else f"[{number(row.low)}, {number(row.high)}]",
            row.winner or "",
        )
        for row in told
    ]
    kinds = sorted({row.interval for row in told if row.interval is not None})
    basis = (
        f"; intervals: {', '.join(kinds)}"
        if kinds
        else "; no intervals: they need two runs a group"
    )
    caption = f"{first.other} beside {first.baseline}: mean ± std over runs{basis}"
    return _scroll(table(headings, cells, caption=caption))


def _spread(mean: float | None, std: float | None) -> str:
    return number(mean) if std is None else f"{number(mean)} ± {std:.2g}"


def _change(row: Comparison) -> str:
    if row.ratio is not None:
        return f"× {number(row.ratio)}"
    return NONE if row.difference is None else f"Δ {number(row.difference)}"


def _verdicts(found: Sequence[Claim]) -> str:
    items = "".join(
        f'<dt class="{claim.verdict.replace(" ", "-")}">{MARKS[claim.verdict]} '
        f"{escaped(claim.statement)}: {claim.verdict}</dt><dd>{escaped(claim.evidence)}</dd>"
        for claim in found
    )
    return f"<h3>What arXiv 2402.03979 says, and what these runs say</h3><dl>{items}</dl>"


def collapse(groups: Sequence[Group]) -> str:
    """Return the collapse metrics of each run at its last epoch, a table a split."""
    found = [
        _numbers(groups, CollapseReport, lambda run, split=split: getattr(run.last, split), split)
        for split in ("train", "test")
    ]
    return "".join(found)


def calibration(groups: Sequence[Group]) -> str:
    """Return the scores of each run at its last epoch, before and after recalibration."""
    before = _numbers(groups, CalibrationReport, lambda run: run.last.calibration, "as it is")
    after = _numbers(groups, Scores, _recalibrated, "recalibrated")
    return before + after


def _recalibrated(run: Trajectory) -> Scores | None:
    return None if run.last.calibration is None else run.last.calibration.calibrated


def conditioning(groups: Sequence[Group]) -> str:
    """Return the condition numbers of each run at its last epoch, with the closed form's."""
    return _numbers(groups, HessianReport, lambda run: run.last.hessian, "last epoch")


def _numbers(groups: Sequence[Group], kind: Any, part: Any, caption: str) -> str:
    """A row a number, a column a run; numbers that no run has are left out."""
    everyone = [(run, report) for run in _everyone(groups) if (report := part(run)) is not None]
    rows, titles = [], []
    for name, meaning in quantities(kind).items():
        if meaning.nested is not None or meaning.records or name in NOT_NUMBERS:
            continue
        values = [plain(getattr(report, name, None)) for _, report in everyone]
        if any(isinstance(value, (int, float)) for value in values):
            rows.append((meaning.label, *values))
            titles.append(meaning.definition)
    if not rows:
        return ""
    names = [_name(run, groups) for run, _ in everyone]
    notes = {note for _, report in everyone for note in getattr(report, "notes", ())}
    told = "".join(f'<p class="soft">{escaped(note)}</p>' for note in sorted(notes))
    return _scroll(table(("", *names), rows, caption=caption, titles=titles)) + told


def _name(run: Trajectory, groups: Sequence[Group]) -> str:
    name = run.group if run.seed is None else f"{run.group} s{run.seed}"
    same = sum(one.group == run.group and one.seed == run.seed for one in _everyone(groups))
    return name if same == 1 else f"{name} {run.name}"


def definitions_section() -> str:
    """Return what each collapse and calibration number means, and who defined it."""
    items = []
    for kind in (CollapseReport, CalibrationReport, HessianReport):
        for one in definitions(kind):
            if one.definition and one.name not in NOT_NUMBERS:
                source = f' <span class="soft">({escaped(one.source)})</span>' if one.source else ""
                items.append(
                    f"<dt>{escaped(one.label)} <code>{escaped(one.name)}</code></dt>"
                    f"<dd>{escaped(one.definition)}{source}</dd>"
                )
    return f"<details><summary>{len(items)} numbers</summary><dl>{''.join(items)}</dl></details>"


def origin(groups: Sequence[Group], command: str, when: datetime) -> str:
    """Return the command, and every checkpoint with the SHA-256 of its bytes."""
    paths = tuple(
        Path(one.path) for run in _everyone(groups) for one in run.observations if one.path
    )
    found = gather("report", Origin(command=command, files=paths), when=when, watch=None)
    rows = [(one.path, one.sha256 or f"not read: {one.reason}") for one in found.sources]
    files = _scroll(table(("checkpoint", "SHA-256"), rows))
    count = f"{len(rows):,} checkpoint{'' if len(rows) == 1 else 's'}"
    return (
        f"<p><code>{escaped(command)}</code></p>"
        f"<details><summary>{count}</summary>{files}</details>"
    )
