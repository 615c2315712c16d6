"""A pool of processes: order, deaths, Ctrl-C, and the same bytes as one process."""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from nccli.batch import each
from nccli.cli.app import run
from nccli.errors import ContentError, InputError
from nccli.interrupts import interrupt, interruptible
from nccli.jobs import LocalPool, WorkerDied, local_engine

# --- work that the workers import from here -----------------------------------------------------


def name_of(path):
    return [path.name]


def kill_self():
    os.kill(os.getpid(), signal.SIGKILL)


def work_on(path, *, log):
    """Note the attempt; die, err or give the name, as the file's name says."""
    with log.open("a") as file:
        file.write(f"{path.name}\n")
    if "deadly" in path.name or (path.name == "once" and log.read_text().count("once") == 1):
        kill_self()
    if path.name == "bad":
        raise ContentError("wrong", source=path, remedy="mend it")
    if path.name == "huge":
        raise MemoryError
    time.sleep(0.01)
    return [path.name]


def surroundings():
    blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    return blocked, os.environ["OPENBLAS_NUM_THREADS"]


class Unportable(Exception):
    """Pickles, and cannot be rebuilt: its argument has a name."""

    def __init__(self, *, text):
        super().__init__(text)


def bug():
    raise Unportable(text="oh")


def division():
    return 1 / 0


# --- deaths -------------------------------------------------------------------------------------

DEATH = "the worker process died while reading it (out of memory?)"


def test_a_killed_worker_costs_its_own_file_only(tmp_path):
    names = ["a", "bad", "deadly", "b", "c", "once", "huge", "d", "e"]
    log = tmp_path / "log"
    paths = [Path(name) for name in names]
    answers = each(paths, partial(work_on, log=log), engine=local_engine(2))
    found = [str(item) for (item,) in answers]
    assert found[1] == "bad: wrong; mend it"
    assert found[2].startswith(f"deadly: {DEATH}; ")
    assert found[6] == "huge: does not fit into memory; use a larger machine"
    assert [found[place] for place in (0, 3, 4, 5, 7, 8)] == ["a", "b", "c", "once", "d", "e"]
    attempts = log.read_text().split()
    assert attempts.count("once") == 2
    assert attempts.count("deadly") == 2


def test_our_pool_loses_no_other_file_to_a_death(tmp_path):
    log = tmp_path / "log"
    paths = [Path(name) for name in ("a", "deadly1", "b", "deadly2", "c", "d")]
    answers = list(each(paths, partial(work_on, log=log), engine=local_engine(3)))
    assert [isinstance(item, InputError) for (item,) in answers] == [0, 1, 0, 1, 0, 0]
    expected = ["a", "b", "c", "d", "deadly1", "deadly1", "deadly2", "deadly2"]
    assert sorted(log.read_text().split()) == expected


def test_a_dead_worker_is_replaced_and_told_on_its_future_alone():
    with LocalPool(1) as pool:
        dead, alive = pool.submit(kill_self), pool.submit(os.getpid)
        assert alive.result(timeout=120) != os.getpid()
        with pytest.raises(WorkerDied):
            dead.result(timeout=120)
        assert issubclass(WorkerDied, BrokenExecutor)


def test_an_exception_crosses_over_with_the_place_it_was_raised_in():
    with LocalPool(1) as pool:
        with pytest.raises(ZeroDivisionError) as caught:
            pool.submit(division).result(timeout=120)
        assert "in division" in caught.value.__notes__[0]
        with pytest.raises(RuntimeError, match="Unportable: oh"):
            pool.submit(bug).result(timeout=120)


def test_workers_have_one_blas_thread_and_leave_ctrl_c_to_the_parent():
    with LocalPool(1) as pool:
        assert pool.submit(surroundings).result(timeout=120) == (True, "1")


def test_leaving_early_ends_the_workers_at_once():
    answers = each([Path("0"), Path("60"), Path("60")], sleep, engine=local_engine(2))
    assert next(answers) == []
    left = time.monotonic()
    answers.close()
    assert time.monotonic() - left < 10
    assert not multiprocessing.active_children()


