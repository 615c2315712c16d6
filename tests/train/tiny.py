"""Runs that take a moment, and what they leave on disk."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import torch
from tiny_settings import tiny

from nccli import hdf5, runs
from train import experiment

__all__ = ["arrays", "contents", "start", "tiny", "train", "wait_for"]

ROOT = Path(__file__).resolve().parents[2]


def train(settings, path, **options):
    """Train with a fixed command line, so that no test depends on pytest's."""
    return experiment.run(settings, path, **{"command": "nccli train --epochs 4"} | options)


def arrays(path):
    """Every array of a checkpoint file, by name."""
    checkpoint = hdf5.read_checkpoint(path)
    found = {"weight": checkpoint.classifier.weight.load()}
    if checkpoint.classifier.bias is not None:
        found["bias"] = checkpoint.classifier.bias.load()
    for name, split in checkpoint.splits.items():
        found[f"{name}/features"] = split.features.load()
        found[f"{name}/labels"] = split.labels.load()
        if split.logits is not None:
            found[f"{name}/logits"] = split.logits.load()
    return found


def contents(run):
    """All that a run must repeat bit for bit: log, arrays of its checkpoints, final state."""
    found = {"log": (run / runs.LOG_FILE).read_bytes()}
    for path in runs.read_run(run).checkpoints:
        found |= {f"{path.name}/{name}": array.tobytes() for name, array in arrays(path).items()}
    state = torch.load(run / experiment.RESUME_FILE, weights_only=True)
    return found | {"state": repr(_plain(state))}


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.numpy().tobytes() if isinstance(value, torch.Tensor) else value


def start(script, *arguments):
    """Start Python on a script, in the repository, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(path, process, *, seconds=120):
    """Wait until a process has made a file."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)
