"""`nccli train`."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nccli.cli import console
from nccli.errors import SOME_INPUTS_FAILED, MissingExtraError, TrainingError, UsageError
from nccli.text import visible

if TYPE_CHECKING:
    from train.config import Settings
    from train.events import Event, Outcome

_LOSSES = {"ce": "cross-entropy", "ls": "label-smoothing"}


def train(
    data: str = typer.Option("digits", help="digits, or ufm: the unconstrained feature model."),
    loss: str = typer.Option("ce,ls", help="ce, ls or both: one run for each."),
    smoothing: str = typer.Option("0.05", help="Label smoothing of ls; 0.05,0.1 makes two runs."),
    seeds: str = typer.Option("0", help="Random seeds, as 0,1,2 or 0-2: one run for each."),
    epochs: int = typer.Option(200, help="Number of epochs."),
    model: str = typer.Option("mlp", help="mlp or resnet (digits)."),
    width: int = typer.Option(128, help="Penultimate features of the model (digits)."),
    depth: int = typer.Option(6, help="Layers of the model before the classifier (digits)."),
    batch_size: int = typer.Option(125, help="Samples a step (digits)."),
    lr: float = typer.Option(0.1, help="Learning rate at the start (digits)."),
    momentum: float = typer.Option(0.9, help="Momentum of SGD."),
    weight_decay: float = typer.Option(2e-3, help="Weight decay of all parameters (digits)."),
    milestones: str = typer.Option(
        "0.5,0.75", help="Shares of the epochs after which the rate falls to a tenth; or none."
    ),
    pixel_noise: float = typer.Option(0.8, help="Noise on the standardised pixels (digits)."),
    classes: int = typer.Option(4, help="Classes K (ufm)."),
    per_class: int = typer.Option(25, help="Samples of each class n (ufm)."),
    dim: int = typer.Option(16, help="Feature dimension d (ufm)."),
    lambda_w: float = typer.Option(5e-3, help="Penalty lambda_w/2 ||W||^2 (ufm)."),
    lambda_h: float = typer.Option(5e-3, help="Penalty lambda_h/2 ||H||^2 (ufm)."),
    save_epochs: str = typer.Option(
        "log", help="Epochs to save: log (12 log-spaced), log:20, every:10 or 1,5,10."
    ),
    dtype: str = typer.Option("auto", help="Of the saved numbers: float16, float32, float64."),
    save_logits: bool = typer.Option(True, help="Save the logits too."),
    out: Path = typer.Option(Path("runs"), help="Directory in which each run gets its own."),
    jobs: int | None = typer.Option(
        None, min=1, help="Runs side by side; by default one for each CPU core, on a GPU one."
    ),
    device: str = typer.Option("auto", help="cpu, cuda, or auto: cuda where there is one."),
    resume: bool = typer.Option(False, "--resume", help="Continue runs that were cut off."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Start existing runs again."),
) -> None:
    """Train with cross-entropy and label smoothing; print the run directories written.

    \b
    Examples:
      nccli train
      nccli train --loss ls --smoothing 0.05,0.1,0.2 --seeds 0-2 --out sweep
      nccli train --resume
      nccli train --data ufm --classes 10 --per-class 100 --dim 64
    """
    _require_torch()
    from train.config import Settings, parse_save_epochs

    saved = parse_save_epochs(save_epochs, epochs=epochs)
    settings_list = [
        Settings(
            data=data,
            loss=loss_name,
            label_smoothing=delta,
            seed=seed,
            epochs=epochs,
            model=model,
            width=width,
            depth=depth,
            batch_size=batch_size,
            learning_rate=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            milestones=() if milestones == "none" else tuple(numbers("milestones", milestones)),
            pixel_noise=pixel_noise,
            num_classes=classes,
            per_class=per_class,
            dim=dim,
            lambda_w=lambda_w,
            lambda_h=lambda_h,
            save_epochs=saved,
            dtype=dtype,
            save_logits=save_logits,
        )
        for seed in seed_list(seeds)
        for loss_name, delta in loss_list(loss, smoothing)
    ]
    outcomes = train_all(
        settings_list, out, jobs=jobs, resume=resume, overwrite=overwrite, device=device
    )
    raise typer.Exit(_report(outcomes))


def digits_settings(*, seeds: str = "0", epochs: int = 200) -> list[Settings]:
    """Return the laptop experiment: cross-entropy and label smoothing 0.05 of each seed."""
    _require_torch()
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
    device: str = "auto",
) -> list[Outcome]:
    """Train each run into out/NAME, telling on stderr how it goes; see train.parallel.run_all."""
    from train.config import DEVICES, check_choice
    from train.parallel import default_jobs, run_all

    check_choice("device", device, DEVICES)
    with _shown(settings_list) as (on_event, on_outcome):
        return run_all(
            settings_list,
            out,
            jobs=jobs or default_jobs(len(settings_list), device=device),
            resume=resume,
            overwrite=overwrite,
            device=device,
            command=shlex.join(["nccli", *sys.argv[1:]]),
            on_event=on_event,
            on_outcome=on_outcome,
        )


def _require_torch() -> None:
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError("training needs PyTorch", remedy="pip install 'nccli[train]'")


def _report(outcomes: list[Outcome]) -> int:
    """Print the directories of the runs that are complete; return the exit code."""
    done = [outcome for outcome in outcomes if outcome.ending in ("finished", "skipped")]
    for outcome in done:
        print(outcome.path)
    if len(done) == len(outcomes):
        return 0
    return SOME_INPUTS_FAILED if done else TrainingError.exit_code


# --- the words of the command line --------------------------------------------------------------


def loss_list(losses: str, smoothings: str) -> list[tuple[str, float]]:
    """Return (loss, smoothing) of each run that `ce,ls` and `0.05,0.1` ask for."""
    from train.config import check_choice

    found: list[tuple[str, float]] = []
    for word in losses.split(","):
        name = _LOSSES.get(word.strip(), word.strip())
        if name not in _LOSSES.values():
            check_choice("loss", word.strip(), tuple(_LOSSES))
        deltas = numbers("smoothing", smoothings) if name == "label-smoothing" else [0.0]
        found += [(name, delta) for delta in deltas]
    return found


def seed_list(text: str) -> list[int]:
    """Return the seeds that `0,1,2` or `0-2` name."""
    seeds: list[int] = []
    try:
        for word in text.split(","):
            first, _, last = word.strip().partition("-")
            seeds += range(int(first), int(last or first) + 1)
    except ValueError:
        seeds = []
    if not seeds:
        raise UsageError(f"cannot read the seeds '{text}'", remedy="write 0,1,2 or 0-2")
    return seeds


def numbers(noun: str, text: str) -> list[float]:
    """Return the numbers of a list like `0.05,0.1`."""
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise UsageError(
            f"cannot read the {noun} '{text}'", remedy="write numbers with commas: 0.05,0.1"
        ) from None


# --- what is shown while it trains --------------------------------------------------------------


@contextmanager
def _shown(settings_list: list[Settings]) -> Iterator[tuple[Any, Any]]:
    """Yield (on_event, on_outcome): a bar on a terminal, one line a finished run elsewhere."""

    def tell(outcome: Outcome) -> None:
        what = outcome.ending if outcome.message is None else outcome.message
        prefix = "" if outcome.ending == "failed" else f"{outcome.path}: "
        if outcome.ending != "interrupted":
            console.say(f"nccli: {visible(prefix + what)}")

    if not sys.stderr.isatty():
        yield _warn, tell
        return
    with console.progress() as bar:
        task = bar.add_task("epochs", total=sum(s.epochs for s in settings_list))
        done: dict[str, int] = {}
        lengths = {settings.name: settings.epochs for settings in settings_list}

        def move(event: Event) -> None:
            _warn(event)
            done[event.run] = event.epoch
            bar.update(task, completed=sum(done.values()))

        def finish(outcome: Outcome) -> None:
            tell(outcome)
            if outcome.ending != "interrupted":  # a failed run has no epochs to come either
                done[outcome.path.name] = lengths[outcome.path.name]
                bar.update(task, completed=sum(done.values()))

        yield move, finish


def _warn(event: Event) -> None:
    if event.warning is not None:
        console.say(f"nccli: {visible(event.warning)}")
