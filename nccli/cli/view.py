"""`nccli view`."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import typer

from nccli.errors import NotFoundError, UsageError

MOST_CELLS = 1000  # columns or rows of a screenshot


def view(
    paths: list[str] | None = typer.Argument(
        None, help="Run directories or directories of runs. None: the shipped sample runs."
    ),
    tab: str | None = typer.Option(None, help="Open on this tab: overview, collapse, ..."),
    compare: str | None = typer.Option(
        None, metavar="RUNS", help="Names of the runs to pick, by commas; * and ? as in a shell."
    ),
    epoch: int | None = typer.Option(None, min=0, help="Put the epoch cursor here."),
    mode: str | None = typer.Option(
        None, help="Lay groups beside each other so: overlay, 'side by side', difference, ratio."
    ),
    rival: str | None = typer.Option(
        None, metavar="GROUP", help="Compare the first group with this one: 'LS 0.1'."
    ),
    zoom: int = typer.Option(0, min=0, help="Halve the epochs so many times, around the cursor."),
    level: list[str] | None = typer.Option(
        None, metavar="NUMBER=VALUE", help="A threshold: train.nc1=0.1. May be repeated."
    ),
    screenshot: Path | None = typer.Option(None, help="Write one frame as SVG and exit."),
    size: str = typer.Option("140x44", help="Columns x rows of --screenshot."),
    press: str = typer.Option("", help="Keys to press before --screenshot, by commas."),
) -> None:
    """The terminal UI over one or many runs; follows a run that is still training.

    \b
    Examples:
      nccli view
      nccli view sample_data/runs --screenshot screen.svg --size 100x30 --press 2
      nccli view sample_data/runs --tab gram --epoch 50 --screenshot gram.svg
      nccli view --tab collapse --mode ratio --level train.nc1=0.1 --screenshot a.svg
    """
    from nccli.cli.compared_runs import run_directories

    words = paths or [str(_sample_runs())]
    runs, _ = run_directories(words)  # raises where there is none
    # directories go in whole: a run that appears below one later is followed too
    places = [Path(word) for word in words if Path(word).is_dir()]
    shown = places if len(places) == len(words) else runs
    chosen = _chosen(compare, runs)
    if screenshot is None:
        _check_terminal()
    if screenshot is not None and not screenshot.absolute().parent.is_dir():
        raise NotFoundError("no such directory", source=screenshot.parent, remedy="make it")
    if screenshot is not None and screenshot.is_dir():
        raise UsageError("a directory", source=screenshot, remedy="give a file: screen.svg")
    frame, keys = (None if screenshot is None else _size(size)), _keys(press)
    from nccli import tui

    start = tui.Start(
        tab=tab,
        chosen=chosen,
        epoch=epoch,
        mode=mode,
        rival=rival,
        zoom=zoom,
        levels=tui.read_levels(level or []),
    )
    if screenshot is None or frame is None:
        raise typer.Exit(tui.run(shown, start))
    tui.screenshot(shown, start, size=frame, press=keys, out=screenshot)


def _check_terminal() -> None:
    """Raise UsageError where there is nothing to draw on."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "the terminal UI needs a terminal",
            remedy="use nccli analyze, hessian, calibrate or compare in pipes and scripts",
        )
    if os.environ.get("TERM") in (None, "", "dumb"):
        raise UsageError(
            "this terminal cannot place a cursor (TERM is dumb or not set)",
            remedy="set TERM, or use nccli analyze, hessian, calibrate or compare",
        )
    if not sys.stderr.isatty():
        raise UsageError("the terminal UI draws on stderr", remedy="do not redirect it")


def _chosen(compare: str | None, runs: Sequence[Path]) -> list[str]:
    """The names of the runs that --compare picks; raises UsageError where a word matches none."""
    names = [run.resolve().name for run in runs]
    found: dict[str, None] = {}
    for word in (compare or "").split(","):
        matching = [name for name in names if name == word]
        matching = matching or [name for name in names if fnmatch(name, word)]
        if word and not matching:
            some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise UsageError(f"no run named '{word}'", remedy=f"try one of: {some}")
        found |= dict.fromkeys(matching)
    return list(found)


def _sample_runs() -> Path:
    from nccli.sample import sample_data_path

    return sample_data_path("runs")


def _keys(text: str) -> list[str]:
    """The keys of --press: characters, and names as Textual has them; UsageError on others."""
    from textual.keys import KEY_NAME_REPLACEMENTS, Keys

    keys = [key for key in text.split(",") if key]
    named = {key.value for key in Keys} | set(KEY_NAME_REPLACEMENTS.values())
    for key in keys:
        if len(key) > 1 and key not in named and not _is_character(key):
            raise UsageError(
                f"no key is named '{key}'", remedy="characters, and left, enter, escape, comma ..."
            )
    return keys


def _is_character(name: str) -> bool:
    """Whether this is a character's name in Unicode, as in `question_mark`."""
    try:
        unicodedata.lookup(name.replace("_", " "))
    except KeyError:
        return False
    return True


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise UsageError(f"--size must be COLUMNSxROWS, got '{text}'", remedy="140x44")
    if not (0 < int(width) <= MOST_CELLS and 0 < int(height) <= MOST_CELLS):
        raise UsageError(f"--size must be 1x1 to {MOST_CELLS}x{MOST_CELLS}, got '{text}'")
    return int(width), int(height)
