"""Readers that look as often as they can never make a writer fail, and never read half a file."""

from __future__ import annotations

import os
import signal
import time

from trials import content, save, tries

from nccli.errors import InputError
from nccli.publish import sweep_temporaries
from nccli.runs import read_run, write_run_file

FOLLOWERS = 4


def follow(run, results):
    """Read the newest checkpoint, and any that was replaced meanwhile, for ever."""
    wrong = looks = 0
    while not (run / "stop").exists():
        files = read_run(run).checkpoints
        if not files:
            continue
        try:
            metadata, arrays = content(files[-1])
        except InputError as error:
            wrong += "changed while" not in str(error) and "no such file" not in str(error)
            continue
        looks += 1
        wrong += arrays["train/labels"][1] != (20 + metadata.epoch % 7,)
        wrong += arrays["train/features"][1] != (20 + metadata.epoch % 7, 8)
    os.write(results, f"{looks} {wrong}\n".encode())


def test_followers_disturb_no_writer_and_read_nothing_wrong(tmp_path, figure):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    reading, writing = os.pipe()
    pids = []
    for _ in range(FOLLOWERS):
        pid = os.fork()
        if not pid:
            try:
                follow(run, writing)
            finally:
                os._exit(0)
        pids.append(pid)
    os.close(writing)
    failures = epoch = 0
    until = time.monotonic() + tries(3, 60)
    try:
        while time.monotonic() < until:
            epoch += 1
            try:
                path = run / "checkpoints" / f"epoch-{epoch % 10:05}.h5"  # some are replaced
                save(path, epoch=epoch, count=20 + epoch % 7)
                write_run_file(run, {"status": "running", "epochs_done": epoch})
            except OSError:
                failures += 1
    finally:
        (run / "stop").touch()
    with os.fdopen(reading) as lines:
        told = [tuple(map(int, line.split())) for line in lines]
    for pid in pids:
        os.waitpid(pid, 0)
    assert failures == 0
    assert len(told) == FOLLOWERS
    assert all(wrong == 0 and looks > 0 for looks, wrong in told)
    sweep_temporaries(run)
    figure(f"{FOLLOWERS} followers for {tries(3, 60)} s", f"{epoch} written, 0 failures; "
           f"{sum(looks for looks, _ in told)} reads, 0 wrong")  # fmt: skip


def test_a_stopped_follower_holds_nothing(tmp_path):
    """A reader that is stopped in the middle keeps no lock on the file it reads."""
    import h5py

    path = save(tmp_path / "a.h5", count=20_000)
    pid = os.fork()
    if not pid:
        try:
            while True:
                content(path)
        finally:
            os._exit(0)
    try:
        for _ in range(10):
            time.sleep(0.02)
            os.kill(pid, signal.SIGSTOP)
            with h5py.File(path, "r+"):  # with HDF5's own locks
                pass
            os.kill(pid, signal.SIGCONT)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
