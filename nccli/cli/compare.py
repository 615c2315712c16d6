"""`nccli compare`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nccli.cli import console
from nccli.errors import DONE, SOME_INPUTS_FAILED, NotFoundError

if TYPE_CHECKING:
    from nccli.compare import Trajectory
    from nccli.errors import InputError


def compare(
    paths: list[str] = typer.Argument(
        help="Run directories, directories of runs, or globs of them."
    ),
    form: str = typer.Option("auto", "--format", "-f", help=console.FORMAT_HELP),
) -> None:
    """Cross-entropy beside label smoothing: paired differences, and the paper's statements.

    Runs are grouped by their loss and paired by seed; ratios have 95 % t-intervals over pairs.

    \b
    Examples:
      nccli compare sample_data/runs
      nccli compare sample_data/runs --format csv
    """
    from nccli.render import resolve_format

    form = resolve_format(form, terminal=sys.stdout.isatty())
    runs, missing = run_directories(console.input_words(paths))
    trajectories, problems = measure_runs(runs)
    baseline, others = split_by_loss(trajectories)
    print_comparison(baseline, others, form=form)
    raise typer.Exit(SOME_INPUTS_FAILED if problems or missing else DONE)


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


def measure_runs(runs: Sequence[Path]) -> tuple[list[Trajectory], list[InputError]]:
    """Measure every checkpoint of every run; unreadable ones are said and left out."""
    from nccli.compare import check_seeds
    from nccli.observe import observe_run

    trajectories, problems = [], []
    with console.progress_over(len(runs), "runs measured") as advance:
        for run in runs:
            trajectory, errors = observe_run(run)
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
    from nccli.render import rendered
    from nccli.tables import claims_table, comparison_table

    if form != "table":
        rows = [row for other in others for row in comparing.compare(baseline, other)]
        sys.stdout.write(rendered(rows, form=form))
        return
    for other in others:
        out = console.console()
        out.print(comparison_table(comparing.compare(baseline, other)))
        out.print(Text("\nWhat the paper says (arXiv 2402.03979), and what these runs say"))
        out.print(claims_table(comparing.claims(baseline, other)))
