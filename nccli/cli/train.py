"""`nccli train`."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nccli.cli import console
from nccli.cli.train_progress import progress_of
from nccli.cli.train_words import loss_list, seed_list
from nccli.errors import SOME_INPUTS_FAILED, MissingExtraError, TrainingError, UsageError
from nccli.text import shortlist

if TYPE_CHECKING:
    from train.config import Settings
    from train.events import Outcome
    from train.place import Place

SMOOTHING = "0.05"  # the paper's
_OPTIONS = {"num_classes": "classes", "learning_rate": "lr"}  # settings of other names
OWN = ("width", "depth", "train_count")  # 0: the network's or the data set's own


def train(
    preset: str | None = typer.Option(
        None, help="paper-cifar10, paper-cifar100 or paper-stl10: the protocol of the paper."
    ),
    data: str | None = typer.Option(
        None,
        help="digits (default), shapes, cifar10, cifar100, stl10, mnist, fashion-mnist, svhn, "
        "tiny-imagenet, imagenet, image-folder; or ufm: the unconstrained feature model.",
    ),
    loss: str = typer.Option("ce,ls", help="ce, ls, focal, mse, or several: one run for each."),
    smoothing: str = typer.Option(SMOOTHING, help="Label smoothing of ls; 0.05,0.1: two runs."),
    focal_gamma: float | None = typer.Option(None, help="Gamma of the focal loss."),
    seeds: str = typer.Option("0", help="Random seeds, as 0,1,2 or 0-2: one run for each."),
    classes: int | None = typer.Option(None, help="Classes K (shapes, ufm)."),
    train_count: int | None = typer.Option(
        None, help="Training images, the same of each class; default: all."
    ),
    augment: str | None = typer.Option(None, help="none, crop (pad 4), or flip-crop."),
    pixel_noise: float | None = typer.Option(
        None, help="Noise on the standardised pixels (digits)."
    ),
    model: str | None = typer.Option(
        None,
        help="mlp, resnet (small), resnet18, resnet34, resnet50, vit (small), or torchvision:NAME.",
    ),
    width: int | None = typer.Option(None, help="Features d of mlp, resnet and vit."),
    depth: int | None = typer.Option(None, help="Layers of mlp, resnet (6, 8 ...) and vit."),
    norm: str | None = typer.Option(None, help="batch or group (mlp and the resnets)."),
    dropout: float | None = typer.Option(None, help="Dropout in front of the classifier."),
    epochs: int | None = typer.Option(None, help="Number of epochs."),
    batch_size: int | None = typer.Option(
        None, help="Samples a step; a last partial one is dropped."
    ),
    lr: float | None = typer.Option(None, help="Learning rate at the start."),
    momentum: float | None = typer.Option(None, help="Momentum of SGD."),
    weight_decay: float | None = typer.Option(None, help="Weight decay of all parameters."),
    feature_decay: float | None = typer.Option(
        None, help="lambda_H of the penalty lambda_H/2 ||H||^2 on the training features."
    ),
    milestones: str | None = typer.Option(
        None,
        help="Shares of the epochs (0.5,0.75) or epochs (150,350) after which the rate "
        "falls to a tenth; or none.",
    ),
    precision: str = typer.Option(
        "auto", help="float32 or bfloat16; auto: bfloat16 on a GPU, but for digits."
    ),
    per_class: int | None = typer.Option(None, help="Samples of each class n."),
    dim: int | None = typer.Option(None, help="Feature dimension d."),
    lambda_w: float | None = typer.Option(None, help="Penalty lambda_w/2 ||W||^2."),
    lambda_h: float | None = typer.Option(None, help="Penalty lambda_h/2 ||H||^2."),
    save_epochs: str | None = typer.Option(
        None, help="log (12 log-spaced), log:20, every:10, paper (5, 10, 20 ...) or 1,5,10."
    ),
    dtype: str | None = typer.Option(None, help="Of saved features: float16, float32, float64."),
    save_logits: bool | None = typer.Option(
        None, "--save-logits/--no-save-logits", help="Save the logits too."
    ),
    out: Path = typer.Option(Path("runs"), help="Directory in which each run gets its own."),
    data_root: Path = typer.Option(Path("data"), help="Folder with the data sets' files."),
    download: bool = typer.Option(
        False, "--download", help="Fetch the data set if it is not there."
    ),
    jobs: int | None = typer.Option(
        None, help="Runs side by side; by default one a CPU core, on a GPU one.", min=1
    ),
    per_gpu: int = typer.Option(1, help="Runs side by side on each GPU.", min=1),
    threads: int = typer.Option(1, help="CPU threads of a run; more change the last bits.", min=1),
    device: str = typer.Option("auto", help="cpu, cuda, or auto: cuda where there is one."),
    cuda_graph: bool = typer.Option(
        True, help="On a GPU, for data in memory, record the step once and replay it."
    ),
    compiled: bool = typer.Option(
        False,
        "--compile",
        help="Fuse the step's kernels with torch.compile, which takes half a minute.",
    ),
    resume: bool = typer.Option(False, "--resume", help="Continue runs that were cut off."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Start existing runs again."),
) -> None:
    """Train with cross-entropy and label smoothing; print the run directories written.

    \b
    Examples:
      nccli train
      nccli train --loss ls --smoothing 0.05,0.1,0.2 --seeds 0-2 --out sweep
      nccli train --resume
      nccli train --preset paper-cifar10 --data-root ~/data --seeds 0-2
      nccli train --data shapes --train-count 5000 --epochs 20 --model vit
      nccli train --data ufm --classes 10 --per-class 100 --dim 64
    """
    given = {
        "data": data,
        "num_classes": classes,
        "focal_gamma": focal_gamma,
        "train_count": train_count,
        "augment": augment,
        "pixel_noise": pixel_noise,
        "model": model,
        "width": width,
        "depth": depth,
        "norm": norm,
        "dropout": dropout,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": lr,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "feature_decay": feature_decay,
        "milestones": milestones,
        "per_class": per_class,
        "dim": dim,
        "lambda_w": lambda_w,
        "lambda_h": lambda_h,
        "save_epochs": save_epochs,
        "dtype": dtype,
        "save_logits": save_logits,
    }
    require_torch()
    from train.place import Place

    place = Place(
        device=device,
        data_root=data_root,
        download=download,
        cuda_graph=cuda_graph,
        compiled=compiled,
        threads=threads,
    )
    settings_list = [
        _settings(
            given | {"loss": loss_name, "label_smoothing": delta, "seed": seed},
            preset=preset,
            precision=precision,
            place=place,
        )
        for seed in seed_list(seeds)
        for loss_name, delta in loss_list(loss, smoothing)
    ]
    asked = [name for name, value in given.items() if value is not None]
    refuse_unused(asked, settings_list, option=_option)
    if smoothing != SMOOTHING and not any(one.label_smoothing for one in settings_list):
        raise UsageError("--smoothing goes with the loss ls", remedy="give --loss ls")
    if preset is not None:
        console.say(f"nccli: {preset}: {_protocol(settings_list[0])}")
    outcomes = train_all(
        settings_list,
        out,
        jobs=jobs,
        resume=resume,
        overwrite=overwrite,
        place=place,
        per_gpu=per_gpu,
    )
    raise typer.Exit(report(outcomes))


def _option(name: str) -> str:
    return f"--{_OPTIONS.get(name, name).replace('_', '-')}"


def refuse_unused(
    names: Sequence[str], settings_list: Sequence[Settings], *, option: Callable[[str], str] = str
) -> None:
    """Raise UsageError on settings that were given and that no run has."""
    used = {name for one in settings_list for name in one.recorded()}
    unused = [name for name in names if name not in used and name != "preset"]
    if not unused:
        return
    kinds = sorted({f"{one.data} with {one.loss_word}" for one in settings_list})
    remedy = "leave it out" if len(unused) == 1 else "leave them out"
    if "lambda_h" in unused:
        remedy += "; --feature-decay penalises the features of a network"
    raise UsageError(
        f"{', '.join(map(option, unused))}: no setting of {shortlist(kinds, limit=3)}",
        remedy=remedy,
    )


def _settings(
    given: Mapping[str, Any], *, preset: str | None, precision: str, place: Place
) -> Settings:
    """The settings of one run from what was given on the command line; None is not given."""
    from train.presets import make_settings

    found = {name: value for name, value in given.items() if value is not None}
    return make_settings(preset=preset, precision=precision, on_gpu=place.wants_gpu, **found)


def _protocol(settings: Settings) -> str:
    """Every setting in one line; those in which the runs of one command differ left out."""
    recorded = settings.recorded()
    saved = recorded["save_epochs"]
    recorded["save_epochs"] = f"{len(saved)} from {saved[0]} to {saved[-1]}"
    parts = [
        f"{name} {value}"
        for name, value in recorded.items()
        if name not in ("loss", "label_smoothing", "seed") and not (name in OWN and value == 0)
    ]
    return ", ".join(parts)


def digits_settings(*, seeds: str = "0", epochs: int = 200) -> list[Settings]:
    """Return the laptop experiment: cross-entropy and label smoothing 0.05 of each seed."""
    require_torch()
    from train.config import Settings

    return [
        Settings(loss=name, label_smoothing=delta, seed=seed, epochs=epochs)
        for seed in seed_list(seeds)
        for name, delta in loss_list("ce,ls", "0.05")
    ]


def train_all(
    settings_list: list[Settings],
    out: Path,
    *,
    jobs: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    place: Place | None = None,
    name: Callable[[Settings], str] | None = None,
    per_gpu: int = 1,
    scheduler: str | None = None,
) -> list[Outcome]:
    """Train each run into out/NAME, telling on stderr how it goes; see train.parallel.run_all."""
    from train.data.prepare import prepared
    from train.parallel import default_jobs, own_name, run_all
    from train.place import Place

    place = place or Place()
    name = name or own_name
    if scheduler is None:  # else the workers have the files
        place = prepared(settings_list, place)
    with progress_of(settings_list, name) as (on_event, on_outcome):
        return run_all(
            settings_list,
            out,
            jobs=jobs or default_jobs(len(settings_list), place=place, per_gpu=per_gpu),
            name=name,
            per_gpu=per_gpu,
            scheduler=scheduler,
            resume=resume,
            overwrite=overwrite,
            place=place,
            command=shlex.join(["nccli", *sys.argv[1:]]),
            on_event=on_event,
            on_outcome=on_outcome,
        )


def require_torch() -> None:
    """Raise MissingExtraError where PyTorch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError("training needs PyTorch", remedy="pip install 'nccli[train]'")


def report(outcomes: list[Outcome]) -> int:
    """Print the directories of the runs that are complete; return the exit code."""
    from train.place import is_follower

    done = [outcome for outcome in outcomes if outcome.ending in ("finished", "skipped")]
    for outcome in done if not is_follower() else ():
        print(outcome.path)
    if len(done) == len(outcomes):
        return 0
    return SOME_INPUTS_FAILED if done else TrainingError.exit_code
