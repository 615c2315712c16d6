"""Results kept beside the run: the same bytes, never a wrong one, and never in the way."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from conftest import network
from test_imports import imported

from nccli import answer, cache, hdf5, runs
from nccli.cli.app import run
from nccli.result import quantity
from nccli.work import ANALYSES, Work

FILE = "toy-ce-s0/checkpoints/epoch-00010.h5"
COMMANDS = {"collapse": "analyze", "calibration": "calibrate", "hessian": "hessian"}


def age(path):
    """Let a file have been modified a while ago; nothing is kept of one that is still warm."""
    moment = time.time() - 60
    os.utime(path, (moment, moment))


@pytest.fixture
def folder(run_folder):
    for path in run_folder.glob("*/checkpoints/*.h5"):
        age(path)
    return run_folder


@pytest.fixture
def file(folder):
    return folder / FILE


@pytest.fixture
def call(capsys, monkeypatch, folder):
    """Run a command line beside the toy runs; (exit code, stdout, stderr)."""
    monkeypatch.chdir(folder)

    def calling(*words):
        code = run([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return calling


@pytest.fixture
def read(monkeypatch):
    """The files that were read."""
    names = []
    real = answer.read_checkpoint

    def reading(path):
        names.append(Path(path).name)
        return real(path)

    monkeypatch.setattr(answer, "read_checkpoint", reading)
    return names


def entries(folder):
    return sorted(folder.rglob(f"{cache.FOLDER}/*"))


def work(analysis="collapse", **options):
    return Work(analysis=analysis, cached=True, **options)


# --- hits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["jsonl", "csv", "table"])
@pytest.mark.parametrize("command", COMMANDS.values())
def test_kept_results_give_the_same_bytes_without_reading_a_file(call, read, command, form):
    words = (command, ".", "--format", form)
    fresh = call(*words, "--no-cache")
    assert call(*words) == fresh
    assert len(read) == 12
    assert call(*words) == fresh
    assert len(read) == 12


@pytest.mark.parametrize("analysis", ANALYSES)
def test_a_kept_result_is_the_same_object_again(file, analysis):
    fresh = work(analysis)(file)
    assert cache.recall(file, work(analysis)) == fresh
    parts = [fresh[0].train, fresh[0].hessian] if analysis == "observation" else [fresh[0]]
    assert all(isinstance(part.notes, tuple) for part in parts)


def test_the_path_shown_is_the_one_given_now(call, folder):
    call("analyze", FILE)
    _, out, _ = call("analyze", folder / FILE, "-f", "json")
    assert {row["path"] for row in json.loads(out)} == {str(folder / FILE)}


def test_a_second_call_imports_no_numpy(folder):
    words = ["analyze", str(folder), "--format", "json"]
    assert imported(words) >= {"numpy"}
    assert imported(words) == {"typer"}


def test_entries_stand_beside_the_run_and_discovery_does_not_see_them(call, folder, file):
    loose = folder / "loose.h5"
    shutil.copy2(file, loose)
    before = runs.expand([str(folder), str(folder / "*"), str(folder / "**")])
    call("analyze", ".")
    places = {path.parent.relative_to(folder).as_posix() for path in entries(folder)}
    assert places == {".nccli-cache", "toy-ce-s0/.nccli-cache", "toy-ls0.1-s0/.nccli-cache"}
    assert runs.expand([str(folder), str(folder / "*"), str(folder / "**")]) == before


def test_two_jobs_keep_results_too(call, read):
    one = call("analyze", ".", "-j", "2", "-f", "json")
    assert call("analyze", ".", "-f", "json") == one
    assert read == []


# --- misses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        work("calibration", split="train"),
        work("calibration", options={"num_bins": 7, "folds": 5}),
        work("hessian"),
    ],
)
def test_another_question_is_another_entry(file, asked):
    first = work("calibration", options={"num_bins": 15, "folds": 5})
    first(file)
    assert cache.recall(file, first) is not None
    assert cache.recall(file, asked) is None


def rewritten_in_place(path):
    """Other numbers, the same size and modification time."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-8:] = b"\0" * 8
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replaced(path):
    copy = path.with_name("copy")
    shutil.copy2(path, copy)
    copy.replace(path)


