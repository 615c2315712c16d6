"""A file several times the memory that is allowed gives the same digits."""

from __future__ import annotations

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest

from nccli import collapse, hdf5

ALLOWED = 32 * 2**20  # bytes beyond what the interpreter and its libraries have taken
COUNT, DIM, CLASSES = 65_536, 512, 100  # 128 MiB of float32: four times as much

# Linux counts private writable memory against RLIMIT_DATA, the page cache it does not.
CHILD = """
import json, resource, sys
import numpy as np
from nccli import collapse, hdf5
import nccli.collapse.intervals  # whatever else comes with the analysis

def taken():
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmData")).split()[1])

point = hdf5.read_checkpoint(sys.argv[1])
for dtype in (np.float32, np.float64):  # BLAS takes its buffers at the first large product
    np.linalg.eigh(np.ones((512, 512), dtype) @ np.ones((512, 512), dtype))
limit = taken() + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    point.split("train").features.load()
    whole = True
except (MemoryError, OSError, ValueError):
    whole = False
report = collapse.analyze(point, threads=1)
print(json.dumps({"nc1": report.nc1, "nc4": report.nc4, "loss": report.loss, "whole": whole}))
"""


@pytest.fixture(scope="module")
def large_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "large.h5"
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLASSES, DIM)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file.attrs.update(format="nccli-checkpoint", format_version=1)
        features = file.create_dataset("train/features", (COUNT, DIM), np.float32)
        labels = np.arange(COUNT) % CLASSES
        for start in range(0, COUNT, 4096):
            noise = 0.3 * rng.standard_normal((4096, DIM), dtype=np.float32)
            features[start : start + 4096] = centres[labels[start : start + 4096]] + noise
        file["train/labels"] = labels
        file["classifier/weight"] = centres
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA is counted so on Linux only")
def test_a_file_four_times_the_memory_limit_is_analysed_to_the_same_digits(large_file):
    assert large_file.stat().st_size > 4 * ALLOWED
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(large_file), str(ALLOWED)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not found.pop("whole")  # the limit is real: the file does not fit
    report = collapse.analyze(hdf5.read_checkpoint(large_file))
    assert found == {"nc1": report.nc1, "nc4": report.nc4, "loss": report.loss}
