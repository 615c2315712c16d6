"""The charts of some groups of runs, by name: what `nccli figure` and `nccli report` draw.

A number over the epochs is the mean of a group's seeds, with the lowest and highest of them as its
band. What is of one checkpoint (reliability, Gram matrix, spectrum) is that of each group's first
run at its last epoch.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from nccli.checkpoint import Checkpoint
from nccli.collapse import gram
from nccli.compare import COMPARED, Compared, Trajectory
from nccli.errors import ContentError, UsageError
from nccli.export import Diagram, Matrix, Plotted
from nccli.hdf5 import read_checkpoint
from nccli.hessian_curves import density_series, spectrum_series
from nccli.hessian_report import HessianReport
from nccli.mean_curves import curves
from nccli.observe import observe
from nccli.trajectory import scored_splits

Groups = Sequence[Sequence[Trajectory]]
LOG_FROM = 10.0  # positive numbers that span this factor have a logarithmic axis; our own choice
DECADES = 30.0  # epochs that span this factor do

COLLAPSE = ("train.nc1", "train.nc2_features", "train.nc3", "calibration.ece")
_BY_KEY = {row.key: row for row in COMPARED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart that can be asked for."""

    name: str
    means: str
    plot: Callable[[Groups], Plotted]


def charts(*, cached: bool = True) -> dict[str, Chart]:
    """Return every chart by its name: `collapse`, each number of `nccli compare`, and the rest.

    cached: whether what is measured more for some of them is kept beside the runs.
    """
    spectrum, density = partial(_spectrum, cached=cached), partial(_density, cached=cached)
    found = [Chart(name="collapse", means="NC1, NC2, NC3 and ECE beside each other", plot=_panels)]
    found += [
        Chart(name=row.key, means=f"{row.label} over the epochs", plot=_number_plot(row))
        for row in COMPARED
    ]
    found += [
        Chart(name=name, means=means, plot=plot)
        for name, means, plot in (
            ("reliability", "confidence and accuracy, bin by bin", _reliability),
            ("reliability-after", "confidence and accuracy after temperature scaling", _after),
            ("gram", "cosines of the angles between class means", _gram),
            ("spectrum", "eigenvalues of the W block, the UFM's over them", spectrum),
            ("density", "density of the eigenvalues of the W block", density),
        )
    ]
    return {chart.name: chart for chart in found}


def chosen(names: str, *, cached: bool = True) -> list[Chart]:
    """Return the charts that names between commas ask for, `all` of them, or `nc1` for train.nc1.

    Raises UsageError for a name that no chart has.
    """
    known = charts(cached=cached)
    if names == "all":
        return list(known.values())
    full = dict.fromkeys(_full(name.strip(), known) for name in names.split(","))
    return [known[name] for name in full]


def _full(name: str, known: dict[str, Chart]) -> str:
    if name in known:
        return name
    short = [key for key in known if key.rpartition(".")[2] == name]
    if short:
        return short[0]  # of the train split, where both have it
    names = dict.fromkeys((*known, *(key.rpartition(".")[2] for key in known)))
    near = difflib.get_close_matches(name, names, n=2)
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(f"no chart '{name}'", remedy=f"{guess}all: {', '.join(known)}")


# --- over the epochs ----------------------------------------------------------------------------


def _number_plot(row: Compared) -> Callable[[Groups], Plotted]:
    return lambda groups: number_plot(groups, row)


def number_plot(groups: Groups, row: Compared) -> Plotted:
    """Return one number over the epochs, a curve a group; none of scores of different splits."""
    splits = scored_splits([run for runs in groups for run in runs])
    if row.key.startswith("calibration.") and not splits <= {"test"}:
        if len(splits) > 1:
            return Plotted(title=row.label, name=row.key.replace(".", "-"))
        row = replace(row, label=f"{row.label.replace('test', '').strip()} {splits.pop()}")
    series = [one for kind, runs in enumerate(groups) for one in curves(runs, row.key, kind=kind)]
    values = [y for one in series for part in (one.y, one.low, one.high) for y in part]
    epochs = [x for one in series for x in one.x if x is not None]
    return Plotted(
        title=row.label,
        name=row.key.replace(".", "-"),
        series=tuple(series),
        x_log=_spans(epochs, DECADES),
        y_log=row.as_ratio and _spans([y for y in values if y is not None], LOG_FROM),
    )


