"""`nccli demo`."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import typer

from nccli.cli import console
from nccli.errors import SOME_INPUTS_FAILED


def demo(
    out: Path = typer.Option(Path("nccli-demo"), help="Directory for the runs of the demo."),
    seeds: str = typer.Option("0-2", help="Random seeds, as 0,1,2 or 0-2."),
    epochs: int = typer.Option(200, help="Epochs of each run."),
    jobs: int | None = typer.Option(None, min=1, help="Runs side by side; default: one a core."),
) -> None:
    """The whole story on the shipped digits: train CE and LS, measure, compare; about a minute.

    Trains a 6 x 128 MLP on noisy handwritten digits with cross-entropy and with label smoothing
    0.05, then prints what the saved checkpoints say of each of the paper's statements. Runs that
    are there already are kept, not trained again.

    \b
    Examples:
      nccli demo
      nccli demo --seeds 0 --epochs 20 --out /tmp/quick
    """
    from nccli.cli.compare import print_comparison
    from nccli.cli.compared_runs import measure_runs
    from nccli.cli.train import digits_settings, train_all
    from nccli.compare import compare
    from nccli.groups import grouped

    started = time.perf_counter()
    settings = digits_settings(seeds=seeds, epochs=epochs)
    console.say(
        f"nccli: training {len(settings)} runs on noisy digits (CE and LS 0.05, seeds {seeds}, "
        f"{epochs} epochs each) into {out}/"
    )
    outcomes = train_all(settings, out, jobs=jobs, resume=True)
    runs = [outcome.path for outcome in outcomes if outcome.ending in ("finished", "skipped")]
    pairs = grouped([("", measure_runs(runs)[0])])
    _print_story(len(pairs[0][0]))
    print_comparison(pairs, [compare(*pair) for pair in pairs], form="table")
    console.console().print(_way_on(out), style="bold")
    console.say(f"nccli: {time.perf_counter() - started:.0f} s")
    raise typer.Exit(0 if len(runs) == len(outcomes) else SOME_INPUTS_FAILED)


def _print_story(seeds: int) -> None:
    console.console().print(
        f"Noisy digits (1,000 train / 797 test images, 8 x 8), MLP 6 x 128, {seeds} seed"
        f"{'' if seeds == 1 else 's'} of each loss: mean ± standard deviation\n"
    )


def _way_on(out: Path) -> str:
    program = "nccli" if shutil.which("nccli") else os.path.relpath(sys.argv[0])
    return (
        f"\nLook around in the terminal UI:   {program} view {out}"
        f"\nEvery number by epoch:            {program} analyze {out}"
    )
