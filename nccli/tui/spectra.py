"""The Hessian tab's pictures at the cursor: spectrum, density, and the theory over delta."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nccli.charts import Chart, Reference, Series, line_chart
from nccli.errors import UsageError
from nccli.export import Plotted
from nccli.hessian_curves import density_series, spectrum_series
from nccli.hessian_report import HessianReport
from nccli.tui.pictures import Picture, card, why_nothing
from nccli.tui.readings import run_labels
from nccli.tui.state import State

if TYPE_CHECKING:
    from nccli.ufm import Problem

DELTAS = tuple(step / 20 for step in range(20))  # 0 to 0.95


def spectrum_picture(state: State) -> Picture:
    """Largest eigenvalues of the W block by rank, the UFM's over them: a run a group."""
    title = "λ of W by rank, UFM over it"
    return _picture(state, title, "spectrum", lambda: _spectrum(state), x_label="rank")


def density_picture(state: State) -> Picture:
    """Share of the W block's eigenvalues by size, and the UFM's own: a run a group."""
    return _picture(
        state,
        "density of resolved λ of W, and UFM",
        "density",
        lambda: _density(state),
        x_label="λ",
        lines=False,
    )


def delta_picture(state: State) -> Picture:
    """The regularised condition number of the closed form over delta, and what was measured."""
    return _picture(
        state,
        "κ of W, regularised, over δ",
        "kappa-over-delta",
        lambda: _over_deltas(state),
        x_label="delta",
        log=False,
        marks=lambda: _measured_kappas(state),
    )


def _spectrum(state: State) -> list[Series]:
    reports, labels, kinds = _at_cursor(state)
    return recoloured(spectrum_series(reports, labels), kinds)


def _density(state: State) -> list[Series]:
    reports, labels, kinds = _at_cursor(state)
    # a narrow legend has no room for the share below: the title says that there may be one
    return recoloured(density_series(reports, labels, "w", below=False), kinds)


def _over_deltas(state: State) -> list[Series]:
    curves = [
        _over_delta(report, f"{name} UFM", kind)
        for report, name, kind in zip(*_at_cursor(state), strict=True)
    ]
    return [curve for curve in curves if curve is not None]


def _measured_kappas(state: State) -> list[Reference]:
    reports, labels, _ = _at_cursor(state)
    return [
        Reference(value=report.kappa_regularised_w, label=f"{name} measured")
        for report, name in zip(reports, labels, strict=True)
        if report.kappa_regularised_w is not None
    ]


def recoloured(series: Sequence[Series], kinds: Sequence[int]) -> list[Series]:
    """Measured curves in their groups' colours, those of the theory behind them in free ones."""
    free = [kind for kind in range(len(kinds) + len(series)) if kind not in kinds]
    order = [*kinds, *free]
    return [replace(one, kind=order[one.kind]) for one in series]


def _picture(
    state: State,
    title: str,
    name: str,
    series: Callable[[], list[Series]],
    *,
    x_label: str,
    log: bool = True,
    lines: bool = True,
    marks: Callable[[], list[Reference]] = list,
) -> Picture:
    def draw(note: str, width: int, height: int) -> Chart:
        words = f"{title}  {note}".rstrip()
        found = series()
        if not found:
            reason = why_nothing(state, state.groups, "hessian.kappa_regularised_w")
            return card(state, words, reason, width, height)
        return line_chart(
            found,
            title=words,
            width=width,
            height=height,
            x_label=x_label,
            x_log=log,
            look=state.look,
            lines=lines,
            references=marks(),
        )

    def plotted() -> Plotted:
        return Plotted(
            title=title,
            name=name,
            series=tuple(series()),
            x_label=x_label,
            x_log=log,
            y_log=True,
            references=tuple(marks()),
        )

    return Picture(draw=draw, plotted=plotted)


def _at_cursor(state: State) -> tuple[list[HessianReport], list[str], list[int]]:
    """Report, name and marker of the first run of each group at the cursor."""
    reports, names, kinds = [], [], []
    for group in state.groups:
        observation = group.entries[0].at(state.epoch)
        report = None if observation is None else observation.hessian
        if report is not None:
            reports.append(report)
            names.append(run_labels(group)[0])
            kinds.append(group.kind)
    return reports, names, kinds


def sweeps(state: State) -> list[tuple[str, list[str]]]:
    """The command that prints each curve over delta, by the name of its group."""
    reports, names, _ = _at_cursor(state)
    return [
        (name, _sweep(report))
        for report, name in zip(reports, names, strict=True)
        if report.lambda_w and report.lambda_h
    ]


def _sweep(report: HessianReport) -> list[str]:
    problem = _problem(report, 0.0)
    settings = {
        "--classes": problem.num_classes,
        "--per-class": problem.per_class,
        "--dim": problem.dim,
        "--lambda-w": repr(float(problem.lambda_w)),
        "--lambda-h": repr(float(problem.lambda_h)),
        "--sweep": f"delta={DELTAS[0]:g}:{DELTAS[-1]:g}:{len(DELTAS)}",
    }
    words = [word for name, value in settings.items() for word in (name, str(value))]
    return ["nccli", "hessian", *words]


def _over_delta(report: HessianReport, label: str, kind: int) -> Series | None:
    from nccli import ufm  # not before it is drawn: it brings numpy in

    if not report.lambda_w or not report.lambda_h:
        return None
    try:
        values = [ufm.kappa_regularised(_problem(report, delta)) for delta in DELTAS]
    except UsageError:  # d < K - 1, or a penalty out of range: the theory is silent
        return None
    return Series(label=label, x=DELTAS, y=values, kind=kind)


def _problem(report: HessianReport, delta: float) -> Problem:
    from nccli import ufm

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
