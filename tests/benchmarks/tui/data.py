"""Small runs on disk for the terminal UI: seeded, and the same every time."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from nccli.checkpoint import Metadata
from nccli.hdf5 import write_checkpoint
from nccli.runs import checkpoint_path, write_run_file

CLASSES, DIM, PER_CLASS = 3, 5, 12  # as small as those of the tests: what is timed is the screen
SMOOTHING = 0.05


def make_runs(folder: Path, *, runs: int, checkpoints: int) -> Path:
    """Half of the runs with cross-entropy, half with label smoothing, a seed each."""
    for number in range(runs):
        delta = SMOOTHING if number % 2 else 0.0
        run = make_run(folder, number, delta=delta)
        for epoch in range(1, checkpoints + 1):
            save(run, epoch, delta=delta, seed=number // 2)
    return folder


def make_crowd(folder: Path, *, runs: int) -> Path:
    """Very many runs of one checkpoint; each is a copy of one of two, which is fast to write."""
    originals = {
        delta: save(folder.parent / f"original-{delta}", 1, delta=delta, seed=0)
        for delta in (0.0, SMOOTHING)
    }
    for number in range(runs):
        delta = SMOOTHING if number % 2 else 0.0
        target = checkpoint_path(make_run(folder, number, delta=delta), 1)
        target.parent.mkdir()
        shutil.copyfile(originals[delta], target)
    return folder


def make_run(folder: Path, number: int, *, delta: float) -> Path:
    """A run directory with its run.json; `run-0004` uses seed 2."""
    run = folder / f"run-{number:04d}"
    run.mkdir(parents=True)
    settings = {"loss": _loss(delta), "label_smoothing": delta, "seed": number // 2}
    write_run_file(run, {"status": "finished", "settings": settings})
    return run


def save(run: Path, epoch: int, *, delta: float, seed: int) -> Path:
    """Publish one checkpoint: class means on a simplex, noise that falls with the epoch."""
    rng = np.random.default_rng((seed, epoch))
    means_KD = 3 * np.eye(CLASSES, DIM)
    labels_N = np.repeat(np.arange(CLASSES), PER_CLASS)
    noise = (0.3 if delta else 0.6) / epoch
    path = checkpoint_path(run, epoch)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(
        path,
        splits={
            name: (means_KD[labels_N] + noise * rng.standard_normal((len(labels_N), DIM)), labels_N)
            for name in ("train", "test")
        },
        weight=means_KD + 0.05 * rng.standard_normal(means_KD.shape),
        metadata=Metadata(
            loss=_loss(delta),
            label_smoothing=delta,
            epoch=epoch,
            seed=seed,
            weight_decay=5e-3,
        ),
    )
    return path


def _loss(delta: float) -> str:
    return "label-smoothing" if delta else "cross-entropy"
