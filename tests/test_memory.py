"""A file several times the memory that is allowed gives the same digits."""

from __future__ import annotations

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest

from nccli import calibration, collapse, hdf5

ALLOWED = 32 * 2**20  # bytes beyond what the interpreter and its libraries have taken
COUNT, DIM, CLASSES = 65_536, 512, 100  # 128 MiB of float32: four times as much

# Linux counts private writable memory against RLIMIT_DATA, the page cache it does not.
CHILD = """
import json, resource, sys
import numpy as np
from nccli import calibration, collapse, hdf5
import nccli.collapse.intervals  # whatever else comes with the analysis

def taken():
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmData")).split()[1])

point = hdf5.read_checkpoint(sys.argv[1])
for dtype in (np.float32, np.float64):  # BLAS takes its buffers at the first large product
    np.linalg.eigh(np.ones((512, 512), dtype) @ np.ones((512, 512), dtype))
limit = taken() + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
part = point.split("train")
try:
    (part.logits or part.features).load()
    whole = True
except (MemoryError, OSError, ValueError):
    whole = False
if sys.argv[3] == "collapse":
    report = collapse.analyze(point, threads=1)
    found = {"nc1": report.nc1, "nc4": report.nc4, "loss": report.loss}
else:
    report = calibration.analyze(point, split="train", threads=1, resamples=0)
    found = {"ece": report.ece, "nll": report.nll, "temperature": report.temperature}
    found["calibrated"] = getattr(report.calibrated, "ece_classwise", None)
print(json.dumps(found | {"whole": whole}))
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


@pytest.fixture(scope="module")
def large_logits(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "logits.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs.update(format="nccli-checkpoint", format_version=1)
        logits = file.create_dataset("train/logits", (COUNT, DIM), np.float32)
        labels = np.arange(COUNT) % DIM
        for start in range(0, COUNT, 4096):
            block = 1.5 * rng.standard_normal((4096, DIM), dtype=np.float32)
            block[np.arange(4096), labels[start : start + 4096]] += 6.0
            logits[start : start + 4096] = block
        file["train/labels"] = labels
        file["train/features"] = rng.standard_normal((COUNT, 1), dtype=np.float32)
        file["classifier/weight"] = np.ones((DIM, 1), np.float32)
    return path


linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="RLIMIT_DATA is counted so on Linux only"
)


def within_limit(path, what):
    """The numbers of a process that may not take more memory than is allowed."""
    assert path.stat().st_size > 4 * ALLOWED
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), str(ALLOWED), what],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not found.pop("whole")  # the limit is real: the file does not fit
    return found


@linux_only
def test_a_file_four_times_the_memory_limit_is_analysed_to_the_same_digits(large_file):
    found = within_limit(large_file, "collapse")
    report = collapse.analyze(hdf5.read_checkpoint(large_file))
    assert found == {"nc1": report.nc1, "nc4": report.nc4, "loss": report.loss}


@linux_only
@pytest.mark.parametrize("file", ["large_file", "large_logits"])
def test_calibration_of_such_a_file_too(file, request):
    path = request.getfixturevalue(file)
    found = within_limit(path, "calibration")
    report = calibration.analyze(hdf5.read_checkpoint(path), split="train", resamples=0)
    assert found == {
        "ece": report.ece, "nll": report.nll, "temperature": report.temperature,
        "calibrated": getattr(report.calibrated, "ece_classwise", None),
    }  # fmt: skip
