"""One run on disk: repeatable, resumable after any cut, honest about how it ended."""

from __future__ import annotations

import errno
import json
import os
import pathlib
import random
import shutil
import signal
import threading
import time
from collections import namedtuple
from concurrent.futures import Future

import numpy as np
import pytest
import torch
from tiny import arrays, contents, start, tiny, train, wait_for

from nccli import collapse, hdf5, runs
from nccli.errors import FormatError, Interrupted, TrainingError, UsageError
from nccli.result import record
from nccli.run_lock import sole_writer
from nccli.runs import checkpoint_path, read_log, read_run
from train import experiment, feed
from train.config import Settings
from train.networks.chance import Chance
from train.place import Place
from train.publisher import Background
from train.rundir import Standing
from train.snapshot import checkpoint_bytes

SETTINGS = tiny()
DELETE = "delete the run's directory and give the same command again"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbed. Never written to."""
    path = tmp_path_factory.mktemp("whole") / "run"
    train(SETTINGS, path)
    return path


def interrupt(settings, path, *, after):
    """Train some epochs, then be asked to stop."""
    asked = iter(range(1, 1000))
    with pytest.raises(Interrupted):
        train(settings, path, should_stop=lambda: next(asked) >= after)


def status(path):
    return read_run(path).status


# --- what a run leaves --------------------------------------------------------------------------


def test_a_run_directory_holds_what_the_design_says(whole):
    run = read_run(whole)
    assert run.problem is None
    assert [runs.epoch_of(path) for path in run.checkpoints] == [1, 3, 4]
    assert run.settings == SETTINGS.recorded()
    assert (run.status, run.record["epochs_done"], run.record["message"]) == ("finished", 4, None)
    assert {path.name for path in whole.iterdir()} == {
        *("run.json", "log.jsonl", "checkpoints", "resume.pt"),
    }


def test_a_run_records_where_it_comes_from(whole):
    provenance = read_run(whole).record["provenance"]
    assert provenance["command"] == "nccli train --epochs 4"
    assert {"nccli", "python", "torch", "numpy", "h5py"} <= provenance["software"].keys()
    assert provenance["created"].endswith("+00:00")
    assert {"git_commit", "device", "platform"} <= provenance.keys()


def test_a_checkpoint_says_how_it_was_made(whole):
    meta = hdf5.read_checkpoint(checkpoint_path(whole, 3)).metadata
    assert (meta.loss, meta.label_smoothing, meta.epoch) == ("cross-entropy", 0.0, 3)
    assert (meta.dataset, meta.architecture, meta.seed) == ("digits", "mlp-2x12", 0)
    assert (meta.weight_decay, meta.feature_decay) == (2e-3, None)
    assert "torch" in json.loads(meta.software)


def test_the_log_has_one_line_an_epoch_and_metrics_where_a_checkpoint_is(whole):
    lines = read_log(whole)
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert ["metrics" in line for line in lines] == [True, False, True, True]
    assert {"epoch", "learning_rate", "train_loss", "train_accuracy"} == set(lines[1])


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_logged_metrics_are_those_that_analyze_finds_in_the_file(dtype, tmp_path):
    settings = tiny(dtype=dtype)
    train(settings, tmp_path / "run")
    for line in read_log(tmp_path / "run"):
        for split, logged in line.get("metrics", {}).items():
            path = checkpoint_path(tmp_path / "run", line["epoch"])
            checkpoint = hdf5.read_checkpoint(path)
            assert checkpoint.split(split).features.dtype == dtype
            assert checkpoint.classifier.weight.dtype == np.float32
            assert record(collapse.analyze(checkpoint, split=split)) == logged


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(whole, tmp_path):
    torch.manual_seed(99)  # the global state has no say
    train(SETTINGS, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(whole)
    train(tiny(seed=1), tmp_path / "other")
    assert contents(tmp_path / "other")["log"] != contents(whole)["log"]


def test_the_number_of_threads_outside_has_no_say_and_is_left_alone(whole, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        train(SETTINGS, tmp_path / "again")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert contents(tmp_path / "again") == contents(whole)


def test_a_resnet_trains_too(tmp_path):
    train(tiny(model="resnet", epochs=1, save_epochs=(1,), batch_size=500), tmp_path / "run")
    assert read_log(tmp_path / "run")[0]["metrics"]["test"]["dim"] == 12


# --- written beside the training, as where a GPU trains -----------------------------------------


@pytest.fixture
def beside(monkeypatch):
    monkeypatch.setattr(experiment, "Inline", Background)


def test_what_is_written_beside_is_waited_for_though_a_ctrl_c_strikes(monkeypatch):
    may_end, ended = threading.Event(), threading.Event()
    publisher = Background()
    publisher.submit(lambda: (may_end.wait(60), ended.set()))
    with monkeypatch.context() as patch:
        patch.setattr(Future, "result", interrupted_wait)
        with pytest.raises(KeyboardInterrupt):
            publisher.drain()
    assert not ended.is_set()
    may_end.set()
    publisher.drain()
    assert ended.is_set()


def interrupted_wait(_future):
    raise KeyboardInterrupt


@pytest.mark.usefixtures("beside")
def test_what_is_written_beside_the_training_is_the_same(whole, tmp_path):
    threads = set()
    write = hdf5.write_checkpoint

    def watched(*arguments, **parts):
        threads.add(threading.current_thread().name)
        return write(*arguments, **parts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment.hdf5, "write_checkpoint", watched)
        train(SETTINGS, tmp_path / "run")
    assert [name.startswith("publish") for name in threads] == [True]
    assert contents(tmp_path / "run") == contents(whole)
    interrupt(SETTINGS, tmp_path / "cut", after=2)
    train(SETTINGS, tmp_path / "cut", resume=True)
    assert contents(tmp_path / "cut") == contents(whole)


@pytest.mark.usefixtures("beside")
def test_what_goes_wrong_beside_the_training_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment.collapse, "analyze", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(SETTINGS, tmp_path / "run")
    assert status(tmp_path / "run") == "failed"


@pytest.mark.usefixtures("beside")
def test_what_was_saved_before_a_failure_is_there(tmp_path):
    with pytest.raises(TrainingError, match="not finite"):
        train(tiny(learning_rate=1e30), tmp_path / "run")
    run_epoch = experiment.Classification.run_epoch

    def diverging(self, epoch):
        line = run_epoch(self, epoch)
        return line | ({"train_loss": float("nan")} if epoch == 2 else {})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment.Classification, "run_epoch", diverging)
        with pytest.raises(TrainingError, match="not finite in epoch 2"):
            train(SETTINGS, tmp_path / "other")
    assert [path.name for path in read_run(tmp_path / "other").checkpoints] == ["epoch-00001.h5"]
    assert [line["epoch"] for line in read_log(tmp_path / "other")] == [1]


# --- going on after a cut -----------------------------------------------------------------------


@pytest.mark.parametrize("after", [1, 2, 3])
def test_an_interrupted_run_resumes_to_the_same_bits(after, whole, tmp_path):
    interrupt(SETTINGS, tmp_path / "run", after=after)
    found = read_run(tmp_path / "run").record
    assert (found["status"], found["epochs_done"]) == ("interrupted", after)
    assert train(SETTINGS, tmp_path / "run", resume=True) is Standing.CONTINUE
    assert contents(tmp_path / "run") == contents(whole)
    assert status(tmp_path / "run") == "finished"


def test_an_interruption_names_the_command_that_continues(tmp_path):
    command = "nccli train --overwrite --out 'my runs'"
    with pytest.raises(Interrupted, match="after epoch 1 of 4; continue with: ") as caught:
        train(SETTINGS, tmp_path / "run", command=command, should_stop=lambda: True)
    assert caught.value.remedy == "continue with: nccli train --out 'my runs' --resume"
    assert caught.value.exit_code == 130


def test_a_command_that_resumes_already_is_its_own_continuation(tmp_path):
    with pytest.raises(Interrupted, match=r"continue with: nccli demo --seeds 0$"):
        train(
            SETTINGS,
            tmp_path / "run",
            resume=True,
            command="nccli demo --seeds 0",
            should_stop=lambda: True,
        )


def test_a_request_to_stop_in_the_last_epoch_comes_too_late(tmp_path):
    train(tiny(epochs=1, save_epochs=(1,)), tmp_path / "run", should_stop=lambda: True)
    assert status(tmp_path / "run") == "finished"


def test_without_the_momentum_a_resumed_run_differs(whole, tmp_path, monkeypatch):
    """A control: the tests above would notice a resume state that is not complete."""
    interrupt(SETTINGS, tmp_path / "run", after=2)
    restore = experiment.Classification.restore

    def forgetful(self, state):
        restore(self, state | {"optimizer": state["optimizer"] | {"state": {}}})

    monkeypatch.setattr(experiment.Classification, "restore", forgetful)
    train(SETTINGS, tmp_path / "run", resume=True)
    assert contents(tmp_path / "run")["log"] != contents(whole)["log"]


CHANCY = {
    "dropout": tiny(dropout=0.3),
    "cuts": tiny(model="resnet", width=8, augment="flip-crop"),
    "transformer": tiny(model="vit", width=16, depth=1, dropout=0.1),
    "shapes": tiny(data="shapes", train_count=300, batch_size=100, model="resnet", width=8),
    "group norm": tiny(norm="group", loss="focal", feature_decay=1e-4),
}


@pytest.mark.parametrize("kind", CHANCY)
def test_whatever_is_drawn_a_resumed_run_has_the_same_bits(kind, tmp_path):
    settings = CHANCY[kind]
    train(settings, tmp_path / "whole")
    interrupt(settings, tmp_path / "run", after=2)
    train(settings, tmp_path / "run", resume=True)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.parametrize("kind", ["dropout", "cuts"])
def test_without_what_is_drawn_anew_each_epoch_a_resumed_run_differs(kind, tmp_path, monkeypatch):
    """A control: random numbers that go on from epoch to epoch are lost with the process."""
    monkeypatch.setattr(Chance, "start", lambda *_: None)
    left = torch.Generator().manual_seed(0)
    monkeypatch.setattr(feed, "_generator", lambda *_: left)
    settings = CHANCY[kind]
    train(settings, tmp_path / "whole")
    left.manual_seed(0)
    interrupt(settings, tmp_path / "run", after=2)
    left.manual_seed(0)
    train(settings, tmp_path / "run", resume=True)
    assert contents(tmp_path / "run")["log"] != contents(tmp_path / "whole")["log"]


class Killed(BaseException):
    """Nothing catches it, as nothing catches kill -9."""


def cut_at(monkeypatch, call, *, done):
    """Break off at the given publication, before or after the file has its name."""
    replace, calls = pathlib.Path.replace, iter(range(1, 1000))

    def cut(self, target):
        now = next(calls) == call
        if now and not done:
            raise Killed
        replace(self, target)
        if now:
            raise Killed

    monkeypatch.setattr(pathlib.Path, "replace", cut)


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_a_run_cut_at_any_publication_resumes_to_the_same_bits(done, whole, tmp_path, monkeypatch):
    expected, cuts = contents(whole), 0
    while True:
        path = tmp_path / f"cut{cuts}"
        with monkeypatch.context() as patched:
            cut_at(patched, cuts + 1, done=done)
            try:
                train(SETTINGS, path)
                break
            except Killed:
                cuts += 1
        for file in path.glob("checkpoints/*.h5"):
            arrays(file)
        train(SETTINGS, path, resume=True)
        assert contents(path) == expected, f"cut at publication {cuts}"
    assert cuts == 12  # the log, 3 x (checkpoint, resume state, run.json), run.json twice


def test_a_checkpoint_published_before_a_kill_is_not_published_again(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        cut_at(patched, 7, done=True)  # the resume state of epoch 3 comes next
        with pytest.raises(Killed):
            train(SETTINGS, tmp_path / "run")
    path = checkpoint_path(tmp_path / "run", 3)
    before = path.stat().st_ino if path.exists() else None
    train(SETTINGS, tmp_path / "run", resume=True)
    assert before == path.stat().st_ino


def test_torn_log_lines_and_temporary_files_of_a_killed_run_are_swept(whole, tmp_path):
    interrupt(SETTINGS, tmp_path / "run", after=2)
    with (tmp_path / "run" / "log.jsonl").open("a") as log:
        log.write('{"epoch": 3, "train_loss": 1.0}\n{"epoch": 4, "tra')
    for folder in (tmp_path / "run", tmp_path / "run" / "checkpoints"):
        (folder / ".nccli-tmp-abc").write_bytes(b"half")
    train(SETTINGS, tmp_path / "run", resume=True)
    assert contents(tmp_path / "run") == contents(whole)
    assert not list((tmp_path / "run").rglob(".nccli-tmp-*"))


def test_resuming_what_never_began_begins_it(whole, tmp_path):
    assert train(SETTINGS, tmp_path / "run", resume=True) is Standing.START
    assert contents(tmp_path / "run") == contents(whole)


def test_a_resumed_run_remembers_its_first_start(tmp_path):
    interrupt(SETTINGS, tmp_path / "run", after=1)
    train(SETTINGS, tmp_path / "run", resume=True, command="nccli train --resume")
    provenance = read_run(tmp_path / "run").record["provenance"]
    assert provenance["command"] == "nccli train --epochs 4"
    assert [again["command"] for again in provenance["resumed"]] == ["nccli train --resume"]


def test_a_resume_state_is_saved_between_saved_epochs_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "RESUME_SECONDS", 0.0)
    with monkeypatch.context() as patched:
        cut_at(patched, 8, done=False)  # log, run.json, epoch 1: three files, epoch 2: two
        with pytest.raises(Killed):
            train(SETTINGS, tmp_path / "run")
    assert torch.load(tmp_path / "run" / "resume.pt", weights_only=True)["epoch"] == 2


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04half a zip"])
def test_a_damaged_resume_state_is_named_with_the_remedy(content, tmp_path):
    interrupt(SETTINGS, tmp_path / "run", after=1)
    (tmp_path / "run" / "resume.pt").write_bytes(content)
    with pytest.raises(FormatError, match=rf"resume.pt: cannot resume from it .*; {DELETE}"):
        train(SETTINGS, tmp_path / "run", resume=True)
    shutil.rmtree(tmp_path / "run")
    train(SETTINGS, tmp_path / "run", resume=True)
    assert status(tmp_path / "run") == "finished"


def test_a_resume_state_with_code_in_it_is_not_run(tmp_path):
    interrupt(SETTINGS, tmp_path / "run", after=1)
    torch.save({"epoch": 1, "trainer": pathlib.Path("x")}, tmp_path / "run" / "resume.pt")
    with pytest.raises(FormatError, match="cannot resume from it"):
        train(SETTINGS, tmp_path / "run", resume=True)


def test_sigterm_stops_a_run_as_ctrl_c_does(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="after epoch 1 of 4"):
        train(
            SETTINGS,
            tmp_path / "run",
            on_event=lambda _: os.kill(os.getpid(), signal.SIGTERM),
        )
    assert signal.getsignal(signal.SIGTERM) is before
    assert status(tmp_path / "run") == "interrupted"


def test_a_second_ctrl_c_breaks_off_at_once(whole, tmp_path):
    def twice(event):
        if event.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="after epoch 2 of 4"):
        train(SETTINGS, tmp_path / "run", on_event=twice)
    assert torch.load(tmp_path / "run" / "resume.pt", weights_only=True)["epoch"] == 1
    train(SETTINGS, tmp_path / "run", resume=True)
    assert contents(tmp_path / "run") == contents(whole)


# --- a real process, really killed --------------------------------------------------------------

SLOW = """
import sys, time
from pathlib import Path
from nccli.errors import Interrupted
from tiny import tiny, train
settings = tiny(epochs=30, save_epochs=tuple(range(1, 31)))
try:
    train(settings, Path(sys.argv[1]), on_event=lambda event: time.sleep(0.02))
