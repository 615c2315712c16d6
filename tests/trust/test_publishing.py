"""Nothing that was published is ever lost: kills and full disks at every call and at random."""

from __future__ import annotations

import errno
import os
import random
import select
import signal
import time

import pytest
from trials import content, save, tries, verified

from nccli import publish as publishing
from nccli.errors import NotFoundError
from nccli.publish import TEMPORARY_PREFIX, sweep_temporaries
from nccli.runs import read_run, write_run_file

# Every call by which publishing touches the disk.
CALLS = ("open", "posix_fallocate", "pwrite", "fsync", "close", "chmod", "rename", "replace",
         "unlink")  # fmt: skip


class Counted:
    """Counts the calls of this process to the file system, and does something at one of them."""

    def __init__(self, number, act):
        self.number, self.act, self.count = number, act, 0

    def install(self):
        for name in CALLS:
            self._wrap(name, getattr(os, name))

    def _wrap(self, name, call):
        def counted(*words, **options):
            self.count += 1
            if self.count == self.number:
                self.act()
            return call(*words, **options)

        setattr(os, name, counted)


def in_child(work):
    """Do something in a fork of this process; return its exit status."""
    pid = os.fork()
    if not pid:
        code = 99
        try:
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_kill_at_any_call_leaves_the_old_file_or_the_new_one(tmp_path, figure):
    path = save(tmp_path / "a.h5", epoch=1)
    old, new = content(path), content(save(tmp_path / "b.h5", epoch=2))
    number, seen = 0, set()
    while True:
        number += 1
        save(path, epoch=1)

        def work(number=number):
            Counted(number, die).install()
            save(path, epoch=2)
            return 0

        status = in_child(work)
        found = content(path)
        assert found in (old, new)
        assert verified(path)
        seen.add(found == new)
        sweep_temporaries(tmp_path)
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.h5", "b.h5"]
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert seen == {True, False}
    assert number > 10
    figure("kill at every call that publishes", f"{number - 1} calls, 0 lost")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_an_error_at_any_call_leaves_the_old_file_or_the_new_one(tmp_path, figure, number):
    path = save(tmp_path / "a.h5", epoch=1)
    old, new = content(path), content(save(tmp_path / "b.h5", epoch=2))

    def fail():
        raise OSError(number, os.strerror(number))

    at = 0
    while True:
        at += 1
        save(path, epoch=1)

        def work(at=at):
            counted = Counted(at, fail)
            counted.install()
            try:
                save(path, epoch=2)
            except OSError as error:
                return 1 if error.errno == number else 98
            return 0 if counted.count < at else 2  # 2: cleaning up failed, and that is no matter

        status = in_child(work)
        assert content(path) in (old, new)
        assert verified(path)
        left = [entry.name for entry in tmp_path.iterdir()]
        assert len([name for name in left if name.startswith(TEMPORARY_PREFIX)]) <= 1
        sweep_temporaries(tmp_path)
        if status == 0:
            break
        assert status in (1, 2)
    figure(f"{errno.errorcode[number]} at every call that publishes", f"{at - 1} calls, 0 lost")


def publish_on(run, answers, first):
    """Publish one checkpoint after the other, and say so after each."""
    epoch = first
    while True:
        save(run / "checkpoints" / f"epoch-{epoch:05}.h5", epoch=epoch)
        write_run_file(run, {"status": "running", "epochs_done": epoch})
        os.write(answers, b"%d\n" % epoch)
        epoch += 1


def test_kills_at_random_moments_lose_nothing_that_was_published(tmp_path, figure):
    kills = tries(30, 200)
    rng = random.Random(0)
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    told = 0
    for _ in range(kills):
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                publish_on(run, writing, told + 1)
            finally:
                os._exit(1)
        os.close(writing)
        select.select([reading], [], [], 20)  # it is at work
        time.sleep(rng.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with os.fdopen(reading, "rb") as lines:
            words = lines.read().split()
        told = int(words[-1]) if words else told
        there = {path.name for path in read_run(run).checkpoints}
        assert {f"epoch-{epoch:05}.h5" for epoch in range(1, told + 1)} <= there
    for path in read_run(run).checkpoints:
        assert verified(path)
    sweep_temporaries(run)
    sweep_temporaries(run / "checkpoints")
    assert not list(run.rglob(f"{TEMPORARY_PREFIX}*"))
    figure("kill -9 while publishing", f"{kills} kills, {told} published, 0 lost")


def test_the_room_is_taken_before_anything_is_written(tmp_path, monkeypatch):
    order = []
    for name in ("posix_fallocate", "pwrite", "fsync", "replace"):
        call = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *words, name=name, call=call: (order.append(name), call(*words))[1]
        )
    publishing.publish_bytes(tmp_path / "a", b"x" * 10)
    assert order[:3] == ["posix_fallocate", "pwrite", "fsync"]
    assert (tmp_path / "a").read_bytes() == b"x" * 10


def test_a_folder_that_takes_no_file_is_told(tmp_path, monkeypatch):
    publishing.check_folder(tmp_path)
    with pytest.raises(NotFoundError, match="none: no such folder; make it first"):
        publishing.check_folder(tmp_path / "none")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(NotFoundError, match="no permission to write there; go elsewhere"):
        publishing.check_folder(tmp_path, remedy="go elsewhere")
