"""`nccli view`."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from nccli.errors import NotFoundError, UsageError


def view(
    paths: list[str] | None = typer.Argument(
        None, help="Run directories or directories of runs. None: the shipped sample runs."
    ),
    tab: str | None = typer.Option(None, help="Open on this tab: overview, collapse, ..."),
    screenshot: Path | None = typer.Option(None, help="Write one frame as SVG and exit."),
    size: str = typer.Option("140x44", help="Columns x rows of --screenshot."),
    press: str = typer.Option("", help="Keys to press before --screenshot, by commas."),
) -> None:
    """The terminal UI over one or many runs; follows a run that is still training.

    \b
    Examples:
      nccli view
      nccli view sample_data/runs --screenshot screen.svg --size 100x30 --press 2
    """
    from nccli.cli.compare import run_directories

    words = paths or [str(_sample_runs())]
    runs, _ = run_directories(words)  # raises where there is none
    # directories go in whole: a run that appears below one later is followed too
    places = [Path(word) for word in words if Path(word).is_dir()]
    shown = places if len(places) == len(words) else runs
    if screenshot is not None:
        if not screenshot.parent.is_dir():
            raise NotFoundError("no such directory", source=screenshot.parent, remedy="make it")
        from nccli.tui import screenshot as draw

        draw(
            shown, size=_size(size), press=[key for key in press.split(",") if key], out=screenshot
        )
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "the terminal UI needs a terminal",
            remedy="use nccli analyze, hessian, calibrate or compare in pipes and scripts",
        )
    from nccli.tui import run

    run(shown, tab=tab)


def _sample_runs() -> Path:
    from nccli.sample import sample_data_path

    return sample_data_path("runs")


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise UsageError(f"--size must be COLUMNSxROWS, got '{text}'", remedy="140x44")
    return int(width), int(height)