except Interrupted as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""
SLOW_SETTINGS = tiny(epochs=30, save_epochs=tuple(range(1, 31)))


@pytest.fixture(scope="module")
def whole_slow(tmp_path_factory):
    path = tmp_path_factory.mktemp("slow") / "run"
    train(SLOW_SETTINGS, path)
    return contents(path)


@pytest.mark.parametrize("attempt", range(50 if os.environ.get("NCCLI_TORTURE") == "1" else 1))
def test_kill_9_leaves_every_checkpoint_readable_and_resume_gives_the_same_bits(
    whole_slow, tmp_path, attempt
):
    process = start(SLOW, tmp_path / "run")
    wait_for(checkpoint_path(tmp_path / "run", 5 + attempt % 18), process)
    time.sleep(random.Random(attempt).uniform(0, 0.03) if attempt else 0)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert status(tmp_path / "run") == "running"
    published = read_run(tmp_path / "run").checkpoints
    assert 5 <= len(published) < 30
    for path in published:
        assert {"weight", "train/features", "test/labels"} <= arrays(path).keys()
    train(SLOW_SETTINGS, tmp_path / "run", resume=True)
    assert contents(tmp_path / "run") == whole_slow


def test_ctrl_c_ends_a_run_as_interrupted_and_resume_gives_the_same_bits(whole_slow, tmp_path):
    process = start(SLOW, tmp_path / "run")
    wait_for(checkpoint_path(tmp_path / "run", 3), process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "continue with: " in errors
    assert "--resume" in errors
    assert status(tmp_path / "run") == "interrupted"
    train(SLOW_SETTINGS, tmp_path / "run", resume=True)
    assert contents(tmp_path / "run") == whole_slow


# --- what goes wrong ----------------------------------------------------------------------------


def test_an_existing_run_is_not_overwritten_silently(tmp_path):
    train(SETTINGS, tmp_path / "run")
    before = contents(tmp_path / "run")
    with pytest.raises(
        UsageError,
        match=r"run: this run exists already \(finished, 4 of 4 epochs\); --resume continues it, "
        "--overwrite starts it again",
    ):
        train(SETTINGS, tmp_path / "run")
    assert contents(tmp_path / "run") == before


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    train(SETTINGS, tmp_path / "run")
    before = (tmp_path / "run" / "run.json").stat().st_mtime_ns
    assert train(SETTINGS, tmp_path / "run", resume=True) is Standing.FINISHED
    assert (tmp_path / "run" / "run.json").stat().st_mtime_ns == before


def test_overwriting_starts_again_and_removes_nothing_else(whole, tmp_path):
    train(tiny(seed=1, epochs=5, save_epochs=(2, 5)), tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    train(SETTINGS, tmp_path / "run", overwrite=True)
    assert contents(tmp_path / "run") == contents(whole)
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_resume_and_overwrite_exclude_each_other(tmp_path):
    with pytest.raises(UsageError, match="--resume and --overwrite exclude each other"):
        train(SETTINGS, tmp_path / "run", resume=True, overwrite=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.2}, "with learning rate 0.2: the run has 0.1; repeat"),
        ({"width": 16}, "with width 16: the run has 12"),
        ({"dtype": "float16"}, "with dtype float16: the run has float32"),
        ({"save_epochs": (4,)}, r"with save epochs \[4\]: the run has \[1, 3, 4\]"),
    ],
)
def test_resuming_with_other_settings_names_what_differs(changes, message, tmp_path):
    interrupt(SETTINGS, tmp_path / "run", after=1)
    with pytest.raises(UsageError, match=message):
        train(tiny(**changes), tmp_path / "run", resume=True)


