"""`nccli hessian`."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from nccli.cli import console
from nccli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from nccli.ufm import UFMReport


def hessian(
    paths: list[str] | None = typer.Argument(
        None, help=console.PATHS_HELP + " None: the closed form.", show_default=False
    ),
    split: str | None = typer.Option(None, help=console.SPLIT_HELP + " Default: train."),
    lambda_w: float | None = typer.Option(
        None, help="Penalty lambda_w/2 norm(W)^2. Default: the run's weight decay; 5e-4 without."
    ),
    lambda_h: float | None = typer.Option(
        None, help="Penalty lambda_h/2 norm(H)^2. Default: from the norm balance; 5e-4 without."
    ),
    classes: int | None = typer.Option(None, help="Closed form: K, number of classes."),
    per_class: int | None = typer.Option(
        None, help="Closed form: n, samples of each class. Default: 100."
    ),
    dim: int | None = typer.Option(None, help="Closed form: d >= K - 1. Default: K."),
    smoothing: str | None = typer.Option(
        None, help="Closed form: values of delta, by commas. Default: 0,0.05,0.1."
    ),
    form: str = typer.Option("auto", "--format", "-f", help=console.FORMAT_HELP),
    fail_if: str | None = typer.Option(None, help=console.FAIL_IF_HELP),
    chart: bool = typer.Option(False, "--chart", help=console.CHART_HELP),
    jobs: int | None = typer.Option(None, "--jobs", "-j", min=1, help=console.JOBS_HELP),
    no_cache: bool = typer.Option(False, "--no-cache", help=console.NO_CACHE_HELP),
) -> None:
    """Conditioning of the last layer: measured at checkpoints, or the UFM's closed form.

    With paths: the last-layer Hessian at the saved features and weights, beside its value at the
    collapsed optimum. With --classes: minimiser, three condition numbers and the joint spectrum
    of the unconstrained feature model.

    \b
    Examples:
      nccli hessian --classes 10 --per-class 5000 --dim 512 --smoothing 0,0.05,0.1
      nccli hessian --classes 4 --per-class 25 --smoothing 0.1 --format json
      nccli hessian sample_data/runs/digits-mlp-ls0.05-s0@last
      nccli hessian 'sample_data/runs/*' --format csv
    """
    if classes is None and not paths:
        raise UsageError(
            "give checkpoints, or --classes for the closed form", remedy="see nccli hessian --help"
        )
    if classes is not None and paths:
        raise UsageError("give checkpoints or --classes, not both")
    _check_penalties(lambda_w, lambda_h)
    if classes is not None:
        if split is not None or chart:
            raise UsageError("--split and --chart go with checkpoints, not with --classes")
        reports = _closed_form(classes, per_class, dim, lambda_w, lambda_h, smoothing)
        raise typer.Exit(_print_closed_form(reports, form, fail_if))
    if per_class is not None or dim is not None or smoothing is not None:
        raise UsageError("--per-class, --dim and --smoothing go with --classes, not with paths")

    from nccli.work import Work

    options = {"lambda_w": lambda_w, "lambda_h": lambda_h}
    code = console.report(
        paths or [],
        Work(analysis="hessian", split=split, options=options, cached=not no_cache),
        jobs=jobs,
        form=console.with_chart(form, chart),
        fail_if=fail_if,
        table=lambda results: _table(results, chart),
    )
    raise typer.Exit(code)


def _check_penalties(*penalties: float | None) -> None:
    for value in penalties:
        if value is not None and not 0 <= value < math.inf:
            raise UsageError(f"a penalty must be finite and not negative, got {value}")


def _table(results: Sequence[Any], chart: bool) -> RenderableType:
    from rich.console import Group

    from nccli.cli.drawing import series_charts
    from nccli.tables import results_table

    names = ["kappa_means_w", "kappa_h_median", "kappa_regularised_w"]
    return Group(results_table(results), *(series_charts(results, names) if chart else []))


def _closed_form(
    classes: int,
    per_class: int | None,
    dim: int | None,
    lambda_w: float | None,
    lambda_h: float | None,
    smoothing: str | None,
) -> list[UFMReport]:
    from nccli import ufm

    return [
        ufm.analyze(
            ufm.Problem(
                num_classes=classes,
                per_class=100 if per_class is None else per_class,
                dim=classes if dim is None else dim,
                lambda_w=5e-4 if lambda_w is None else lambda_w,  # the paper's weight decay
                lambda_h=5e-4 if lambda_h is None else lambda_h,
                label_smoothing=delta,
            )
        )
        for delta in _deltas("0,0.05,0.1" if smoothing is None else smoothing)
    ]


def _deltas(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise UsageError(
            f"--smoothing must be numbers between commas, got '{text}'", remedy="0,0.05,0.1"
        ) from None


def _print_closed_form(reports: list[UFMReport], form: str, fail_if: str | None) -> int:
    from nccli.condition import Condition
    from nccli.render import rendered, resolve_format
    from nccli.result import flat
    from nccli.tables import closed_form

    form = resolve_format(form, terminal=sys.stdout.isatty())
    condition = None if fail_if is None else Condition.parse(fail_if)
    if condition is not None:
        condition.holds(flat(reports[0]))  # a mistyped field is told before anything is printed
    if form == "table":
        console.console().print(closed_form(reports))
    else:
        sys.stdout.write(rendered(reports, form=form))
    console.say_notes(reports)
    return console.exit_code(reports, failed=0, condition=condition)
