"""The Hessian tab's pictures at the cursor: spectrum, density, and the theory over delta."""

from __future__ import annotations

from collections.abc import Sequence

from nccli import ufm
from nccli.charts import Chart, Reference, Series, line_chart
from nccli.errors import UsageError
from nccli.hessian_curves import density_series, spectrum_series
from nccli.hessian_report import HessianReport
from nccli.tui.pictures import card, why_nothing
from nccli.tui.readings import run_labels
from nccli.tui.state import State

DELTAS = tuple(step / 20 for step in range(20))  # 0 to 0.95


def draw_spectrum(state: State, note: str, width: int, height: int) -> Chart:
    """Largest eigenvalues of the W block by rank, the UFM's over them: a run a group."""
    found = _at_cursor(state)
    reports, labels = [one for one, _, _ in found], [name for _, name, _ in found]
    series = spectrum_series(reports, labels)
    return _drawn(state, "λ of W by rank, UFM over it", series, "rank", note, width, height)


def draw_density(state: State, note: str, width: int, height: int) -> Chart:
    """Share of the W block's eigenvalues by size: a run a group."""
    found = _at_cursor(state)
    reports, labels = [one for one, _, _ in found], [name for _, name, _ in found]
    series = density_series(reports, labels, "w")
    title = "density of λ of W"
    return _drawn(state, title, series, "λ", note, width, height, lines=False)


def draw_delta(state: State, note: str, width: int, height: int) -> Chart:
    """The regularised condition number of the closed form over delta, and what was measured."""
    found = _at_cursor(state)
    series = [
        curve
        for report, name, kind in found
        if (curve := _over_delta(report, f"{name} UFM", kind)) is not None
    ]
    marks = [
        Reference(value=report.kappa_regularised_w, label=f"{name} measured")
        for report, name, _ in found
        if report.kappa_regularised_w is not None
    ]
    title = "κ of W, regularised, over δ"
    return _drawn(state, title, series, "delta", note, width, height, log=False, references=marks)


def _drawn(
    state: State,
    title: str,
    series: Sequence[Series],
    x_label: str,
    note: str,
    width: int,
    height: int,
    *,
    log: bool = True,
    lines: bool = True,
    references: Sequence[Reference] = (),
) -> Chart:
    title = f"{title}  {note}".rstrip()
    if not series:
        reason = why_nothing(state, state.groups, "hessian.kappa_regularised_w")
        return card(state, title, reason, width, height)
    return line_chart(
        series,
        title=title,
        width=width,
        height=height,
        x_label=x_label,
        x_log=log,
        look=state.look,
        lines=lines,
        references=references,
    )


def _at_cursor(state: State) -> list[tuple[HessianReport, str, int]]:
    """Report, name and marker of the first run of each group at the cursor."""
    found = []
    for group in state.groups:
        observation = group.entries[0].at(state.epoch)
        report = None if observation is None else observation.hessian
        if report is not None:
            found.append((report, run_labels(group)[0], group.kind))
    return found


def _over_delta(report: HessianReport, label: str, kind: int) -> Series | None:
    if not report.lambda_w or not report.lambda_h:
        return None
    try:
        values = [ufm.kappa_regularised(_problem(report, delta)) for delta in DELTAS]
    except UsageError:  # d < K - 1, or a penalty out of range: the theory is silent
        return None
    return Series(label=label, x=DELTAS, y=values, kind=kind)


def _problem(report: HessianReport, delta: float) -> ufm.Problem:
    assert report.lambda_w is not None
    assert report.lambda_h is not None
    return ufm.Problem(
        num_classes=report.num_classes,
        per_class=max(1, round(report.n / report.num_classes)),
        dim=report.dim,
        lambda_w=report.lambda_w,
        lambda_h=report.lambda_h,
        label_smoothing=delta,
    )