def test_a_diverging_run_fails_in_one_line_with_a_remedy(tmp_path):
    with pytest.raises(TrainingError) as caught:
        train(tiny(learning_rate=1e30), tmp_path / "run")
    assert "run: the loss is not finite in epoch 1; lower the learning rate" in str(caught.value)
    found = read_run(tmp_path / "run").record
    assert (found["status"], found["epochs_done"]) == ("failed", 0)
    assert "not finite in epoch 1" in found["message"]
    assert read_log(tmp_path / "run") == []


def test_features_that_overflow_the_saved_type_are_an_error_not_an_infinity(tmp_path, monkeypatch):
    capture = experiment.Classification.capture

    def large(self):
        found = capture(self)
        found.splits["test"][0][3, 2] = 70_000.0
        return found

    monkeypatch.setattr(experiment.Classification, "capture", large)
    with pytest.raises(TrainingError, match=r"overflow float16.*; save in a wider dtype"):
        train(tiny(dtype="float16"), tmp_path / "run")
    assert status(tmp_path / "run") == "failed"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        torch.AcceleratorError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] can't allocate memory: you tried"),
    ],
    ids=["python", "gpu", "driver", "cudnn", "cpu"],
)
def test_too_little_memory_is_one_line_and_a_readable_run(error, whole, tmp_path, monkeypatch):
    run_epoch = experiment.Classification.run_epoch

    def hungry(self, epoch):
        if epoch == 3:
            raise error
        return run_epoch(self, epoch)

    monkeypatch.setattr(experiment.Classification, "run_epoch", hungry)
    with pytest.raises(TrainingError, match="run: not enough memory; a smaller batch"):
        train(SETTINGS, tmp_path / "run")
    assert status(tmp_path / "run") == "failed"
    monkeypatch.undo()
    train(SETTINGS, tmp_path / "run", resume=True)
    assert contents(tmp_path / "run") == contents(whole)


