"""`nccli sweep`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nccli.cli import console
from nccli.cli.train import refuse_unused, report, require_torch, train_all
from nccli.errors import UsageError
from nccli.text import plural

if TYPE_CHECKING:
    from train.config import Settings

SMALL = ("digits", "ufm")  # trained in float32 wherever


def sweep(
    file: Path | None = typer.Argument(
        None, help="TOML with settings, a list where one takes several values; see below."
    ),
    data: str | None = typer.Option(None, help="Data sets, by commas."),
    model: str | None = typer.Option(None, help="Networks."),
    loss: str | None = typer.Option(None, help="ce, ls, focal, mse."),
    smoothing: str | None = typer.Option(None, help="Label smoothing; 0 is cross-entropy."),
    seeds: str | None = typer.Option(None, help="Seeds, as 0,1,2 or 0-2."),
    weight_decay: str | None = typer.Option(None, help="Weight decays."),
    dropout: str | None = typer.Option(None, help="Dropout in front of the classifier."),
    epochs: str | None = typer.Option(None, help="Numbers of epochs."),
    settings: list[str] = typer.Option(
        [], "--set", metavar="NAME=VALUES", help="Any other setting of run.json; repeat it."
    ),
    out: Path = typer.Option(Path("sweep"), help="Directory in which each run gets its own."),
    data_root: Path = typer.Option(Path("data"), help="Folder with the data sets' files."),
    download: bool = typer.Option(False, "--download", help="Fetch a data set that is not there."),
    jobs: int | None = typer.Option(None, min=1, help="Runs side by side; default: one a core."),
    per_gpu: int = typer.Option(1, min=1, help="Runs side by side on each GPU."),
    threads: int = typer.Option(1, min=1, help="CPU threads of a run."),
    device: str = typer.Option("auto", help="cpu, cuda, or auto: cuda where there is one."),
    cuda_graph: bool = typer.Option(
        True, help="On a GPU, for data in memory, record the step once and replay it."
    ),
    compiled: bool = typer.Option(
        False,
        "--compile",
        help="Fuse the step's kernels with torch.compile, which takes half a minute.",
    ),
    scheduler: str | None = typer.Option(
        None, help="Address of a Dask scheduler: its workers train, one run each at a time."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only list the runs."),
) -> None:
    """Train every combination of settings; print the run directories written.

    Runs are named by their settings, so the same sweep goes on where it stopped: finished runs
    are skipped, those cut off continue, and more values only add runs. A file holds settings as
    run.json has them, and [[sweep]] tables for what is not all combinations of everything:

    \b
      data = "digits"
      seed = [0, 1, 2]
      [[sweep]]
      label_smoothing = [0, 0.05, 0.1]
      [[sweep]]
      model = "vit"
      learning_rate = 0.03

    \b
    Examples:
      nccli sweep --smoothing 0,0.05,0.1,0.2 --seeds 0-2
      nccli sweep --weight-decay 1e-3,2e-3 --dropout 0,0.3 --loss ce,ls --out decay
      nccli sweep --set width=32,64,128 --set train_count=500 --dry-run
      nccli sweep docs/study/smoothing.toml --out study
      nccli sweep docs/study/smoothing.toml --scheduler tcp://host:8786
    """
    require_torch()
    from train.place import Place
    from train.sweep import expand, parse_setting, read_sweep, sweep_name, varied

    place = Place(
        device=device,
        data_root=data_root,
        download=download,
        cuda_graph=cuda_graph,
        compiled=compiled,
        threads=threads,
    )
    words = {
        "data": data,
        "model": model,
        "loss": loss,
        "label_smoothing": smoothing,
        "seed": seeds,
        "weight_decay": weight_decay,
        "dropout": dropout,
        "epochs": epochs,
    }
    given = dict(parse_setting(f"{name}={text}") for name, text in words.items() if text)
    given |= dict(map(parse_setting, settings))
    if file is None and not given:
        raise UsageError("nothing to sweep over", remedy="give a file, or --smoothing 0,0.05,0.1")
    tables = [{**table, **given} for table in (read_sweep(file) if file else [{}])]
    runs = expand(tables, on_gpu=place.wants_gpu)
    if not runs:
        raise UsageError("nothing to sweep over", remedy="give values, as seed = [0, 1]")
    refuse_unused(list(dict.fromkeys(name for table in tables for name in table)), runs)
    if scheduler is not None and not any("precision" in table for table in tables):
        _check_precision(runs)
    names = varied(runs)
    what = f" over {', '.join(names)}" if names else ""
    console.say(f"nccli: {plural(len(runs), 'run')}{what} into {out}/")
    if dry_run:
        for one in runs:
            print(out / sweep_name(one))
        raise typer.Exit(0)
    outcomes = train_all(
        runs,
        out,
        jobs=jobs,
        resume=True,
        place=place,
        name=sweep_name,
        per_gpu=per_gpu,
        scheduler=scheduler,
    )
    raise typer.Exit(report(outcomes))


def _check_precision(runs: Sequence[Settings]) -> None:
    """Raise UsageError where the workers' hardware, not to be seen from here, would decide it."""
    if any(one.data not in SMALL for one in runs):
        raise UsageError(
            "whether the workers have GPUs cannot be seen from here, and runs' names depend on it",
            remedy="give --set precision=bfloat16 for GPUs, or precision=float32",
        )
