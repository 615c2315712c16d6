"""`nccli analyze`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nccli.cli import console
from nccli.errors import UsageError
from nccli.text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from nccli.condition import Condition
    from nccli.conventions import Convention
    from nccli.work import Work

CHARTED = ["nc1", "nc2_features", "nc3"]
CI_HELP = "95 % intervals by bootstrap over samples, and NC1 of shuffled labels."
PER_CLASS_HELP = "A line a class: variance, norms, nearest class, confusions."
GRAM_HELP = "Cosines between all class means and all classifier rows, and the worst pairs."
UNTIL_HELP = "The epoch at which this first comes true in each run: 'nc1 < 0.01'."
SKIP_HELP = "Leave out loss and non-target spread, the two that need every logit: faster."

SCHEDULER_HELP = "Work on the Dask cluster of this address, tcp://host:8786."


def analyze(
    paths: list[str] | None = typer.Argument(None, help=console.PATHS_HELP, show_default=False),
    split: str = typer.Option("all", help=console.SPLIT_HELP),
    form: str = typer.Option("auto", "--format", "-f", help=console.FORMAT_HELP),
    fail_if: str | None = typer.Option(None, help=console.FAIL_IF_HELP),
    until: str | None = typer.Option(None, help=UNTIL_HELP),
    per_class: bool = typer.Option(False, "--per-class", help=PER_CLASS_HELP),
    gram: bool = typer.Option(False, "--gram", help=GRAM_HELP),
    ci: bool = typer.Option(False, "--ci", help=CI_HELP),
    resamples: int = typer.Option(200, min=2, help="Bootstrap resamples of --ci."),
    skip_loss: bool = typer.Option(False, "--skip-loss", help=SKIP_HELP),
    chart: bool = typer.Option(False, "--chart", help=console.CHART_HELP),
    figure: Path | None = typer.Option(None, help="Metrics by epoch as out.pdf, .svg or .png."),
    convention: str | None = typer.Option(
        None, help="Headings and scales of the table: paper, papyan or zhu."
    ),
    definitions: bool = typer.Option(False, "--definitions", help="What every number means."),
    jobs: int | None = typer.Option(None, "--jobs", "-j", min=1, help=console.JOBS_HELP),
    scheduler: str | None = typer.Option(None, help=SCHEDULER_HELP),
    no_cache: bool = typer.Option(False, "--no-cache", help=console.NO_CACHE_HELP),
) -> None:
    """Neural-collapse metrics (NC1 to NC4, norms, CDNV) of checkpoints or run directories.

    \b
    Examples:
      nccli analyze sample_data/runs/digits-mlp-ce-s0
      nccli analyze 'sample_data/runs/*@last' --split test --ci
      nccli analyze sample_data/runs --until 'nc1 < 0.01'
      nccli analyze 'sample_data/runs/*ce*@last' --split test --per-class
      nccli analyze 'sample_data/runs/*' --format csv --jobs 2
      nccli analyze 'sample_data/runs/*@last' --fail-if 'nc1 > 10'
      nccli analyze --definitions
    """
    if definitions:
        _print_definitions(form)
        return
    if not paths:
        raise UsageError("nothing to analyze", remedy="give checkpoints or runs; see --help")
    modes = {"--until": bool(until), "--per-class": per_class, "--gram": gram, "--ci": ci}
    _refuse_two(modes)
    if per_class or gram or until:
        _refuse_two({"--chart": chart, "--figure": bool(figure), **modes})
        _refuse_two({"--convention": bool(convention), **modes})
    _refuse_two({"--until": bool(until), "--fail-if": fail_if is not None})
    _refuse_two({"--jobs": jobs is not None, "--scheduler": scheduler is not None})
    view = _View(chart=chart, convention=convention, figure=figure, until=until)
    code = console.report(
        paths,
        _work(modes, split=split, resamples=resamples, skip_loss=skip_loss, cached=not no_cache),
        jobs=jobs,
        scheduler=scheduler,
        form=console.with_chart(form, chart or convention is not None),
        fail_if=fail_if,
        table=view.table,
        summary=view.crossings if until else None,
        then=view.save_figure,
    )
    raise typer.Exit(code)


def _refuse_two(options: dict[str, bool]) -> None:
    given = [name for name, asked in options.items() if asked]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} do not go together", remedy="ask one at a time")


def _work(
    modes: dict[str, bool], *, split: str, resamples: int, skip_loss: bool, cached: bool
) -> Work:
    from nccli.work import Work

    names = {"--per-class": "classes", "--gram": "gram", "--ci": "sampled"}
    analysis = next((names[mode] for mode in names if modes[mode]), "collapse")
    options: dict[str, Any] = {}
    if analysis == "sampled":
        options["resamples"] = resamples
    if analysis in ("collapse", "sampled") and skip_loss:
        options["every_logit"] = False
    return Work(analysis=analysis, split=split, options=options, cached=cached)


def _print_definitions(form: str) -> None:
    from nccli.definitions import definitions, definitions_text
    from nccli.render import FOR_PEOPLE, rendered, resolve_format

    form = resolve_format(form, terminal=sys.stdout.isatty())
    if form in FOR_PEOPLE:
        console.show(definitions_text(definitions()), form=form)
    else:
        sys.stdout.write(rendered(definitions(), form=form))


class _View:
    """How results are shown to people; what can be wrong with it is told before any work."""

    def __init__(
        self, *, chart: bool, convention: str | None, figure: Path | None, until: str | None
    ) -> None:
        self._chart, self._figure = chart, figure
        self._convention: Convention | None = None
        self._until: Condition | None = None
        if convention is not None:
            from nccli.conventions import named

            self._convention = named(convention)
        if figure is not None:
            from nccli.figures import check_figure

            check_figure(figure)
        if until is not None:
            from nccli.collapse_report import CollapseReport
            from nccli.condition import Condition
            from nccli.result import columns

            self._until = Condition.parse(until)
            self._until.check(columns(CollapseReport))

    def crossings(self, results: Sequence[Any]) -> Sequence[Any]:
        """When the condition of --until first comes true, run by run."""
        from nccli.crossing import crossings

        assert self._until is not None
        return crossings(results, self._until)

    def table(self, results: Sequence[Any]) -> RenderableType:
        """The table of whatever results there are."""
        kind = type(results[0]).__name__
        if kind == "Crossing":
            from nccli.crossing_table import crossings_table

            return crossings_table(results)
        if kind == "ClassReport":
            from nccli.class_tables import class_table

            return class_table(results)
        if kind == "GramReport":
            from nccli.class_tables import gram_view
            from nccli.cli.drawing import chart_width, look

            return gram_view(results, width=chart_width(limit=160), look=look())
        return self._metrics(results)

    def _metrics(self, results: Sequence[Any]) -> RenderableType:
        from rich.console import Group

        from nccli.tables import results_table

        table = results_table(results, self._convention)
        if not self._chart:
            return table
        from nccli.cli.drawing import series_charts

        return Group(table, *series_charts(results, CHARTED))

    def save_figure(self, results: Sequence[Any]) -> None:
        """Write the figure of --figure."""
        if self._figure is None or not results:
            return
        from nccli.figures import save_metric_figure

        save_metric_figure(results, self._figure)
        console.say(f"nccli: wrote {visible(self._figure)}")