def test_too_little_memory_to_continue_does_not_blame_the_resume_state(tmp_path, monkeypatch):
    """Whose remedy would be to delete the run."""

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(Interrupted):
        train(SETTINGS, tmp_path / "run", should_stop=lambda: True)
    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.SGD, "load_state_dict", full)
        with pytest.raises(TrainingError, match="run: not enough memory"):
            train(SETTINGS, tmp_path / "run", resume=True)
    train(SETTINGS, tmp_path / "run", resume=True)
    assert status(tmp_path / "run") == "finished"


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_the_space_told_is_that_of_the_files(dtype, tmp_path):
    settings = tiny(dtype=dtype, epochs=1, save_epochs=(1,))
    train(settings, tmp_path / "run")
    (size,) = [path.stat().st_size for path in read_run(tmp_path / "run").checkpoints]
    told = checkpoint_bytes(experiment.Classification(settings).sizes(), dtype)
    assert told < size < told + 20_000


def test_the_space_is_told_before_the_start_and_must_be_there(tmp_path, monkeypatch):
    settings, free = tiny(), 10**6
    used = namedtuple("used", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: used(free))
    train(settings, tmp_path / "run")
    sizes = [path.stat().st_size for path in read_run(tmp_path / "run").checkpoints]
    told = checkpoint_bytes(experiment.Classification(settings).sizes(), settings.dtype)
    assert all(told < size < told + 20_000 for size in sizes)
    free = 3 * told - 1
    with pytest.raises(TrainingError, match=r"3 checkpoints of 173 kB do not fit: 5"):
        train(settings, tmp_path / "other")
    monkeypatch.setattr(experiment, "TOLD_BYTES", told)
    free, events = 10**12, []
    train(settings, tmp_path / "other", overwrite=True, on_event=events.append)
    assert "3 checkpoints of 173 kB" in events[0].warning
    assert "1e+03 GB are free" in events[0].warning or "1 TB are free" in events[0].warning