def _panels(groups: Groups) -> Plotted:
    panels = [number_plot(groups, _BY_KEY[key]) for key in COLLAPSE]
    drawable = tuple(one for one in panels if one.drawable)
    return Plotted(title="Collapse and calibration", name="collapse", panels=drawable)


def _spans(values: Sequence[float], factor: float) -> bool:
    told = [value for value in values if math.isfinite(value)]
    return bool(told) and min(told) > 0 and max(told) / min(told) >= factor


# --- of one checkpoint --------------------------------------------------------------------------


def checkpoints(groups: Groups) -> list[tuple[str, Path]]:
    """Return the checkpoint that stands for each group, with the group's name."""
    found = []
    for runs in groups:
        path = runs[0].last.path
        if path is not None:
            found.append((_label(runs[0]), Path(path)))
    return found


def _label(run: Trajectory) -> str:
    return run.group if run.seed is None else f"{run.group} s{run.seed}"


def _reliability(groups: Groups, *, after: bool = False) -> Plotted:
    diagrams = []
    for kind, runs in enumerate(groups):
        report = runs[0].last.calibration
        scores = None if report is None else report.calibrated if after else report
        if scores is not None:
            diagrams.append(Diagram(label=_label(runs[0]), kind=kind, bins=scores.bins))
    return Plotted(
        title=f"Reliability{' after temperature scaling' if after else ''}",
        name=f"reliability{'-after' if after else ''}",
        diagrams=tuple(diagrams),
    )


def _after(groups: Groups) -> Plotted:
    return _reliability(groups, after=True)


def _gram(groups: Groups) -> Plotted:
    matrices = []
    for label, path in checkpoints(groups):
        file = read_checkpoint(path)
        report = gram.analyze(file, split=_first_split(file))
        if report.features is not None:
            matrices.append(
                Matrix(
                    label=label,
                    values=report.features,
                    classes=report.classes,
                    target=report.target,
                )
            )
    return Plotted(title="Angles of class means", name="gram", matrices=tuple(matrices))


def _first_split(file: Checkpoint) -> str:
    return "train" if "train" in file.splits else min(file.splits)


def _spectrum(groups: Groups, *, cached: bool) -> Plotted:
    reports, labels = _hessians(groups, cached=cached)
    return Plotted(
        title="Eigenvalues of the W block",
        name="spectrum",
        series=tuple(spectrum_series(reports, labels)),
        x_label="rank",
        y_log=True,
    )


def _density(groups: Groups, *, cached: bool) -> Plotted:
    reports, labels = _hessians(groups, cached=cached)
    return Plotted(
        title="Density of the W block's eigenvalues",
        name="density",
        series=tuple(density_series(reports, labels, "w")),
        x_label="eigenvalue",
        x_log=True,
        y_log=True,
    )


def _hessians(groups: Groups, *, cached: bool) -> tuple[list[HessianReport], list[str]]:
    found = [
        (observation.hessian, label)
        for label, path in checkpoints(groups)
        if (observation := observe(path, curves=True, cached=cached)).hessian is not None
    ]
    return [report for report, _ in found if report is not None], [label for _, label in found]


def needed(plotted: Plotted, groups: Groups) -> tuple[Path, ...]:
    """Return the checkpoints behind a chart: every epoch's, or those that stand for the groups."""
    over_epochs = plotted.panels or (plotted.series and plotted.x_label == "epoch")
    if not over_epochs:
        return tuple(path for _, path in checkpoints(groups))
    return tuple(
        Path(one.path)
        for runs in groups
        for run in runs
        for one in run.observations
        if one.path is not None
    )


def checked(plotted: Plotted) -> Plotted:
    """Return a chart; raises ContentError where there is nothing in it."""
    if not plotted.drawable:
        raise ContentError(f"nothing to draw: these runs have no numbers for {plotted.name}")
    return plotted
