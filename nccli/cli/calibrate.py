"""`nccli calibrate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from nccli.cli import console

if TYPE_CHECKING:
    from rich.console import RenderableType


def calibrate(
    paths: list[str] = typer.Argument(help=console.PATHS_HELP, show_default=False),
    split: str | None = typer.Option(
        None, help=console.SPLIT_HELP + " Default: test, else what there is."
    ),
    bins: int = typer.Option(15, min=1, max=10_000, help="Bins of the reliability diagram."),
    folds: int = typer.Option(5, min=2, help="Folds of the cross-fitted temperature."),
    form: str = typer.Option("auto", "--format", "-f", help=console.FORMAT_HELP),
    fail_if: str | None = typer.Option(None, help=console.FAIL_IF_HELP),
    chart: bool | None = typer.Option(
        None, "--chart/--no-chart", help="Reliability diagrams; default: for a single checkpoint."
    ),
    jobs: int | None = typer.Option(None, "--jobs", "-j", min=1, help=console.JOBS_HELP),
    no_cache: bool = typer.Option(False, "--no-cache", help=console.NO_CACHE_HELP),
) -> None:
    """Reliability, ECE and friends of checkpoints, before and after temperature scaling.

    The temperature is cross-fitted: no sample is scored with a temperature that it chose.

    \b
    Examples:
      nccli calibrate sample_data/runs/digits-mlp-ce-s0@last
      nccli calibrate 'sample_data/runs/*' --format csv
      nccli calibrate sample_data/runs/digits-mlp-ls0.05-s0@last --format json
      nccli calibrate sample_data/runs/digits-mlp-ls0.05-s0@last --fail-if 'ece > 0.5'
    """
    from nccli.work import Work

    options = {"num_bins": bins, "folds": folds}
    code = console.report(
        paths,
        Work(analysis="calibration", split=split, options=options, cached=not no_cache),
        jobs=jobs,
        form=console.with_chart(form, bool(chart)),
        fail_if=fail_if,
        table=lambda results: _table(results, chart),
    )
    raise typer.Exit(code)


def _table(results: Sequence[Any], chart: bool | None) -> RenderableType:
    from rich.console import Group

    from nccli.cli.drawing import reliability_charts
    from nccli.tables import results_table

    draw = len(results) == 1 if chart is None else chart
    return Group(results_table(results), *(reliability_charts(results) if draw else []))
