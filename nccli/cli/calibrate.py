"""`nccli calibrate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nccli.cli import console
from nccli.errors import UsageError
from nccli.text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from nccli.work import Work

CHARTED = ["ece", "overconfidence", "temperature"]
SPLIT_HELP = console.SPLIT_HELP + " Default: test, else what there is."
BINS_HELP = "Equal-width bins; default: 15, and 20 under the paper's protocol."
FIT_HELP = "Fit the recalibration on this split, and score the other one with it."
PROTOCOL_HELP = "cross-fit, or paper: fitted on the scored split itself, a leak (and 20 bins)."
METHOD_HELP = "temperature, vector (scaling) or isotonic."
PROBABILITIES_HELP = "The stored logits are probabilities."
FOLDS_HELP = "Folds of the cross-fitted recalibration; default: 5."
RESAMPLES_HELP = "Of bootstrap and test of calibration; default: 1000, 0 leaves them out."
PER_CLASS_HELP = "A line a class: how sure the network is of it, and how often right."
PAIRED_HELP = "Differences LS - CE on the same samples, with paired intervals."
RELATIONS_HELP = "Calibration beside NC1, norms and temperature, epoch by epoch."
CHART_HELP = "Reliability diagrams, curves by epoch; default: for a single checkpoint."
FIGURE_HELP = "Reliability diagrams, or scores by epoch, as out.pdf, .svg or .png."


def calibrate(
    paths: list[str] = typer.Argument(help=console.PATHS_HELP, show_default=False),
    split: str | None = typer.Option(None, help=SPLIT_HELP),
    bins: int | None = typer.Option(None, min=1, max=10_000, help=BINS_HELP),
    folds: int | None = typer.Option(None, min=2, max=100, help=FOLDS_HELP),
    fit: str | None = typer.Option(None, help=FIT_HELP),
    protocol: str = typer.Option("cross-fit", help=PROTOCOL_HELP),
    recalibrate: str = typer.Option("temperature", help=METHOD_HELP),
    probabilities: bool = typer.Option(False, "--probabilities", help=PROBABILITIES_HELP),
    resamples: int | None = typer.Option(None, min=0, max=10_000, help=RESAMPLES_HELP),
    seed: int | None = typer.Option(None, min=0, max=2**32 - 1, help="Of the resamples; 0."),
    per_class: bool = typer.Option(False, "--per-class", help=PER_CLASS_HELP),
    paired: bool = typer.Option(False, "--paired", help=PAIRED_HELP),
    relations: bool = typer.Option(False, "--relations", help=RELATIONS_HELP),
    form: str = typer.Option("auto", "--format", "-f", help=console.FORMAT_HELP),
    fail_if: str | None = typer.Option(None, help=console.FAIL_IF_HELP),
    chart: bool | None = typer.Option(None, "--chart/--no-chart", help=CHART_HELP),
    figure: Path | None = typer.Option(None, help=FIGURE_HELP),
    jobs: int | None = typer.Option(None, "--jobs", "-j", min=1, help=console.JOBS_HELP),
    no_cache: bool = typer.Option(False, "--no-cache", help=console.NO_CACHE_HELP),
) -> None:
    """Can the confidence be trusted? ECE and friends, before and after recalibration.

    Every score comes with a bootstrap interval, every ECE with the noise that so few samples
    bring. The temperature is cross-fitted: no sample is scored with a temperature that it chose.

    \b
    Examples:
      nccli calibrate sample_data/runs/digits-mlp-ce-s0@last
      nccli calibrate 'sample_data/runs/*@last' --chart
      nccli calibrate 'sample_data/runs/*s0@last' --paired
      nccli calibrate 'sample_data/runs/*s0' --relations
      nccli calibrate sample_data/runs/digits-mlp-ls0.05-s0@last --per-class
      nccli calibrate sample_data/runs/digits-mlp-ce-s0@last --fit train --split test
      nccli calibrate 'sample_data/runs/*@last' --recalibrate vector --format csv
      nccli calibrate sample_data/runs/digits-mlp-ls0.05-s0@last --fail-if 'ece > 0.5'
    """
    _check(locals())
    if figure is not None:
        from nccli.figures import check_figure

        check_figure(figure)
    work = _work(locals())
    code = console.report(
        paths,
        work,
        jobs=jobs,
        form=console.with_chart(form, bool(chart)),
        fail_if=fail_if,
        table=lambda results: _table(results, chart),
        summary=_differences if paired else None,
        then=lambda results: _save_figure(results, figure),
    )
    raise typer.Exit(code)


def _check(given: dict[str, Any]) -> None:
    modes = {"--per-class": "per_class", "--paired": "paired", "--relations": "relations"}
    asked = [name for name, key in modes.items() if given[key]]
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)} do not go together", remedy="ask one at a time")
    other = {
        "--chart": given["chart"] is True, "--figure": given["figure"] is not None,
        "--fail-if": given["fail_if"] is not None and given["paired"],
    }  # fmt: skip
    if given["per_class"] or given["relations"]:
        other |= {
            "--fit": given["fit"] is not None, "--protocol": given["protocol"] != "cross-fit",
            "--recalibrate": given["recalibrate"] != "temperature",
            "--resamples": given["resamples"] is not None, "--seed": given["seed"] is not None,
            "--folds": given["folds"] is not None and given["per_class"],
        }  # fmt: skip
    refused = [name for name, is_given in other.items() if is_given]
    if asked and refused:
        raise UsageError(f"{asked[0]} and {refused[0]} do not go together")
    if given["paired"] and given["resamples"] == 0:
        raise UsageError("--paired needs resamples", remedy="leave --resamples 0 out")
    if given["folds"] is not None and (given["fit"] or given["protocol"] == "paper"):
        raise UsageError("--folds goes with cross-fitting, not with --fit or --protocol paper")


def _work(given: dict[str, Any]) -> Work:
    from nccli.work import Work

    options = {name: given[name] for name in ("fit", "protocol")}
    for name, usual in (("folds", 5), ("resamples", 1000), ("seed", 0)):
        options[name] = usual if given[name] is None else given[name]
    options |= {"num_bins": given["bins"], "method": given["recalibrate"]}
    options["probabilities"] = given["probabilities"]
    analysis = "paired_calibration" if given["paired"] else "calibration"
    if given["per_class"]:
        analysis, options = "class_calibration", _some(options, "num_bins", "probabilities")
    if given["relations"]:
        analysis, options = "relations", _some(options, "num_bins", "folds", "probabilities")
    # a pair's resamples are large, and no answer by themselves
    cached = not given["no_cache"] and not given["paired"]
    return Work(analysis=analysis, split=given["split"], options=options, cached=cached)


def _some(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names}


def _differences(results: Sequence[Any]) -> Sequence[Any]:
    from nccli.calibration.paired import differences

    rows = differences(results)
    if not rows:
        console.say(
            "nccli: --paired found no single cross-entropy checkpoint and label-smoothing ones of "
            "equal data set, epoch, seed and samples"
        )
    return rows


def _table(results: Sequence[Any], chart: bool | None) -> RenderableType:
    from nccli import calibration_tables as tables

    views: dict[str, Callable[[Any], RenderableType]] = {
        "ClassCalibration": tables.class_table,
        "DifferenceReport": tables.differences_table,
        "RelationReport": tables.relations_table,
    }
    view = views.get(type(results[0]).__name__)
    return _scores(results, chart) if view is None else view(results)


def _scores(results: Sequence[Any], chart: bool | None) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from nccli.calibration_tables import full_table
    from nccli.cli.drawing import reliability_charts, series_charts
    from nccli.tables import results_table

    one_file = len({result.path for result in results}) == 1
    parts = [part for result in results for part in (full_table(result), Text())][:-1]
    table = Group(*parts) if one_file else results_table(results)
    if not (len(results) == 1 if chart is None else chart):
        return table
    by_epoch = len({result.epoch for result in results}) > 1
    charts = series_charts(results, CHARTED) if by_epoch else reliability_charts(results)
    return Group(table, *charts)


def _save_figure(results: Sequence[Any], figure: Path | None) -> None:
    if figure is None or not results:
        return
    from nccli.figures import save_metric_figure, save_reliability_figure

    if len({result.epoch for result in results}) > 1:
        names = ("ece", "overconfidence", "temperature", "nll")
        save_metric_figure(results, figure, names=names)
    else:
        save_reliability_figure(results, figure)
    console.say(f"nccli: wrote {visible(figure)}")
