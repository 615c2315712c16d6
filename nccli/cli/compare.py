"""`nccli compare`."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nccli.cli import console
from nccli.errors import DONE, SOME_INPUTS_FAILED, NotFoundError, UsageError

if TYPE_CHECKING:
    from nccli.compare import Trajectory
    from nccli.errors import InputError
    from nccli.matching import Matched

MATCH_HELP = "Compare where this number of the train split is equal: nc1 (or nc3, cdnv, ...)."
CHART_HELP = "Also draw the numbers over the epochs, the seeds of a loss averaged."
LEVELS_HELP = "With --match: the levels, as 0.1,0.01; default: five which all the runs reach."


def compare(
    paths: list[str] = typer.Argument(
        help="Run directories, directories of runs, or globs of them."
    ),
    form: str = typer.Option("auto", "--format", "-f", help=console.FORMAT_HELP),
    match: str | None = typer.Option(None, metavar="METRIC", help=MATCH_HELP),
    levels: str | None = typer.Option(None, metavar="LEVELS", help=LEVELS_HELP),
    chart: bool = typer.Option(False, help=CHART_HELP),
    no_cache: bool = typer.Option(False, "--no-cache", help=console.NO_CACHE_HELP),
) -> None:
    """Cross-entropy beside label smoothing: paired differences, and the paper's statements.

    Runs are grouped by their loss and paired by seed; ratios have 95 % t-intervals over pairs.
    The last epochs are compared; with --match nc1, the moments at which the train split's NC1
    first gets down to the same level (between two saved epochs: interpolated; never beyond them).

    \b
    Examples:
      nccli compare sample_data/runs
      nccli compare sample_data/runs --format latex
      nccli compare sample_data/runs --chart
      nccli compare sample_data/runs --match nc1
      nccli compare sample_data/runs --match nc1 --levels 0.1,0.01 --format json
    """
    from nccli.render import resolve_format

    form = resolve_format(console.with_chart(form, chart), terminal=sys.stdout.isatty())
    chosen = parse_match(match, levels)
    if chart and match is not None:
        raise UsageError("--chart and --match do not go together", remedy="ask one at a time")
    runs, missing = run_directories(console.input_words(paths))
    trajectories, problems = measure_runs(runs, cached=not no_cache)
    baseline, others = split_by_loss(trajectories)
    if match is None:
        print_comparison(baseline, others, form=form)
        if chart:
            print_charts([baseline, *others])
        unmatched = 0
    else:
        unmatched = print_matching(baseline, others, metric=match, levels=chosen, form=form)
    raise typer.Exit(SOME_INPUTS_FAILED if problems or missing or unmatched else DONE)


def parse_match(match: str | None, levels: str | None) -> list[float] | None:
    """Check the words of --match and --levels; return the levels, None for those runs share.

    Raises UsageError.
    """
    from nccli.matching import check_metric

    if match is not None:
        check_metric(match)
    if levels is None:
        return None
    if match is None:
        raise UsageError("--levels without --match", remedy="say of what: --match nc1")
    return [_level(word) for word in levels.split(",")]


def _level(word: str) -> float:
    try:
        level = float(word)
    except ValueError:
        level = math.nan
    if not 0 < level < math.inf:
        raise UsageError(
            f"cannot read the level '{word.strip()}'",
            remedy="give positive numbers between commas: --levels 0.1,0.01",
        )
    return level


def run_directories(words: Sequence[str]) -> tuple[list[Path], int]:
    """Return the run directories that the words name, and how many words named none (each told).

    Raises the first error where there is no run at all.
    """
    from nccli.runs import expand_runs

    found = expand_runs(words)
    runs = [item for item in found if isinstance(item, Path)]
    errors = [item for item in found if not isinstance(item, Path)]
    if not runs:
        raise errors[0]
    for error in errors:
        console.say(f"nccli: {error}")
    return runs, len(errors)


def measure_runs(
    runs: Sequence[Path], *, cached: bool = False
) -> tuple[list[Trajectory], list[InputError]]:
    """Measure every checkpoint of every run; unreadable ones are said and left out."""
    from nccli.compare import check_seeds
    from nccli.observe import observe_run

    trajectories, problems = [], []
    with console.progress_over(len(runs), "runs measured") as advance:
        for run in runs:
            trajectory, errors = observe_run(run, cached=cached)
            problems += errors
            trajectories += [trajectory] if trajectory.observations else []
            advance()
    for error in problems:
        console.say(f"nccli: {error}")
    check_seeds(trajectories)
    epochs = sorted({run.last.epoch for run in trajectories if run.last.epoch is not None})
    if len(epochs) > 1:
        shown = ", ".join(str(epoch) for epoch in epochs)
        console.say(f"nccli: the runs end at different epochs ({shown}); each is taken at its last")
    return trajectories, problems


def split_by_loss(
    runs: Sequence[Trajectory],
) -> tuple[list[Trajectory], list[list[Trajectory]]]:
    """Return the cross-entropy runs, and every other group (one a delta)."""
    groups: dict[str, list[Trajectory]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    baseline = groups.pop("CE", [])
    if not baseline or not groups:
        have = ", ".join(sorted({run.group for run in runs})) or "none"
        raise NotFoundError(
            f"needs runs of cross-entropy and of label smoothing, found: {have}",
            remedy="train both: nccli train --loss ce,ls",
        )
    return baseline, [groups[name] for name in sorted(groups)]


def print_comparison(
    baseline: Sequence[Trajectory], others: Sequence[Sequence[Trajectory]], *, form: str
) -> None:
    """Print the comparison of each group with cross-entropy; for people, the verdicts as well."""
    from rich.text import Text

    from nccli import compare as comparing
    from nccli.render import FOR_PEOPLE, rendered
    from nccli.tables import claims_table, comparison_table

    if form not in FOR_PEOPLE:
        rows = [row for other in others for row in comparing.compare(baseline, other)]
        sys.stdout.write(rendered(rows, form=form))
        return
    for other in others:
        console.show(comparison_table(comparing.compare(baseline, other)), form=form)
        words = "\nWhat the paper says (arXiv 2402.03979), and what these runs say"
        console.show(Text(words), form=form)
        console.show(claims_table(comparing.claims(baseline, other)), form=form)


def print_charts(groups: Sequence[Sequence[Trajectory]]) -> None:
    """Draw what is compared over the epochs: a curve a group, its seeds averaged."""
    from nccli.cli.drawing import comparison_charts

    for part in comparison_charts(groups):
        console.console().print(part)


def print_matching(
    baseline: Sequence[Trajectory],
    others: Sequence[Sequence[Trajectory]],
    *,
    metric: str,
    levels: Sequence[float] | None,
    form: str,
) -> int:
    """Print each group beside cross-entropy at equal levels; return how many share none with it.

    Raises NotFoundError where no group does.
    """
    from nccli.matching import matched
    from nccli.render import FOR_PEOPLE, rendered

    found = [(other, matched(baseline, other, metric=metric, levels=levels)) for other in others]
    problems = [_no_level(baseline, other, metric) for other, rows in found if not rows]
    if len(problems) == len(found):
        raise problems[0]
    for problem in problems:
        console.say(f"nccli: {problem}")
    if form not in FOR_PEOPLE:
        sys.stdout.write(rendered([row for _, rows in found for row in rows], form=form))
        return len(problems)
    for _, rows in found:
        if rows:
            _print_levels(rows, form)
    return len(problems)


def _no_level(
    baseline: Sequence[Trajectory], other: Sequence[Trajectory], metric: str
) -> NotFoundError:
    from nccli.matching import why_none_shared

    return NotFoundError(
        f"{baseline[0].group} and {other[0].group} share no level of {metric}: "
        f"{why_none_shared([*baseline, *other], metric=metric)}",
        remedy="leave that run out, or choose --levels",
    )


def _print_levels(rows: Sequence[Matched], form: str) -> None:
    from rich.text import Text

    from nccli.compare import claims_at_equal_nc1
    from nccli.matching_table import matching_table
    from nccli.tables import claims_table

    console.show(matching_table(rows), form=form)
    if rows[0].metric == "nc1":
        words = "\nWhat the paper says (arXiv 2402.03979); these runs, at the deepest level"
        console.show(Text(words), form=form)
        console.show(claims_table(claims_at_equal_nc1(rows)), form=form)
