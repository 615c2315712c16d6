"""A file four times the memory that is allowed gives the same digits, through the command line.

tests/test_memory.py is the short form: it limits what an analysis takes beyond the interpreter.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest
from trials import FULL

COUNT, DIM, CLASSES = 2**20, 512, 100  # 2 GiB of float32
ALLOWED = 512 * 2**20  # of address space, libraries and all


@pytest.mark.skipif(not FULL, reason="writes 2 GiB: make torture")
def test_two_gigabytes_in_half_a_gigabyte(tmp_path, figure):
    path = tmp_path / "large.h5"
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLASSES, DIM)).astype("f4")
    labels = np.arange(COUNT) % CLASSES
    with h5py.File(path, "w") as file:
        file.attrs.update(format="nccli-checkpoint", format_version=1, label_smoothing=0.0)
        features = file.create_dataset("train/features", (COUNT, DIM), "f4")
        for start in range(0, COUNT, 2**14):
            noise = rng.standard_normal((2**14, DIM), dtype="f4")
            features[start : start + 2**14] = centres[labels[start : start + 2**14]] + noise
        file["train/labels"], file["classifier/weight"] = labels, centres

    def run(limit, command):
        words = [sys.executable, "-m", "nccli", command, str(path), "--no-cache", "-f", "json"]
        done = subprocess.run(
            words, capture_output=True, text=True, check=True, timeout=1800,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        )  # fmt: skip
        return done.stdout

    for command in ("analyze", "calibrate"):
        assert run(ALLOWED, command) == run(resource.RLIM_INFINITY, command)
    figure("2 GiB file under 512 MiB", "the same bytes from analyze and calibrate")