def test_fewer_features_than_a_simplex_needs_are_told(tmp_path):
    events = []
    train(tiny(width=4), tmp_path / "run", on_event=events.append)
    (warning,) = [event.warning for event in events if event.warning]
    assert "d = 4 features are fewer than K - 1 = 9" in warning


def test_a_bug_is_recorded_as_a_failure_and_raised(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment.collapse, "analyze", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(SETTINGS, tmp_path / "run")
    assert status(tmp_path / "run") == "failed"


def full_disk(*_arguments, **_options):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_checkpoint_that_cannot_be_saved_costs_only_itself(whole, tmp_path, monkeypatch):
    write = hdf5.write_checkpoint

    def full_at_three(path, **parts):
        full_disk() if path.name == "epoch-00003.h5" else write(path, **parts)

    monkeypatch.setattr(experiment.hdf5, "write_checkpoint", full_at_three)
    told = []
    with pytest.raises(TrainingError, match=r"run: finished, but could not save the checkpoint of"):
        train(SETTINGS, tmp_path / "run", on_event=told.append)
    warnings = [one.warning for one in told if one.warning]
    assert warnings == [
        f"{tmp_path / 'run'}: could not save the checkpoint of epoch 3 "
        "(No space left on device); training goes on"
    ]
    found = read_run(tmp_path / "run").record
    assert found["status"] == "finished"
    assert "could not save the checkpoint of epoch 3" in found["message"]
    assert contents(tmp_path / "run")["log"] == contents(whole)["log"]


def test_a_last_checkpoint_that_did_not_fit_is_written_when_the_run_is_continued(
    whole, tmp_path, monkeypatch
):
    write = hdf5.write_checkpoint

    def full_at_four(path, **parts):
        full_disk() if path.name == "epoch-00004.h5" else write(path, **parts)

    monkeypatch.setattr(experiment.hdf5, "write_checkpoint", full_at_four)
    with pytest.raises(TrainingError, match="make room; continuing the run then writes its last"):
        train(SETTINGS, tmp_path / "run")
    monkeypatch.undo()
    train(SETTINGS, tmp_path / "run", resume=True)
    assert contents(tmp_path / "run") == contents(whole)
    assert read_run(tmp_path / "run").record["message"] is None


def test_checkpoints_that_were_deleted_from_a_finished_run_are_not_made_again(tmp_path):
    train(SETTINGS, tmp_path / "run")
    checkpoint_path(tmp_path / "run", 3).unlink()
    (tmp_path / "run" / "resume.pt").unlink()
    checkpoint_path(tmp_path / "run", 4).unlink()
    assert train(SETTINGS, tmp_path / "run", resume=True) is Standing.FINISHED
    assert [path.name for path in read_run(tmp_path / "run").checkpoints] == ["epoch-00001.h5"]


def test_the_end_tells_of_a_checkpoint_that_was_lost_before_a_resume(tmp_path):
    interrupt(SETTINGS, tmp_path / "run", after=2)
    checkpoint_path(tmp_path / "run", 1).unlink()
    with pytest.raises(TrainingError, match=r"epoch 1; starting it again writes what is lost"):
        train(SETTINGS, tmp_path / "run", resume=True)
    assert read_run(tmp_path / "run").record["message"] == (
        "could not save the checkpoint of epoch 1"
    )


def test_log_lines_that_do_not_fit_are_written_when_there_is_space_again(
    whole, tmp_path, monkeypatch
):
    opened, calls = pathlib.Path.open, iter(range(1000))

    def sometimes_full(self, mode="r", *arguments, **options):
        if mode == "r+b" and next(calls) in (0, 1):  # the first two lines
            full_disk()
        return opened(self, mode, *arguments, **options)

    monkeypatch.setattr(pathlib.Path, "open", sometimes_full)
    told = []
    train(SETTINGS, tmp_path / "run", on_event=told.append)
    warnings = [one.warning for one in told if one.warning]
    assert [text.split(": ")[1].split(" (")[0] for text in warnings] == [
        *("could not save the log", "could not save the resume state"),
    ]
    assert contents(tmp_path / "run") == contents(whole)
    assert read_run(tmp_path / "run").record["message"] is None


@pytest.mark.parametrize(
    ("command", "resume", "again"),
    [
        ("nccli train --overwrite", False, "nccli train --resume"),
        ("nccli sweep --seeds 0-2", True, "nccli sweep --seeds 0-2"),
    ],
)
def test_a_directory_that_cannot_be_written_is_one_line(command, resume, again, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match=r"cannot write the run directory .*; check") as caught:
        train(SETTINGS, tmp_path / "file" / "run", command=command, resume=resume)
    assert caught.value.remedy == f"check space and permissions, then continue with: {again}"


def test_two_processes_never_write_one_run(tmp_path):
    with (
        sole_writer(tmp_path / "run"),
        pytest.raises(TrainingError, match="run: another process is training this run; wait"),
    ):
        train(SETTINGS, tmp_path / "run")
    train(SETTINGS, tmp_path / "run")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"status": "running"}', "holds no settings to resume with"),
        ("[]", "must hold a JSON object"),
        ('{"sta', "cannot be read as JSON .*"),
    ],
)
def test_a_run_json_that_is_damaged_cannot_be_resumed(text, problem, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(text)
    with pytest.raises(FormatError, match=rf"run.json: {problem}; {DELETE}"):
        train(SETTINGS, tmp_path / "run", resume=True)


def test_asking_for_an_absent_gpu_is_a_usage_error(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="finds no CUDA device; choose --device cpu"):
        train(SETTINGS, tmp_path / "run", place=Place(device="cuda"))
    assert not (tmp_path / "run").exists()


def test_auto_keeps_the_ufm_on_the_cpu():
    assert experiment.choose_device(Place(), Settings(data="ufm")) == "cpu"


def test_published_files_are_readable_by_the_group(whole):
    umask = os.umask(0)
    os.umask(umask)
    for name in ("run.json", "resume.pt", "log.jsonl", "checkpoints/epoch-00001.h5"):
        assert (whole / name).stat().st_mode & 0o777 == 0o666 & ~umask


def test_labels_are_the_shipped_ones(whole):
    labels = arrays(checkpoint_path(whole, 1))["train/labels"]
    assert np.bincount(labels).tolist() == [99, 101, 98, 102, 101, 101, 101, 100, 97, 100]