CHANGES = {
    "touched": lambda path: os.utime(path, (1e9, 1e9)),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "in place": rewritten_in_place,
    "replaced": replaced,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_has_changed_is_read_again(file, change):
    work()(file)
    assert cache.recall(file, work()) is not None
    CHANGES[change](file)
    assert cache.recall(file, work()) is None


def test_a_field_that_is_new_was_not_measured_before(monkeypatch):
    for analysis, kind in (("collapse", "collapse"), ("observation", "hessian")):
        before = cache._fields(analysis)
        result_type = ANALYSES[kind].result_type()
        added = dataclasses.make_dataclass(
            "Added", [("new", float, quantity("new"))], bases=(result_type,), frozen=True,
            kw_only=True,
        )  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(type(ANALYSES[kind]), "result_type", lambda _, added=added: added)
            cache._fields.cache_clear()
            assert cache._fields(analysis) != before
        cache._fields.cache_clear()
        assert cache._fields(analysis) == before


@pytest.mark.parametrize("version", ["metric", "nccli"])
def test_results_of_another_version_do_not_count_and_are_replaced(file, monkeypatch, version):
    fresh = work()(file)
    if version == "metric":
        monkeypatch.setitem(cache.METRIC_VERSIONS, "collapse", 99)
    else:
        monkeypatch.setattr(cache, "__version__", "99")
    assert cache.recall(file, work()) is None
    work()(file)
    assert cache.recall(file, work()) == fresh
    assert len(entries(file.parents[1])) == 1


def edited(text):
    entry = json.loads(text)
    entry["results"][0]["nc1"] = 0.0
    return json.dumps(entry)


def of_another_type(text):
    entry = json.loads(text)
    entry["results"][0]["nc1"] = "small"
    entry["checksum"] = cache._checksum(entry["results"])
    return json.dumps(entry)


def of_an_older_layout(text):
    entry = json.loads(text)
    del entry["results"][0]["nc1"]
    entry["checksum"] = cache._checksum(entry["results"])
    return json.dumps(entry)


TAMPERED = {
    "empty": lambda _: "",
    "torn": lambda text: text[: len(text) // 2],
    "edited": edited,
    "of another type": of_another_type,
    "of an older layout": of_an_older_layout,
    "a list": lambda _: "[1, 2]",
    "results a number": lambda text: json.dumps(json.loads(text) | {"results": 3}),
    "deep": lambda _: "[" * 100_000,
    "binary": lambda _: "\udc80\udcff\0",
    "huge": lambda text: text + " " * cache.MAX_ENTRY_BYTES,
}


@pytest.mark.parametrize("name", TAMPERED)
def test_an_entry_that_is_not_ours_is_passed_over_and_written_anew(call, file, name):
    fresh = call("analyze", FILE, "-f", "json")
    (entry,) = entries(file.parents[1])
    entry.write_text(TAMPERED[name](entry.read_text()), errors="surrogateescape")
    assert cache.recall(file, work(split="all")) is None
    assert call("analyze", FILE, "-f", "json") == fresh
    assert cache.recall(file, work(split="all")) is not None


def test_a_pipe_in_the_place_of_an_entry_does_not_hang_the_batch(call, file):
    fresh = call("analyze", FILE, "-f", "json")
    (entry,) = entries(file.parents[1])
    entry.unlink()
    os.mkfifo(entry)
    assert call("analyze", FILE, "-f", "json") == fresh
    assert entry.is_file()


# --- what is not kept ---------------------------------------------------------------------------


def test_no_cache_neither_writes_nor_reads(call, read, folder):
    call("analyze", FILE, "--no-cache")
    assert entries(folder) == []
    call("analyze", FILE)
    call("analyze", FILE, "--no-cache")
    assert len(read) == 3


@pytest.mark.parametrize("ahead", [0, 3600])
def test_nothing_is_kept_of_a_file_that_may_still_change_unseen(file, ahead):
    moment = time.time() + ahead
    os.utime(file, (moment, moment))
    work()(file)
    assert entries(file.parents[1]) == []


def test_nothing_is_kept_of_a_file_that_changed_while_it_was_measured(file, monkeypatch):
    real = answer._answer

    def measured_while_it_changes(path, asked):
        results = real(path, asked)
        os.utime(path, (1e9, 1e9))
        return results

    monkeypatch.setattr(answer, "_answer", measured_while_it_changes)
    work()(file)
    assert entries(file.parents[1]) == []


def test_errors_are_not_kept(call, tmp_path):
    h, y, _, _ = network(0)
    path = tmp_path / "half.h5"
    hdf5.write_checkpoint(path, splits={"train": (h, y), "val": (h[y == 1], y[y == 1])})
    age(path)
    first = call("analyze", path, "-f", "json")
    assert first[0] == 4
    assert entries(tmp_path) == []
    assert call("analyze", path, "-f", "json") == first


# --- the disk -----------------------------------------------------------------------------------


def test_where_no_folder_can_be_made_there_is_no_cache_and_no_error(call, folder):
    (folder / "toy-ce-s0" / cache.FOLDER).write_text("in the way")
    fresh = call("analyze", FILE, "-f", "json", "--no-cache")
    assert call("analyze", FILE, "-f", "json") == fresh
    assert call("analyze", FILE, "-f", "json") == fresh


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("step", ["mkdir", "open", "replace"])
def test_a_disk_that_refuses_leaves_no_trace(call, folder, monkeypatch, step, number):
    real = getattr(Path, step)

    def refusing(path, *args, **options):
        if cache.FOLDER in path.parts:
            raise OSError(number, os.strerror(number), str(path))
        return real(path, *args, **options)

    fresh = call("analyze", FILE, "-f", "json", "--no-cache")
    monkeypatch.setattr(Path, step, refusing)
    assert call("analyze", FILE, "-f", "json") == fresh
    assert entries(folder) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_run_is_measured_all_the_same(call, folder):
    (folder / "toy-ce-s0").chmod(0o500)
    try:
        assert call("analyze", FILE, "-f", "json")[0] == 0
    finally:
        (folder / "toy-ce-s0").chmod(0o700)
    assert entries(folder) == []


def test_writers_at_the_same_time_do_each_other_no_harm(file):
    seen, fresh = cache.look(file), work()(file)

    def writing():
        for _ in range(50):
            cache.store(file, work(), fresh, seen=seen)

    writers = [threading.Thread(target=writing) for _ in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert cache.recall(file, work()) == fresh
    assert len(entries(file.parents[1])) == 1
