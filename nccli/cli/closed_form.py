"""`nccli hessian --classes ...`: the unconstrained feature model in closed form."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nccli.cli import console
from nccli.errors import UsageError
from nccli.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType

    from nccli.condition import Condition
    from nccli.export import Plotted
    from nccli.sweep import Axis, SweepPoint
    from nccli.ufm import UFMReport

PENALTY = 5e-4  # the paper's weight decay
PER_CLASS = 100  # our own choice
DELTAS = "0,0.05,0.1"
OPTIONS = {  # what a sweep sets, and the option that would set it as well
    "num_classes": "--classes",
    "per_class": "--per-class",
    "dim": "--dim",
    "lambda_w": "--lambda-w",
    "lambda_h": "--lambda-h",
    "label_smoothing": "--smoothing",
}


def closed_form(
    *,
    classes: int | None,
    per_class: int | None,
    dim: int | None,
    lambda_w: float | None,
    lambda_h: float | None,
    smoothing: str | None,
    sweep: list[str],
    form: str,
    fail_if: str | None,
    chart: bool,
    figure: Path | None = None,
) -> int:
    """Print the closed form at each delta, or at each point of a sweep; return the exit code."""
    from nccli.sweep import Axis, parse

    given = {
        "num_classes": classes,
        "per_class": per_class,
        "dim": dim,
        "lambda_w": lambda_w,
        "lambda_h": lambda_h,
    }
    axes = parse(sweep)
    _check_swept(axes, {**given, "label_smoothing": smoothing})
    defaults = {"per_class": PER_CLASS, "lambda_w": PENALTY, "lambda_h": PENALTY}
    base = given | {name: value for name, value in defaults.items() if given[name] is None}
    if not any(axis.name == "delta" for axis in axes):  # innermost: CE beside LS
        deltas = _deltas(DELTAS if smoothing is None else smoothing)
        axes = (*axes, Axis(name="delta", values=deltas))
    show = _Show(form=console.with_chart(form, chart), fail_if=fail_if, chart=chart, figure=figure)
    return _sweep(axes, base, show) if sweep else _deltas_only(axes[0], base, show)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Show:
    """How the user wants it."""

    form: str
    fail_if: str | None
    chart: bool
    figure: Path | None

    def draw(self, plotted: Callable[[], Plotted]) -> None:
        """Write the figure of --figure, if one was asked for."""
        if self.figure is not None:
            from nccli.cli.writing import save

            save(plotted(), self.figure, command=shlex.join(["nccli", *sys.argv[1:]]))

    def print(self, results: Sequence[Any], table: Callable[[], Sequence[RenderableType]]) -> None:
        """Write the results to stdout; the table is made only where it is wanted."""
        from nccli.render import FOR_PEOPLE, rendered, resolve_format

        form = resolve_format(self.form, terminal=sys.stdout.isatty())
        if form in FOR_PEOPLE:
            from rich.console import Group

            console.show(Group(*table()), form=form)
        else:
            sys.stdout.write(rendered(results, form=form))

    def condition(self, result_type: type) -> Condition | None:
        """Read --format and --fail-if: what is mistyped is told before anything is computed."""
        from nccli.condition import Condition
        from nccli.render import resolve_format
        from nccli.result import columns

        resolve_format(self.form, terminal=True)
        if self.figure is not None:
            from nccli.cli.writing import check_file

            check_file(self.figure)
        condition = None if self.fail_if is None else Condition.parse(self.fail_if)
        if condition is not None:
            condition.check(columns(result_type))
        return condition


def _check_swept(axes: Sequence[Axis], given: dict[str, object]) -> None:
    swept = {field: axis.name for axis in axes for field in axis.fields}
    for field, name in swept.items():
        if given[field] is not None:
            raise UsageError(f"{OPTIONS[field]} does not go with a sweep of {name}: leave it out")
    if given["num_classes"] is None and "num_classes" not in swept:
        raise UsageError("--sweep goes with --classes", remedy="or sweep K: --sweep K=2,10,100")


def _deltas(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise UsageError(
            f"--smoothing must be numbers between commas, got '{text}'", remedy=DELTAS
        ) from None


def _deltas_only(deltas: Axis, base: dict[str, Any], show: _Show) -> int:
    from nccli import ufm

    condition = show.condition(ufm.UFMReport)
    base["dim"] = base["num_classes"] if base["dim"] is None else base["dim"]
    problems = [ufm.Problem(**base, label_smoothing=delta) for delta in deltas.values]
    reports = [ufm.analyze(problem) for problem in problems]
    show.print(reports, lambda: _deltas_table(reports, show.chart))
    show.draw(lambda: _spectrum_figure(reports))
    console.say_notes(reports)
    return console.exit_code(reports, failed=0, condition=condition)


def _deltas_table(reports: Sequence[UFMReport], chart: bool) -> list[RenderableType]:
    from nccli.tables import closed_form

    if not chart:
        return [closed_form(reports)]
    from nccli.cli.closed_form_charts import spectrum_chart

    return [closed_form(reports), *spectrum_chart(reports)]


def _spectrum_figure(reports: Sequence[UFMReport]) -> Plotted:
    from nccli.cli.closed_form_charts import spectrum_figure

    return spectrum_figure(reports)


def _sweep_figure(points: Sequence[SweepPoint], axes: Sequence[Axis]) -> Plotted:
    from nccli.cli.closed_form_charts import sweep_figure

    return sweep_figure(points, axes)


def _sweep(axes: Sequence[Axis], base: dict[str, Any], show: _Show) -> int:
    from nccli.sweep import SweepPoint, sweep

    condition = show.condition(SweepPoint)
    points = sweep(axes, base)
    show.print(points, lambda: _sweep_table(points, axes, show.chart))
    show.draw(lambda: _sweep_figure(points, axes))
    collapsed = sum(point.kappa_loss is None for point in points)
    if collapsed:
        console.say(
            f"nccli: {collapsed:,} of {plural(len(points), 'point')} collapse to zero (s = delta + "
            "K sqrt(n) lambda_z >= 1): kappa_loss is undefined there"
        )
    return console.exit_code(points, failed=0, condition=condition)


def _sweep_table(
    points: Sequence[SweepPoint], axes: Sequence[Axis], chart: bool
) -> list[RenderableType]:
    from rich.text import Text

    from nccli.regime import answers
    from nccli.sweep_table import answers_text, sweep_table

    found = answers(points)
    parts = [sweep_table(points, axes, width=console.console().width)]
    if chart:
        from nccli.cli.closed_form_charts import sweep_charts

        parts += sweep_charts(points, axes, found)
    return [*parts, Text(), answers_text(found, axes)]
