"""A disk that fills up: training goes on, what was published stays, and no signal ends it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import pytest
from trials import FULL, save, tries, verified

from nccli.runs import read_run

LEFT = [0, 4, 8, 16, 40, 80, 150, 300, 500, 700, 900, 1000, 1100, 1200, 1500, 2000, 2500, 3000,
        4000, 6000]  # fmt: skip
TRAIN = ("train", "--data", "digits", "--loss", "ce", "--epochs", "12", "--save-epochs", "every:1",
         "--threads", "1")  # fmt: skip


@contextmanager
def small_disk(place, kilobytes):
    """A file system of so many kB; skips the test where none may be mounted."""
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(place)]
    try:
        subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("left", LEFT if FULL else [8, 1500])
def test_training_survives_a_disk_that_fills_up(tmp_path, figure, left):
    """Something else takes the disk, but for so many kB, once the first checkpoint is there."""
    with small_disk(tmp_path / "disk", 40_000) as disk:
        words = [sys.executable, "-m", "nccli", *TRAIN, "--out", str(disk / "runs")]
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as training:
            while not list(disk.glob("runs/*/checkpoints/epoch-00001.h5")):
                assert training.poll() is None, training.communicate()[1]
                time.sleep(0.001)
            fill(disk, leaving=1024 * left)
            errors = training.communicate(timeout=300)[1]
        assert training.returncode in (0, 3), errors
        assert "Traceback" not in errors
        (run,) = (disk / "runs").iterdir()
        kept = read_run(run).checkpoints
        assert all(verified(path) for path in kept)
        assert len(kept) < 12
        assert "No space left on device" in errors
        figure(f"disk that fills up to {left} kB", f"exit {training.returncode}, "
               f"{len(kept)} checkpoints kept, 0 lost")  # fmt: skip


def fill(disk, *, leaving):
    """Take what is free, but for some bytes."""
    with (disk / "filler").open("wb") as file:
        taken = 0
        while (free := os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize) > leaving:
            with suppress(OSError):  # the training takes some meanwhile
                os.posix_fallocate(file.fileno(), taken, free - leaving)
                taken += free - leaving


def test_a_disk_that_is_too_small_is_told_before_the_run_starts(tmp_path):
    with small_disk(tmp_path / "disk", 500) as disk:
        done = subprocess.run(
            [sys.executable, "-m", "nccli", *TRAIN, "--out", str(disk / "runs")],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 3
        assert "12 checkpoints of" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def fits(path, epoch):
    """Whether the disk took one more."""
    try:
        save(path, epoch=epoch, count=100)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return False
        raise
    return True


@pytest.mark.skipif(shutil.which("mount") is None, reason="needs mount")
def test_what_does_not_fit_leaves_the_disk_as_it_was(tmp_path):
    with small_disk(tmp_path / "disk", 64) as disk:
        for epoch in range(1, tries(20, 60)):
            free = os.statvfs(disk).f_bavail
            if not fits(disk / f"{epoch}.h5", epoch):
                assert os.statvfs(disk).f_bavail == free
                break
        else:
            raise AssertionError("the disk never filled up")
        assert epoch > 1
        assert sorted(path.name for path in disk.iterdir()) == sorted(
            f"{one}.h5" for one in range(1, epoch)
        )
        assert all(verified(path) for path in disk.iterdir())
