"""`nccli report`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nccli.cli import console
from nccli.cli.compared_runs import measure_words, one_of, runs_by_word, say_groups
from nccli.cli.writing import publish, when
from nccli.errors import DONE, SOME_INPUTS_FAILED, NccliError, UsageError
from nccli.publish import check_folder

if TYPE_CHECKING:
    from nccli.groups import By, Pair
    from nccli.trajectory import Trajectory

TITLE = "Neural collapse report"


def report(
    paths: list[str] = typer.Argument(
        help="Run directories, directories of runs, or globs; two quoted globs: two groups."
    ),
    out: Path = typer.Option(
        Path("report.html"), "-o", "--out", help="The file to write, or its folder."
    ),
    title: str = typer.Option(TITLE, help="The heading of the page."),
    groups: str = typer.Option("auto", metavar="BY", help="As for compare: loss, words or auto."),
    no_cache: bool = typer.Option(False, "--no-cache", help=console.NO_CACHE_HELP),
) -> None:
    """One HTML page with every table and figure of some runs; it loads nothing from anywhere.

    The runs, their comparison with intervals and the paper's statements, the figures, every
    collapse, calibration and conditioning number at the last epochs, their definitions, and the
    SHA-256 of each checkpoint. Prints the name of the file.

    \b
    Examples:
      nccli report sample_data/runs
      nccli report 'sample_data/runs/*ce*' 'sample_data/runs/*ls*' -o ce-ls.html
      nccli report sample_data/runs --title 'Digits, MLP' -o digits.html
    """
    from nccli.groups import BY, groups_of

    by = one_of("--groups", groups, BY)
    out = out / "report.html" if out.is_dir() else out
    if out.suffix.lower() not in (".html", ".htm"):  # else a slip would replace a checkpoint
        raise UsageError(
            "a report is an HTML page", source=out, remedy=f"-o {out.with_suffix('.html').name}"
        )
    check_folder(out.parent)
    given = console.input_words(paths)
    words, missing = runs_by_word(given)
    measured, problems = measure_words(words, cached=not no_cache)
    command = ["nccli", "report", *given]
    command += ["--groups", groups] if groups != "auto" else []
    command += ["--title", title] if title != TITLE else []
    pairs = _pairs(measured, by)
    if pairs:
        say_groups(measured, pairs, by)
    _write(groups_of(measured, by), pairs, out, title, shlex.join(command), cached=not no_cache)
    raise typer.Exit(SOME_INPUTS_FAILED if problems or missing else DONE)


def _pairs(measured: Sequence[tuple[str, list[Trajectory]]], by: By) -> list[Pair]:
    from nccli.groups import grouped

    try:
        return grouped(measured, by)
    except NccliError:  # one group alone has a page, too
        return []


def _write(
    shown: Sequence[list[Trajectory]],
    pairs: Sequence[Pair],
    out: Path,
    title: str,
    command: str,
    *,
    cached: bool,
) -> None:
    from nccli.compare import compare
    from nccli.report import report_page
    from nccli.report.figures import DRAWN

    with console.progress_over(len(DRAWN), "figures drawn") as advance:
        page = report_page(
            shown,
            pairs,
            [compare(*pair) for pair in pairs],
            title=title,
            command=command,
            when=when(),
            cached=cached,
            advance=advance,
        )
    publish(out, page.encode("utf-8", "backslashreplace"))