def test_ctrl_c_waits_while_a_lock_is_being_taken():
    """Interrupted within `Condition.__enter__`, the lock would be taken and never given back."""
    calls = []
    lock = SimpleNamespace(
        acquire=None,
        release=None,
        __enter__=partial(os.kill, os.getpid(), signal.SIGINT),
        __exit__=lambda *_: calls.append("given back"),
    )

    def hold():
        with threading.Condition(lock):
            calls.append("taken")
            time.sleep(60)

    with interruptible(), pytest.raises(KeyboardInterrupt):
        hold()
    assert calls == ["taken", "given back"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_lock_that_another_thread_keeps_is_not_waited_for():
    lock = threading.Lock()
    waiting = threading.Condition(lock)
    lock.acquire()
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with interruptible(), pytest.raises(KeyboardInterrupt):
        waiting.__enter__()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_interrupt_that_waits_is_not_lost_and_other_alarms_are_left_alone():
    signal.setitimer(signal.ITIMER_REAL, 1000)
    with interruptible():
        pass
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 900
    signal.setitimer(signal.ITIMER_REAL, 0)

    def struck_at_the_end():
        with interruptible():
            interrupt(signal.SIGINT, SimpleNamespace(f_code=threading.Condition.__enter__.__code__))

    with pytest.raises(KeyboardInterrupt):
        struck_at_the_end()
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


def test_ctrl_c_that_leaves_a_futures_lock_behind_holds_nothing_up():
    pool = LocalPool(1)
    future = pool.submit(time.sleep, 60)
    while not future.running():
        time.sleep(0.01)
    with future._condition:  # what an interrupt within `Future.result` may leave so
        pool.kill()
        assert not multiprocessing.active_children()
    pool.shutdown()
    assert isinstance(future.exception(timeout=120), WorkerDied)


def sleep(path):
    time.sleep(float(path.name))
    return []


# --- the command line ---------------------------------------------------------------------------


@pytest.fixture
def call(capsys, monkeypatch, run_folder):
    """Run a command line beside the toy runs, a bad file among them; (code, stdout, stderr)."""
    bad = run_folder / "toy-ce-s0/checkpoints/epoch-00010.h5"
    bad.write_bytes(bad.read_bytes()[:1000])
    monkeypatch.chdir(run_folder)

    def calling(*words):
        code = run([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return calling


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("command", ["analyze", "calibrate", "hessian"])
def test_two_jobs_give_the_same_bytes_as_one(call, command, form):
    words = (command, ".", "nothing", "--format", form, "--no-cache")
    one = call(*words, "--jobs", "1")
    assert one[0] == 4
    assert one[1]
    assert "epoch-00010.h5: truncated" in one[2]
    assert call(*words, "--jobs", "2") == one
    assert call(*words) == one


def test_jobs_must_be_at_least_one(call):
    code, _, err = call("analyze", ".", "--jobs", "0")
    assert code == 2
    assert "--jobs" in err


@pytest.mark.parametrize("jobs", [1, 2])
def test_ten_thousand_paths_on_stdin(call, monkeypatch, jobs):
    good = ["toy-ce-s0@1", "toy-ls0.1-s0@1", "toy-ls0.1-s0@100"]
    lines = [f"nothing-{number}" for number in range(10_000)]
    lines[0], lines[5_000], lines[-1] = good
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    code, out, err = call("analyze", "-", "-j", jobs, "-f", "jsonl", "--split", "test")
    assert code == 4
    assert [json.loads(line)["epoch"] for line in out.splitlines()] == [1, 1, 100]
    told = [line.split(":")[1].strip() for line in err.splitlines()]
    assert told == [line for line in lines if line not in good]


LONG = 2_000  # files; far more than are done before a signal comes, on any machine


@contextlib.contextmanager
def long_batch(folder):
    """Start a batch of half a minute as its own process group, and wait until it is under way."""
    original = folder / "toy-ce-s0/checkpoints/epoch-00001.h5"
    for number in range(LONG):
        os.link(original, folder / f"copy-{number:04}.h5")
    words = ["analyze", str(folder), "-j", "2", "-f", "jsonl", "--no-cache"]
    with subprocess.Popen(
        [sys.executable, "-m", "nccli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert json.loads(process.stdout.readline())["nc1"] > 0
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def is_gone(group, seconds=120.0):
    """Whether no process of a group is left after a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_ctrl_c_ends_the_batch_quietly_and_whole(run_folder):
    with long_batch(run_folder) as process:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the job
        out, err = process.communicate(timeout=120)
        assert process.returncode == 130
        assert err == "nccli: interrupted\n"
        assert len(out.splitlines()) < LONG  # a line a split: it did not get half way
        assert is_gone(process.pid)


def test_workers_do_not_outlive_a_killed_parent(run_folder):
    with long_batch(run_folder) as process:
        process.kill()
        process.communicate(timeout=120)
        assert is_gone(process.pid)


def test_the_bar_shows_rate_and_time_left_on_stderr_and_leaves_stdout_to_the_data(run_folder):
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "nccli", "analyze", str(run_folder), "-f", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=os.environ | {"COLUMNS": "80", "TERM": "xterm"},
    ) as process:
        os.close(theirs)
        shown = all_of(ours)
        rows = process.stdout.read().splitlines()
    assert [json.loads(row)["epoch"] for row in rows] == [1, 1, 10, 10, 100, 100] * 2
    assert "nc1" not in shown
    last = re.findall("checkpoints [^\r\n]*6/6[^\r\n]*", shown)[-1]
    assert re.search(r"[\d.]+/s", last)
    assert "0:00:00" in last
    assert len(re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", last)) <= 80


def all_of(descriptor):
    """What comes from a terminal until its other side is closed, which it tells by an error."""
    found = b""
    with os.fdopen(descriptor, "rb", buffering=0) as terminal, contextlib.suppress(OSError):
        while part := terminal.read(1000):
            found += part
    return found.decode()
