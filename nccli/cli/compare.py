"""`nccli compare`."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from nccli.cli import console
from nccli.cli.compared_runs import measure_words, one_of, runs_by_word, say_groups
from nccli.errors import CLAIM_FAILED, DONE, SOME_INPUTS_FAILED, NotFoundError, UsageError

if TYPE_CHECKING:
    from nccli.changes import Method
    from nccli.compare import Comparison, Trajectory
    from nccli.condition import Condition
    from nccli.groups import By, Pair
    from nccli.matching import Matched

MATCH_HELP = "Compare where this number of the train split is equal: nc1 (or nc3, cdnv, ...)."
CHART_HELP = "Also draw the numbers over the epochs, the seeds of a loss averaged."
LEVELS_HELP = "With --match: the levels, as 0.1,0.01; default: five which all the runs reach."
GROUPS_HELP = "loss, words (the first word's runs against those of each other), or auto."
INTERVAL_HELP = "Over seeds: t or bootstrap; over the samples of one pair of runs: samples."
RESAMPLES_HELP = "Of the bootstrap; default 10000 over seeds, 200 over samples."
FAIL_IF_HELP = "Exit with 1 if it is true of a comparison, e.g. 'test.accuracy.difference < -0.02'."
INTERVALS = ("t", "bootstrap", "samples")
SAMPLE_RESAMPLES = 200
FEW = 5  # runs of a group, our own limit: of two, a bootstrap's interval is their range
CHECKED = ("baseline_mean", "other_mean", "difference", "ratio", "low", "high")


def compare(
    paths: list[str] = typer.Argument(
        help="Run directories, directories of runs, or globs of them; two quoted globs: two groups."
    ),
    form: str = typer.Option("auto", "--format", "-f", help=console.FORMAT_HELP),
    groups: str = typer.Option("auto", metavar="BY", help=GROUPS_HELP),
    match: str | None = typer.Option(None, metavar="METRIC", help=MATCH_HELP),
    levels: str | None = typer.Option(None, metavar="LEVELS", help=LEVELS_HELP),
    interval: str = typer.Option("t", metavar="KIND", help=INTERVAL_HELP),
    resamples: int | None = typer.Option(None, help=RESAMPLES_HELP),
    seed: int = typer.Option(0, min=0, help="Of the resampling."),
    fail_if: str | None = typer.Option(None, help=FAIL_IF_HELP),
    chart: bool = typer.Option(False, help=CHART_HELP),
    no_cache: bool = typer.Option(False, "--no-cache", help=console.NO_CACHE_HELP),
) -> None:
    """Two groups of runs, paired by seed: differences, ratios and their 95 % intervals.

    Runs are grouped by their loss, and each smoothing is compared with cross-entropy. Two words
    that each name runs of one loss are the two groups; where they share losses, they are compared
    loss by loss (--groups loss pools them). Groups that share no two seeds are compared as
    independent samples (Welch). The last epochs are compared; with --match nc1, the moments at
    which the train split's NC1 first gets down to the same level (between two saved epochs:
    interpolated; never beyond them).

    \b
    Examples:
      nccli compare sample_data/runs
      nccli compare 'sample_data/runs/*ce*' 'sample_data/runs/*ls*' --interval samples
      nccli compare sample_data/runs --fail-if 'test.accuracy.difference < -0.02'
      nccli compare sample_data/runs --format latex
      nccli compare sample_data/runs --chart
      nccli compare sample_data/runs --match nc1
      nccli compare sample_data/runs --match nc1 --levels 0.1,0.01 --format json
    """
    from nccli.groups import grouped
    from nccli.render import resolve_format

    form = resolve_format(console.with_chart(form, chart), terminal=sys.stdout.isatty())
    chosen = parse_match(match, levels)
    how = _How.of(groups, interval, resamples, seed)
    if chart and match is not None:
        raise UsageError("--chart and --match do not go together", remedy="ask one at a time")
    if match is not None and interval == "samples":
        raise UsageError(
            "--match and --interval samples do not go together", remedy="ask one at a time"
        )
    condition = _condition(fail_if, match)
    words, missing = runs_by_word(console.input_words(paths))
    measured, problems = measure_words(words, cached=not no_cache)
    pairs = grouped(measured, how.by)
    apart = say_groups(measured, pairs, how.by)
    unmatched = 0
    if match is None:
        compared: Sequence[Sequence[Comparison]] = [how.compare(*pair) for pair in pairs]
        print_comparison(pairs, compared, form=form)
        if chart:
            print_charts(pairs)
    else:
        compared, unmatched = print_matching(pairs, how, metric=match, levels=chosen, form=form)
    if condition is not None and (code := _checked(compared, condition)) != DONE:
        raise typer.Exit(code)
    unused = missing or unmatched or apart
    raise typer.Exit(SOME_INPUTS_FAILED if problems or unused else DONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    by: By
    method: Method
    samples: int | None  # resamples of the samples, None for an interval over seeds

    @classmethod
    def of(cls, by: str, interval: str, resamples: int | None, seed: int) -> _How:
        from nccli.changes import RESAMPLES, Method
        from nccli.groups import BY

        chosen = one_of("--groups", by, BY)
        one_of("--interval", interval, INTERVALS)
        if resamples is not None and interval == "t":
            raise UsageError(
                "--resamples without a bootstrap", remedy="--interval bootstrap, or samples"
            )
        method = Method(
            kind="bootstrap" if interval == "bootstrap" else "t",
            resamples=RESAMPLES if resamples is None else resamples,  # refuses fewer than one
            seed=seed,
        )
        samples = SAMPLE_RESAMPLES if resamples is None else resamples
        return cls(by=chosen, method=method, samples=samples if interval == "samples" else None)

    def compare(
        self, baseline: Sequence[Trajectory], other: Sequence[Trajectory]
    ) -> list[Comparison]:
        from nccli import compare as comparing

        if self.samples is None:
            if self.method.kind == "bootstrap" and min(len(baseline), len(other)) < FEW:
                console.say(
                    f"nccli: a bootstrap of fewer than {FEW} runs is too narrow: --interval t"
                )
            return comparing.compare(baseline, other, method=self.method)
        from nccli import sample_changes

        with console.progress_over(sample_changes.steps, "resampled") as advance:
            return sample_changes.compare_samples(
                baseline,
                other,
                resamples=self.samples,
                seed=self.method.seed,
                advance=advance,
            )


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


# --- --fail-if ----------------------------------------------------------------------------------


def _condition(text: str | None, match: str | None) -> Condition | None:
    """Read --fail-if before anything is measured. Raises UsageError."""
    from nccli.compare import COMPARED
    from nccli.condition import Condition
    from nccli.matching import ROWS

    if text is None:
        return None
    condition = Condition.parse(text)
    rows = COMPARED if match is None else ROWS
    condition.check(f"{row.key}.{name}" for row in rows for name in CHECKED)
    return condition


def _checked(compared: Sequence[Sequence[Comparison]], condition: Condition) -> int:
    """Return the code that the condition ends with; say which comparison it is true of."""
    from nccli.matching import Matched

    key, _, name = condition.name.rpartition(".")
    found = [row for rows in compared for row in rows if row.key == key]
    undecided = 0
    for row in found:
        truth = condition.holds({condition.name: getattr(row, name)})
        if truth:
            level = f" at {row.metric} = {row.level:.3g}" if isinstance(row, Matched) else ""
            console.say(
                f"nccli: {row.other} against {row.baseline}{level}: {condition.text} is true"
            )
            return CLAIM_FAILED
        undecided += truth is None
    if undecided or not found:
        console.say(
            f"nccli: '{condition.text}' could not be decided for {undecided} of {len(found)} "
            f"comparisons: {condition.name} is undefined there"
        )
        return SOME_INPUTS_FAILED
    return DONE


# --- what is printed ----------------------------------------------------------------------------


def print_comparison(
    pairs: Sequence[Pair], compared: Sequence[Sequence[Comparison]], *, form: str
) -> None:
    """Print each comparison; for people, and of smoothing with cross-entropy, the verdicts too."""
    from rich.text import Text

    from nccli import compare as comparing
    from nccli.changes import SAMPLES
    from nccli.render import FOR_PEOPLE, rendered
    from nccli.tables import claims_table, comparison_table

    if form not in FOR_PEOPLE:
        sys.stdout.write(rendered([row for rows in compared for row in rows], form=form))
        return
    for (baseline, other), rows in zip(pairs, compared, strict=True):
        console.show(comparison_table(rows), form=form)
        if any(row.interval == SAMPLES for row in rows):
            console.say("nccli: these intervals are over samples: they say nothing of other seeds")
        elif comparing.are_the_papers(baseline, other):
            words = "\nWhat the paper says (arXiv 2402.03979), and what these runs say"
            console.show(Text(words), form=form)
            verdicts = comparing.claims(baseline, other, compared=rows)
            console.show(claims_table(verdicts), form=form)


def print_charts(pairs: Sequence[Pair]) -> None:
    """Draw what is compared over the epochs: a curve a group, its seeds averaged."""
    from nccli.cli.drawing import comparison_charts

    groups: list[Sequence[Trajectory]] = []
    for group in (group for pair in pairs for group in pair):
        if group not in groups:
            groups.append(group)
    for part in comparison_charts(groups):
        console.console().print(part)


def print_matching(
    pairs: Sequence[Pair],
    how: _How,
    *,
    metric: str,
    levels: Sequence[float] | None,
    form: str,
) -> tuple[list[list[Matched]], int]:
    """Print each group beside its baseline at equal levels.

    Return the rows, and how many groups share no level with theirs.

    Raises NotFoundError where no group does.
    """
    from nccli.compare import are_the_papers
    from nccli.matching import matched
    from nccli.render import FOR_PEOPLE, rendered

    found = [
        (pair, matched(*pair, metric=metric, levels=levels, method=how.method)) for pair in pairs
    ]
    found = [
        (pair, rows if any(row.baseline_runs or row.other_runs for row in rows) else [])
        for pair, rows in found
    ]
    problems = [_no_level(*pair, metric) for pair, rows in found if not rows]
    if len(problems) == len(found):
        raise problems[0]
    for problem in problems:
        console.say(f"nccli: {problem}")
    shown = [rows for _, rows in found if rows]
    if form not in FOR_PEOPLE:
        sys.stdout.write(rendered([row for rows in shown for row in rows], form=form))
        return shown, len(problems)
    for pair, rows in found:
        if rows:
            _print_levels(rows, form, verdicts=are_the_papers(*pair))
    return shown, len(problems)


def _no_level(
    baseline: Sequence[Trajectory], other: Sequence[Trajectory], metric: str
) -> NotFoundError:
    from nccli.matching import why_none_shared

    return NotFoundError(
        f"{baseline[0].group} and {other[0].group} share no level of {metric}: "
        f"{why_none_shared([*baseline, *other], metric=metric)}",
        remedy="leave that run out, or choose --levels",
    )


def _print_levels(rows: Sequence[Matched], form: str, *, verdicts: bool) -> None:
    from rich.text import Text

    from nccli.compare import claims_at_equal_nc1
    from nccli.matching_table import matching_table
    from nccli.tables import claims_table

    console.show(matching_table(rows), form=form)
    if rows[0].metric == "nc1" and verdicts:
        words = "\nWhat the paper says (arXiv 2402.03979); these runs, at the deepest level"
        console.show(Text(words), form=form)
        console.show(claims_table(claims_at_equal_nc1(rows)), form=form)
