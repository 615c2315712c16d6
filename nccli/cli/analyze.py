"""`nccli analyze`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from nccli.cli import console

if TYPE_CHECKING:
    from rich.console import RenderableType

    from nccli.centres import Centres
    from nccli.checkpoint import Checkpoint
    from nccli.collapse import CollapseReport


def analyze(
    paths: list[str] = typer.Argument(help=console.PATHS_HELP, show_default=False),
    split: str = typer.Option("all", help=console.SPLIT_HELP),
    form: str = typer.Option("auto", "--format", "-f", help=console.FORMAT_HELP),
    fail_if: str | None = typer.Option(None, help=console.FAIL_IF_HELP),
    chart: bool = typer.Option(False, "--chart", help=console.CHART_HELP),
) -> None:
    """Neural-collapse metrics (NC1 to NC4, norms, CDNV) of checkpoints or run directories.

    \b
    Examples:
      nccli analyze sample_data/runs/digits-mlp-ce-s0
      nccli analyze sample_data/runs/digits-mlp-ls0.05-s0@last --split test
      nccli analyze 'sample_data/runs/*' --format csv
      nccli analyze sample_data/runs/digits-mlp-ls0.05-s0@last --fail-if 'nc1 > 10'
    """
    known: dict[str, dict[str, Centres]] = {}  # class centres of the file at hand

    def analysis(checkpoint: Checkpoint, split: str, path: str) -> CollapseReport:
        from nccli.collapse import analyze

        if path not in known:
            known.clear()
        return analyze(checkpoint, split=split, path=path, known=known.setdefault(path, {}))

    code = console.report(
        paths,
        analysis,
        split=split,
        preferred=(),
        form=console.with_chart(form, chart),
        fail_if=fail_if,
        table=lambda results: _table(results, chart),
    )
    raise typer.Exit(code)


def _table(results: Sequence[Any], chart: bool) -> RenderableType:
    from rich.console import Group

    from nccli.cli.drawing import series_charts
    from nccli.tables import results_table

    charts = series_charts(results, ["nc1", "nc2_features", "nc3"]) if chart else []
    return Group(results_table(results), *charts)
