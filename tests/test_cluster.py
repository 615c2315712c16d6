"""A real Dask cluster of two worker processes: the same answers as this process gives."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import network

from nccli import cache, cluster, collapse
from nccli.batch import each
from nccli.cluster import ClusterWorkers, cluster_engine, connect, connection, engine, rows
from nccli.collapse import spans
from nccli.errors import FormatError, InputError, MissingExtraError, NotFoundError, UsageError
from nccli.hdf5 import read_checkpoint, write_checkpoint
from nccli.render import rendered
from nccli.work import Work

distributed = pytest.importorskip("distributed")

EVERYTHING = Work(analysis="collapse", split="all")

# --- work that the workers import from here -----------------------------------------------------


def held(path, *, log, go):
    """Note the file and wait for a sign; give its name."""
    with log.open("a") as file:
        file.write(f"{path.name}\n")
    wait_until(go.exists)
    return [path.name]


def deadly(path, *, log):
    """Note the attempt; kill the worker that works on `deadly`."""
    with log.open("a") as file:
        file.write(f"{path.name}\n")
    if path.name == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return [path.name]


def row_range(checkpoint, span, factor):
    return (span.start, span.stop, checkpoint.num_classes, factor.sum())


def held_rows(checkpoint, span, log, go):
    log.touch()
    wait_until(go.exists)
    return span.stop - span.start + 0 * checkpoint.dim


def broken(checkpoint, span):
    raise ZeroDivisionError(f"{span.start} of {checkpoint.num_classes}")


# --- fixtures -----------------------------------------------------------------------------------


def wait_until(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def client(dask_cluster):
    connected = connect(dask_cluster.scheduler_address, say=print)
    yield connected
    connected.close()


@pytest.fixture
def opened(dask_cluster):
    """Connect an engine for a number of files."""
    return lambda files: cluster_engine(dask_cluster.scheduler_address, files=files)


@pytest.fixture
def large(tmp_path, monkeypatch):
    """A file that is cut into some dozens of spans, and is large enough to be split."""
    monkeypatch.setattr(spans, "SPAN_BYTES", 2**12)
    monkeypatch.setattr(engine, "SPLIT_BYTES", 2**10)
    return write_large(tmp_path / "large.h5")


def write_large(path, *, logits=False):
    features, labels, weight, bias = network(count=6000, dim=16, num_classes=6, balanced=False)
    order = np.random.default_rng(5).permutation(len(labels))
    features, labels = features[order].astype(np.float32), labels[order]
    parts = {"train": (features[:4000], labels[:4000]), "test": (features[4000:], labels[4000:])}
    if logits:
        parts = {name: (*two, two[0] @ weight.T + bias) for name, two in parts.items()}
    write_checkpoint(path, splits=parts, weight=weight, bias=bias)
    return path


# --- many files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("analysis", ["collapse", "calibration", "hessian"])
def test_files_give_the_same_bytes_as_on_this_machine(opened, run_folder, monkeypatch, analysis):
    monkeypatch.chdir(run_folder)  # where the workers are not
    paths = sorted(Path().glob("*/checkpoints/*.h5"))
    paths[2].write_bytes(paths[2].read_bytes()[:1000])
    work = Work(analysis=analysis)
    with opened(len(paths)) as dask_engine:
        far = [list(map(told, one)) for one in each(paths, work, engine=dask_engine)]
    assert far == [list(map(told, one)) for one in each(paths, work)]
    assert far[2][0].startswith(f"{paths[2]}: truncated HDF5 file")
    assert sum(len(one) for one in far) > len(paths) - 1


def told(item):
    return str(item) if isinstance(item, InputError) else rendered([item], form="json")


def test_a_file_that_only_this_machine_sees_is_told_with_the_remedy(opened, tmp_path):
    path = tmp_path / "gone.h5"
    with opened(1) as dask_engine:
        ((error,),) = each([path], EVERYTHING, engine=dask_engine)
    assert isinstance(error, NotFoundError)
    expected = "no such file; the workers must see it under the same path as this machine"
    assert str(error) == f"{path}: {expected}"


def test_what_the_workers_computed_is_found_in_the_cache_here(opened, large):
    os.utime(large, (1e9, 1e9))  # not just now: such a file is not kept
    work = replace(EVERYTHING, cached=True)
    with opened(2) as dask_engine:
        ((train, test),) = each([large], work, engine=dask_engine)
    assert cache.recall(large, work) == [train, test]


def test_a_file_that_kills_its_workers_is_an_error_and_costs_no_other_file(
    dask_cluster, opened, tmp_path, monkeypatch
):
    monkeypatch.setattr(dask_cluster.scheduler, "allowed_failures", 0)  # else four must die
    log = tmp_path / "log"
    paths = [tmp_path / name for name in ("a", "b", "deadly", "c", "d")]
    with opened(len(paths)) as dask_engine:
        found = [str(one) for (one,) in each(paths, partial(deadly, log=log), engine=dask_engine)]
    assert found[2].startswith(f"{paths[2]}: the worker process died while reading it")
    assert [found[place] for place in (0, 1, 3, 4)] == ["a", "b", "c", "d"]
    assert log.read_text().split().count("deadly") == 2


def test_leaving_early_takes_back_what_was_given_out(dask_cluster, opened, tmp_path):
    log, go = tmp_path / "log", tmp_path / "go"
    known = [["known"]]
    paths = [tmp_path / str(number) for number in range(50)]
    try:
        with opened(51) as dask_engine:
            answers = each(known + paths, partial(held, log=log, go=go), engine=dask_engine)
            assert next(answers) == ["known"]
            wait_until(log.exists)
            left = time.monotonic()
            answers.close()
            assert time.monotonic() - left < 5
        wait_until(lambda: not dask_cluster.scheduler.tasks)
    finally:
        go.touch()  # lets the workers go
    assert len(log.read_text().split()) < 10


def test_leaving_early_ends_a_file_that_is_being_split(opened, large, tmp_path, monkeypatch):
    log, go = tmp_path / "log", tmp_path / "go"

    def split_over(client, _, path):
        cut = [spans.Span(row, row + 1) for row in range(100)]
        return list(ClusterWorkers.of(path, client).map(held_rows, cut, log, go))

    monkeypatch.setattr(engine, "_split_over", split_over)
    try:
        with opened(1) as dask_engine:
            answers = each([["known"], large], EVERYTHING, engine=dask_engine)
            assert next(answers) == ["known"]
            wait_until(log.exists)
            left = time.monotonic()
            answers.close()
            assert time.monotonic() - left < 5
    finally:
        go.touch()


# --- one large file -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["predicted", "logits", "chunked"])
@pytest.mark.parametrize("small", [0, 2**16])
def test_a_split_file_gives_the_same_bits_as_on_this_machine(
    opened, large, kind, small, monkeypatch
):
    monkeypatch.setattr(rows, "SMALL_BYTES", small)  # 0: even small arguments are handed on
    monkeypatch.setattr(rows, "MOST_SPANS", 3)
    if kind == "logits":
        write_large(large, logits=True)
    if kind == "chunked":
        compress(large)
    seen = []
    with opened(1) as dask_engine:
        work = replace(EVERYTHING, watch=lambda done, total: seen.append((done, total)))
        ((train, test),) = each([large], work, engine=dask_engine)
    assert [train, test] == EVERYTHING(large)
    assert (train.split, test.split) == ("train", "test")
    assert sum(done for done, _ in seen) == seen[0][1] == 2 * 6000  # the work was watched
    assert len(seen) > 50


def compress(path):
    with h5py.File(path, "r+") as file:
        for name in ("train", "test"):
            values = file[f"{name}/features"][:]
            del file[f"{name}/features"]
            file[name].create_dataset("features", data=values, chunks=(70, 16), compression="gzip")


@pytest.mark.parametrize("analysis", ["sampled", "classes", "gram"])
def test_every_analysis_of_rows_can_be_split(opened, large, analysis):
    options = {"resamples": 3} if analysis == "sampled" else {}
    work = Work(analysis=analysis, split="test", options=options)
    with opened(1) as dask_engine:
        (found,) = each([large], work, engine=dask_engine)
    assert found == work(large)


@pytest.mark.parametrize(("files", "size", "split"), [(1, 0, True), (2, 0, False), (1, 1, False)])
def test_large_files_are_split_where_they_are_fewer_than_the_workers(
    opened, large, monkeypatch, files, size, split
):
    monkeypatch.setattr(engine, "SPLIT_BYTES", large.stat().st_size + size)
    taken = []
    monkeypatch.setattr(engine, "_split_over", lambda *_: taken.append(1) or ["split"])
    with opened(files) as dask_engine:
        (found,) = each([large], EVERYTHING, engine=dask_engine)
    assert (found == ["split"]) == bool(taken) == split


def test_every_worker_may_die_in_the_middle_of_either_pass(client, large, monkeypatch):
    monkeypatch.setattr(rows, "SMALL_BYTES", 0)  # the plan stands on a worker, too
    cut = spans.spans_of(read_checkpoint(large).split("train").features, 0)
    doomed = deque(client.run(os.getpid).values())
    assert len(doomed) == 2
    deaths = [10, len(cut) + 10]  # of the train split's first and second pass
    done = 0

    def watch(_):
        nonlocal done
        done += 1
        if done in deaths:
            os.kill(doomed.popleft(), signal.SIGKILL)

    workers = replace(ClusterWorkers.of(large, client), watch=watch)
    checkpoint = read_checkpoint(large)
    found = collapse.analyze(checkpoint, split="train", workers=workers)
    assert done == 2 * len(cut) > deaths[1] + 2 * rows.IN_FLIGHT
    assert not doomed
    assert found == collapse.analyze(checkpoint, split="train")
    client.wait_for_workers(2, timeout=200)


def test_a_plan_is_made_again_where_all_that_held_it_are_dead(client, large, monkeypatch):
    monkeypatch.setattr(rows, "SMALL_BYTES", 0)
    factor = np.arange(2_000_000.0)  # 16 MB: more than Dask would carry in a task without a warning
    cut = spans.spans_of(read_checkpoint(large).split("train").features, 0)
    parts = ClusterWorkers.of(large, client).map(row_range, cut, factor)
    found = [next(parts)]
    for pid in client.run(os.getpid).values():
        os.kill(pid, signal.SIGKILL)
    found += parts
    assert found == [(span.start, span.stop, 6, factor.sum()) for span in cut]
    client.wait_for_workers(2, timeout=200)


def test_few_tasks_are_given_out_at_a_time_and_neighbours_share_one(client, large, monkeypatch):
    submitted = []
    monkeypatch.setattr(
        type(client), "submit", spied(type(client).submit, lambda call: submitted.append(call))
    )
    cut = [spans.Span(row, row + 1) for row in range(1000)]
    parts = ClusterWorkers.of(large, client).map(row_range, cut, np.ones(3))
    assert next(parts)[:2] == (0, 1)
    threads = 2
    assert len(submitted) == rows.IN_FLIGHT * threads + 1
    assert [part[0] for part in parts] == list(range(1, 1000))
    assert len(submitted) == -(-1000 // rows.MOST_SPANS)


def spied(method, tell):
    def spying(self, *args, **options):
        tell(args)
        return method(self, *args, **options)

    return spying


def test_an_error_in_a_span_is_told_and_ends_the_others(dask_cluster, client, large):
    cut = [spans.Span(row, row + 1) for row in range(100)]
    with pytest.raises(ZeroDivisionError, match="0 of 6"):
        list(ClusterWorkers.of(large, client).map(broken, cut))
    tasks = dask_cluster.scheduler.tasks
    wait_until(lambda: {task.state for task in tasks.values()} <= {"erred"})


def test_rows_that_cannot_be_used_are_told_with_the_users_path(opened, large, monkeypatch):
    with h5py.File(large, "r+") as file:
        file["train/features"][3999, 1] = np.nan
    monkeypatch.chdir(large.parent)
    with opened(1) as dask_engine:
        (found,) = each([Path(large.name)], EVERYTHING, engine=dask_engine)
    assert [str(one) for one in found] == [str(one) for one in EVERYTHING(Path(large.name))]
    assert str(found[0]).startswith(
        "large.h5: train/features holds NaN (1 value, first in row 3999"
    )


def test_another_file_of_the_same_name_is_refused(tmp_path):
    path = write_large(tmp_path / "a.h5")
    seen = rows.File.of(path)
    assert rows._checkpoint(seen).num_classes == 6
    os.utime(path, ns=(0, seen.modified_ns + 1))
    with pytest.raises(FormatError, match=r"a\.h5: is not the same file on the workers"):
        rows._on_spans(replace(seen, size=seen.size + 1), broken, [], ())
    path.unlink()
    with pytest.raises(NotFoundError, match="no such file"):
        rows._on_spans(replace(seen, size=0), broken, [], ())


# --- the connection -----------------------------------------------------------------------------


@contextmanager
def unanswered():
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"tcp://127.0.0.1:{taken.getsockname()[1]}"


def test_a_scheduler_that_does_not_answer_is_told_within_seconds(monkeypatch):
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.3)
    begun = time.monotonic()
    with unanswered() as address:
        with pytest.raises(UsageError) as caught, cluster_engine(address, files=1):
            pass
        assert time.monotonic() - begun < 5
        assert str(caught.value) == (
            f"cannot reach the Dask scheduler at {address} (Connection refused); "
            "start one with `dask scheduler`, and check the address"
        )
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("address", ["host:8786", "http://host:1", "tcp://host", "tcp://h:999999"])
def test_what_is_no_address_is_told_at_once(address):
    with (
        pytest.raises(UsageError, match="is no address of a Dask scheduler; give one like tcp://"),
        cluster_engine(address, files=1),
    ):
        pass


def test_a_cluster_without_workers_is_waited_for_and_then_told(monkeypatch):
    monkeypatch.setattr(connection, "WORKERS_SECONDS", 0.3)
    said = []
    with distributed.LocalCluster(
        n_workers=0, dashboard_address=":0", silence_logs=logging.CRITICAL
    ) as empty:
        address = empty.scheduler_address
        with (
            pytest.raises(UsageError, match=f"{address} has no workers; start some with `dask wor"),
            cluster_engine(address, files=1, say=said.append),
        ):
            pass
    assert said == [f"nccli: waiting for the first worker of the Dask scheduler at {address}"]


def test_workers_with_another_nccli_are_refused(dask_cluster, monkeypatch):
    monkeypatch.setattr(connection, "__version__", "0.0.9")
    with pytest.raises(
        UsageError, match=r"have nccli .*, this machine has 0\.0\.9; install the sa"
    ):
        connect(dask_cluster.scheduler_address, say=print)


def test_without_distributed_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(MissingExtraError, match=r"pip install 'nccli\[cluster\]'") as caught,
        cluster_engine("tcp://127.0.0.1:1", files=1),
    ):
        pass
    assert caught.value.exit_code == 2


def test_nothing_of_dask_is_imported_before_there_is_an_address():
    code = "import sys, nccli.cluster; assert not {'dask', 'distributed'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_scheduler_that_goes_away_is_told_and_what_came_before_is_kept(tmp_path, monkeypatch):
    """The cluster as the README has it: one scheduler and one worker, from the command line."""
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 120.0)
    log, go = tmp_path / "log", tmp_path / "go"
    with unanswered() as address:
        pass
    scheduler = started("scheduler", "--port", address.rpartition(":")[2], "--no-dashboard")
    worker = started("worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard")
    try:
        with cluster_engine(address, files=9) as dask_engine:
            inputs = [["known"], tmp_path / "a"]
            answers = each(inputs, partial(held, log=log, go=go), engine=dask_engine)
            assert next(answers) == ["known"]
            wait_until(log.exists)
            scheduler.kill()
            scheduler.wait()
            monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.3)
            with pytest.raises(UsageError, match="cannot reach the Dask scheduler"):
                next(answers)
    finally:
        go.touch()
        for process in (scheduler, worker):
            process.kill()
            process.wait()


def started(kind, *words):
    command = Path(sys.executable).with_name("dask")
    if not command.exists():
        command = shutil.which("dask")
    here = str(Path(__file__).parent)
    return subprocess.Popen(
        [command, kind, *words],
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": here},  # for the functions above
        cwd=here,
    )


def test_the_names_that_the_library_offers():
    expected = {"SPLIT_BYTES", "ClusterWorkers", "Disconnected", "cluster_engine", "connect"}
    assert set(cluster.__all__) == expected
