"""`nccli figure`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nccli.cli import console
from nccli.cli.compared_runs import measure_words, one_of, runs_by_word
from nccli.cli.writing import check_file, check_form, publish, when
from nccli.errors import (
    DONE,
    SOME_INPUTS_FAILED,
    ContentError,
    InputError,
    NotFoundError,
    UsageError,
)
from nccli.publish import check_folder

if TYPE_CHECKING:
    from nccli.export import Plotted
    from nccli.plots import Chart
    from nccli.trajectory import Trajectory

OF_HELP = "Charts between commas: collapse, nc1, ece, reliability, gram, spectrum, ...; or all."
OUT_HELP = "A file (its suffix is the form), or a folder for files named after the charts."
FORM_HELP = "In a folder: forms between commas, of pdf, svg, png, tex (pgfplots), csv and json."
WIDTH_HELP = "column (3.3 in), page (7 in), or inches."
STYLE_HELP = "Print our matplotlib style file and stop: nccli figure --style > nccli.mplstyle."
WIDTHS = {"column": 3.3, "page": 7.0}
NARROWEST, WIDEST = 1.5, 40.0  # inches


def figure(
    paths: list[str] = typer.Argument(
        None, help="Run directories, directories of runs, or globs; two quoted globs: two groups."
    ),
    of: str = typer.Option("collapse", metavar="CHARTS", help=OF_HELP),
    out: Path = typer.Option(Path(), "-o", "--out", help=OUT_HELP),
    form: str = typer.Option("pdf", metavar="FORMS", help=FORM_HELP),
    width: str | None = typer.Option(None, metavar="WIDTH", help=WIDTH_HELP),
    groups: str = typer.Option("auto", metavar="BY", help="As for compare: loss, words or auto."),
    style: bool = typer.Option(False, "--style", help=STYLE_HELP),
    no_cache: bool = typer.Option(False, "--no-cache", help=console.NO_CACHE_HELP),
) -> None:
    """Figures for print: every chart of some runs, with its origin in the file.

    A curve a group: the mean of its seeds with the lowest and highest of them. PDF, SVG and PNG say
    in their metadata which files (with their SHA-256) and which command made them; csv, json and
    tex hold the numbers that are drawn. Prints the files it wrote.

    \b
    Examples:
      nccli figure sample_data/runs
      nccli figure sample_data/runs --width column -o collapse.svg
      nccli figure sample_data/runs --of reliability -o reliability.pdf
      nccli figure sample_data/runs --of all --form svg,csv -o figures
      nccli figure sample_data/runs --of nc1 -o nc1.tex
      nccli figure --style > nccli.mplstyle
    """
    if style:
        from nccli.figures.style import STYLE_FILE

        print(STYLE_FILE.read_text(encoding="utf-8"), end="")
        raise typer.Exit
    if not paths:
        raise UsageError("no runs given", remedy="nccli figure sample_data/runs")
    from nccli.groups import BY, groups_of
    from nccli.plots import chosen

    by = one_of("--groups", groups, BY)
    given = console.input_words(paths)
    command = ["nccli", "figure", *given, "--of", of]
    command += ["--width", width] if width is not None else []
    command += ["--groups", groups] if groups != "auto" else []
    charts = chosen(of, cached=not no_cache)
    plan = _Plan(
        charts=charts,
        files=_files(charts, out, form),
        width=_inches(width),
        command=shlex.join(command),
    )
    words, missing = runs_by_word(given)
    measured, problems = measure_words(words, cached=not no_cache)
    failed = plan.draw(groups_of(measured, by))
    raise typer.Exit(SOME_INPUTS_FAILED if problems or missing or failed else DONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What is drawn, and where it goes."""

    charts: Sequence[Chart]
    files: Sequence[tuple[Chart, str, Path]]  # with the form
    width: float | None
    command: str

    def draw(self, groups: Sequence[Sequence[Trajectory]]) -> int:
        """Write every file and print its name; return how many charts had nothing in them.

        Raises the first reason where none had anything.
        """
        from nccli.plots import checked

        made: dict[str, Plotted | InputError] = {}
        with console.progress_over(len(self.charts), "charts made") as advance:
            for chart in self.charts:
                try:
                    made[chart.name] = checked(chart.plot(groups))
                except ContentError as error:
                    made[chart.name] = error
                advance()
        reasons = [one for one in made.values() if isinstance(one, InputError)]
        if len(reasons) == len(made):
            raise reasons[0]
        for reason in reasons:
            console.say(f"nccli: {reason}")
        for chart, form, path in self.files:
            plotted = made[chart.name]
            if not isinstance(plotted, InputError):
                self._write(plotted, groups, form, path)
        return len(reasons)

    def _write(
        self, plotted: Plotted, groups: Sequence[Sequence[Trajectory]], form: str, path: Path
    ) -> None:
        from nccli.export import Origin, exported
        from nccli.plots import needed

        origin = Origin(command=self.command, files=needed(plotted, groups))
        publish(path, exported(plotted, origin, form, when=when(), width=self.width))


def _files(charts: Sequence[Chart], out: Path, words: str) -> list[tuple[Chart, str, Path]]:
    """Where each chart goes, in which form; what cannot be is told before anything is measured."""
    if out.suffix and not out.is_dir():
        if len(charts) > 1:
            raise UsageError(
                f"{len(charts)} charts do not fit into one file",
                source=out,
                remedy="give a folder: -o figures",
            )
        return [(charts[0], check_file(out), out)]
    forms = [check_form(word) for word in dict.fromkeys(words.replace(" ", "").split(","))]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotFoundError(
            f"no folder can be made here: {error.strerror}", source=out, remedy="choose another"
        ) from error
    check_folder(out)
    return [(one, form, out / f"{one.name.replace('.', '-')}.{form}")
            for one in charts for form in forms]  # fmt: skip


def _inches(word: str | None) -> float | None:
    if word is None or word in WIDTHS:
        return None if word is None else WIDTHS[word]
    try:
        width = float(word)
    except ValueError:
        width = 0.0
    if not NARROWEST <= width <= WIDEST:
        raise UsageError(
            f"cannot read the width '{word}'",
            remedy=f"column, page, or inches from {NARROWEST:g} to {WIDEST:g}",
        )
    return width
