"""`nccli report`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nccli.cli import console
from nccli.cli.compared_runs import measure_words, one_of, runs_by_word
from nccli.cli.figure import check_folder, publish, when
from nccli.errors import DONE, SOME_INPUTS_FAILED, NccliError

if TYPE_CHECKING:
    from nccli.groups import By, Pair
    from nccli.trajectory import Trajectory


def report(
    paths: list[str] = typer.Argument(
        help="Run directories, directories of runs, or globs; two quoted globs: two groups."
    ),
    out: Path = typer.Option(
        Path("report.html"), "-o", "--out", help="The file to write, or its folder."
    ),
    title: str = typer.Option("Neural collapse report", help="The heading of the page."),
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
    check_folder(out.parent)
    words, missing = runs_by_word(console.input_words(paths))
    measured, problems = measure_words(words, cached=not no_cache)
    command = shlex.join(["nccli", "report", *paths])
    shown = groups_of(measured, by)
    _write(shown, _pairs(measured, by), out, title, command)
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
            advance=advance,
        )
    publish(out, page.encode("utf-8", "backslashreplace"))
