"""The process that opens files: what becomes of the question when it dies, hangs or bursts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from trials import content, save

from nccli import hdf5
from nccli.errors import FormatError, UsageError
from nccli.reader import asking, child, serve
from nccli.reader.limits import Limits

# --- ways to die, asked for by name in a child that knows them ---


def crash(**_):
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(**_):
    while True:
        pass


def sleep(**_):
    time.sleep(1000)
    return {}, b""


def burst(**_):
    return {"size": len(bytearray(2**40))}, b""


def leave(**_):
    os._exit(3)


def fail(**_):
    raise LookupError("a mistake of ours")


def ramble(**_):
    return {"words": "x" * (asking.MAX_ANSWER_BYTES + 1)}, b""


@pytest.fixture
def dying(monkeypatch):
    """A reader that can be asked to die."""
    for way in (crash, hang, sleep, burst, leave, fail, ramble):
        monkeypatch.setitem(serve.QUESTIONS, way.__name__, way)
    monkeypatch.setenv("NCCLI_MAX_CPU_SECONDS", "1")
    monkeypatch.setenv("NCCLI_MAX_WAIT_SECONDS", "3")
    monkeypatch.setattr(child, "_may_fork", lambda: True)  # the child has what is patched here
    asking.stop()
    yield
    asking.stop()


WAYS = {
    "crash": r"crashes the HDF5 library \(SIGSEGV\)",
    "hang": "kept the HDF5 library at work for 1 s",
    "sleep": "gave no answer within 3 s; is its disk slow",
    "burst": "takes more than 2,147,483,648 bytes of memory to read",
    "leave": "the process that read it was ended",
    "ramble": "says 67,108,",
}


@pytest.mark.usefixtures("dying")
@pytest.mark.parametrize("way", WAYS)
def test_a_reader_that_dies_costs_one_question(tmp_path, way):
    path = save(tmp_path / "a.h5")
    with pytest.raises(FormatError, match=WAYS[way]):
        asking.ask(way, path)
    assert hdf5.read_checkpoint(path).num_classes == 5


@pytest.mark.usefixtures("dying")
def test_a_mistake_of_ours_is_told_as_one(tmp_path):
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        asking.ask("fail", tmp_path)


@pytest.mark.usefixtures("dying")
def test_it_goes_when_nobody_asks_any_more():
    asking.start()
    one = asking._helper._child
    pid = one._pid
    asking.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.usefixtures("dying")
def test_it_is_killed_where_it_does_not_go():
    asking.start()
    one = asking._helper._child
    os.kill(one._pid, signal.SIGSTOP)
    asking.stop()
    assert one.status() == -signal.SIGKILL


@pytest.mark.parametrize("forked", [True, False])
def test_a_new_interpreter_answers_as_a_fork_does(tmp_path, monkeypatch, forked):
    path = save(tmp_path / "a.h5")
    found = content(path)
    monkeypatch.setattr(child, "_may_fork", lambda: forked)
    asking.stop()
    assert content(path) == found
    asking.stop()


def test_threads_may_ask_at_once(tmp_path):
    paths = [save(tmp_path / f"{index}.h5", epoch=index) for index in range(8)]
    epochs = [[] for _ in paths]

    def read(index):
        for _ in range(20):
            epochs[index].append(hdf5.read_checkpoint(paths[index]).metadata.epoch)

    threads = [threading.Thread(target=read, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert epochs == [[index] * 20 for index in range(8)]


def test_a_fork_of_this_process_has_a_reader_of_its_own(tmp_path):
    path = save(tmp_path / "a.h5")
    content(path)
    answers, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(theirs, b"same" if content(path) else b"")
        finally:
            os._exit(0)
    os.close(theirs)
    assert os.read(answers, 10) == b"same"
    os.close(answers)
    assert os.waitpid(pid, 0)[1] == 0
    assert content(path)


@pytest.mark.usefixtures("dying")
def test_ctrl_c_in_the_middle_of_an_answer_leaves_no_half_answer(tmp_path, monkeypatch):
    path = save(tmp_path / "a.h5")

    def interrupted(*_):
        raise KeyboardInterrupt

    asking.start()
    with monkeypatch.context() as patched:
        patched.setattr(asking.os, "readv", interrupted)
        with pytest.raises(KeyboardInterrupt):
            hdf5.read_checkpoint(path)
    assert hdf5.read_checkpoint(path).metadata.epoch == 1


def test_a_limit_that_is_no_number_is_a_usage_error():
    with pytest.raises(
        UsageError, match=r"NCCLI_MAX_CHUNKS must be a whole number from 1 to 2.50, got '1k"
    ):
        Limits.of_environment({"NCCLI_MAX_CHUNKS": "1k"})
    assert Limits.of_environment({"NCCLI_MAX_CHUNKS": "7"}).chunks == 7


# --- around it ------------------------------------------------------------------------------------


def nccli(words, **options):
    """Run a command line through a shell."""
    return subprocess.run(
        ["/bin/sh", "-c", words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


@pytest.mark.parametrize("closed", ["<&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_descriptors_do_no_harm(tmp_path, closed):
    path = save(tmp_path / "a.h5")
    done = nccli(f"{sys.executable} -m nccli check {path} {closed}")
    assert done.returncode in ((0,) if closed == "<&-" else (0, 70))
    assert "damaged" not in done.stderr


def test_nohup_is_kept(tmp_path):
    """What is ignored in the process that asks is ignored in the one that answers."""
    path = save(tmp_path / "a.h5")
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from nccli.reader import asking\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "asking.start()\n"
        "os.kill(asking._helper._child._pid, signal.SIGHUP)\n"
        "print(asking.ask('describe', Path(sys.argv[1]))['metadata']['epoch'])\n"
        "print(asking._helper._child.status())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True,
                          timeout=120, check=True)  # fmt: skip
    assert done.stdout.split() == ["1", "None"]


@pytest.mark.parametrize("name", ["json", "select", "nccli", "h5py"])
def test_nothing_in_the_current_directory_is_imported(tmp_path, name):
    """Neither by a new interpreter that opens files, nor by the servers of multiprocessing."""
    path = save(tmp_path / "a.h5")
    (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'owned')!r}, 'w')")
    code = (
        "import sys, threading\n"
        "if __name__ == '__main__':\n"
        "    from nccli import hdf5\n"
        "    from nccli.jobs import local_engine\n"
        "    threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "    hdf5.read_checkpoint(sys.argv[1])\n"
        "    with local_engine(1).open(1) as pool:\n"
        "        print(pool.submit(abs, -7).result())\n"
    )
    script = tmp_path / "elsewhere" / "script.py"
    script.parent.mkdir()
    script.write_text(code)
    done = subprocess.run([sys.executable, script, path], capture_output=True, text=True,
                          timeout=120, check=True, cwd=tmp_path)  # fmt: skip
    assert done.stdout == "7\n"
    assert not (tmp_path / "owned").exists()


def test_a_reader_that_was_killed_by_chance_blames_no_file(tmp_path):
    path = save(tmp_path / "a.h5")
    content(path)
    for _ in range(10):
        os.kill(asking._helper._child._pid, signal.SIGKILL)
        assert hdf5.read_checkpoint(path).metadata.epoch == 1


def test_the_end_of_the_program_waits_for_nobody(tmp_path):
    path = save(tmp_path / "a.h5")
    code = (
        "import os, sys, threading, time\n"
        "from pathlib import Path\n"
        "from nccli.reader import asking, child, serve\n"
        "serve.QUESTIONS['sleep'] = lambda **_: time.sleep(1000)\n"
        "asking.start()\n"
        "ask = lambda: asking.ask('sleep', Path(sys.argv[1]))\n"
        "threading.Thread(target=ask, daemon=True).start()\n"
        "time.sleep(0.3)\n"
    )
    begin = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, timeout=120, check=False
    )
    assert time.monotonic() - begin < 30  # and not the minute that an answer may take


def test_a_start_that_fails_leaves_nothing_open(monkeypatch):
    def full(*_):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(child, "_fork", full)
    monkeypatch.setattr(child, "_spawn", full)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(BlockingIOError):
            child.start_child()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
