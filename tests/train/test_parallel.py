"""Many runs: the same side by side as one by one, one failure stops no other, Ctrl-C stops all."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import threading
import weakref
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from tiny import contents, start, tiny, train, wait_for

from nccli.errors import Interrupted, UsageError
from nccli.runs import checkpoint_path, read_run
from train import experiment, graphs, parallel, pool, space
from train import place as place_of_runs
from train.config import Settings
from train.loop import Classification
from train.parallel import default_jobs, run_all
from train.place import Place
from train.snapshot import checkpoint_bytes
from train.task import Task

LS = {"loss": "label-smoothing", "label_smoothing": 0.1}


def status(path):
    return read_run(path).status


def test_runs_are_done_in_order_each_in_its_own_directory(tmp_path):
    told = []
    outcomes = run_all([tiny(), tiny(**LS)], tmp_path, on_event=told.append)
    names = ["digits-mlp-ce-s0", "digits-mlp-ls0.1-s0"]
    assert [outcome.path for outcome in outcomes] == [tmp_path / name for name in names]
    assert [outcome.ending for outcome in outcomes] == ["finished", "finished"]
    assert [(event.run, event.epoch, event.epochs) for event in told] == [
        (name, epoch, 4) for name in names for epoch in (1, 2, 3, 4)
    ]


def test_a_run_that_fails_does_not_stop_the_others(tmp_path):
    outcomes = run_all([tiny(learning_rate=1e30), tiny(seed=1)], tmp_path)
    assert [outcome.ending for outcome in outcomes] == ["failed", "finished"]
    assert "lower the learning rate" in outcomes[0].message


def test_with_resume_finished_runs_are_skipped_and_the_others_done(tmp_path):
    run_all([tiny()], tmp_path)
    outcomes = run_all([tiny(), tiny(seed=1)], tmp_path, resume=True)
    assert [(outcome.ending, outcome.message) for outcome in outcomes] == [
        ("skipped", "finished already"),
        ("finished", None),
    ]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_whose_run_json_is_damaged_fails_alone(tmp_path, jobs):
    (tmp_path / tiny().name).mkdir()
    (tmp_path / tiny().name / "run.json").write_text("{")
    heard = []
    settings = [tiny(), tiny(seed=1), tiny(seed=2)]
    outcomes = run_all(settings, tmp_path, resume=True, jobs=jobs, on_outcome=heard.append)
    assert [outcome.ending for outcome in outcomes] == ["failed", "finished", "finished"]
    assert f"{tiny().name}/run.json: " in outcomes[0].message
    assert "delete the run's directory" in outcomes[0].message
    assert sorted(outcome.path for outcome in heard) == sorted(one.path for one in outcomes)
    assert (tmp_path / tiny().name / "run.json").read_text() == "{"


@pytest.mark.parametrize("jobs", [1, 2])
def test_runs_that_do_not_fit_on_the_disk_together_are_warned_of_once(tmp_path, monkeypatch, jobs):
    told = checkpoint_bytes(Classification(tiny()).sizes(), tiny().dtype) * len(tiny().save_epochs)
    settings = [tiny(seed=seed) for seed in range(3)]
    used = namedtuple("used", "free")
    for factor in (2.9, 3.1):
        free = round(factor * told)
        monkeypatch.setattr(space.shutil, "disk_usage", lambda _, free=free: used(free))
        events = []
        out = tmp_path / str(factor)
        out.mkdir()
        outcomes = run_all(settings, out, jobs=jobs, on_event=events.append)
        assert {outcome.ending for outcome in outcomes} == {"finished"}
        warnings = [event.warning for event in events if event.warning]
        if factor > 3:
            assert warnings == []
        else:
            (warning,) = warnings
            assert warning.startswith(f"{out}: the 3 runs will write about 1.56 MB, 1.51 MB are")


def test_nothing_starts_where_one_of_the_runs_exists_already(tmp_path):
    run_all([tiny(seed=1)], tmp_path)
    with pytest.raises(UsageError, match="digits-mlp-ce-s1: this run exists already"):
        run_all([tiny(), tiny(seed=1)], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["digits-mlp-ce-s1"]


def test_two_runs_of_one_name_are_refused(tmp_path):
    with pytest.raises(UsageError, match="two runs would be called 'digits-mlp-ce-s0'; name each"):
        run_all([tiny(), tiny(width=16)], tmp_path)


def test_runs_in_threads_of_one_process_have_the_same_bits_as_one_by_one(tmp_path, monkeypatch):
    """As runs that share a GPU are done; nothing that is drawn or counted is shared by them."""
    monkeypatch.setattr(parallel, "_share_a_gpu", lambda _: True)
    runs = [tiny(seed=seed, dropout=0.3, norm="group") for seed in range(3)]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        outcomes = run_all(runs, tmp_path / "threads", jobs=3)
    finally:
        torch.set_num_threads(before)
    assert [outcome.ending for outcome in outcomes] == ["finished"] * 3
    run_all(runs, tmp_path / "one")
    for one in runs:
        assert contents(tmp_path / "threads" / one.name) == contents(tmp_path / "one" / one.name)


def test_a_bug_in_one_of_the_threads_lets_the_others_save(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "_share_a_gpu", lambda _: True)
    analyze = experiment.collapse.analyze

    def buggy(checkpoint, **options):
        if checkpoint.metadata.seed == 1:
            raise ZeroDivisionError
        return analyze(checkpoint, **options)

    monkeypatch.setattr(experiment.collapse, "analyze", buggy)
    runs = [tiny(epochs=10**6, save_epochs=(1,)), *(tiny(seed=seed) for seed in (1, 2, 3))]
    with pytest.raises(ZeroDivisionError):
        run_all(runs, tmp_path, jobs=2)
    assert status(tmp_path / "digits-mlp-ce-s0") == "interrupted"
    assert not (tmp_path / "digits-mlp-ce-s3").exists()


def test_processes_that_train_together_do_one_run_after_the_other(tmp_path, monkeypatch):
    """In threads or a pool they would meet in different runs, and wait for each other for ever."""
    monkeypatch.setattr(parallel, "started_by_torchrun", lambda: True)
    monkeypatch.setattr(parallel, "_share_a_gpu", lambda _: True)
    threads = set()
    run_all(
        [tiny(), tiny(seed=1)],
        tmp_path,
        jobs=2,
        on_event=lambda _: threads.add(threading.current_thread()),
    )
    assert threads == {threading.main_thread()}


def test_a_run_that_has_ended_leaves_no_trainer_in_memory(tmp_path, monkeypatch):
    made = []

    class Watched(Classification):
        def __init__(self, *arguments, **options):
            assert [one for one in made if one() is not None] == []
            super().__init__(*arguments, **options)
            made.append(weakref.ref(self.network))

    monkeypatch.setattr(experiment, "Classification", Watched)
    gc.disable()  # on a GPU it does not come in time by itself
    try:
        outcomes = run_all([tiny(), tiny(learning_rate=1e30, seed=1), tiny(seed=2)], tmp_path)
    finally:
        gc.enable()
    assert [outcome.ending for outcome in outcomes] == ["finished", "failed", "finished"]
    assert len(made) == 3


def test_each_thread_keeps_its_own_streams(monkeypatch):
    """PyTorch hands out 32 in turn: new ones for each run would be those of a run going on."""
    monkeypatch.setattr(torch.cuda, "Stream", lambda: object())

    def streams(_):
        barrier.wait(60)
        return [graphs.stream_of_thread(use) for use in ("work", "graph") * 5]

    barrier = threading.Barrier(graphs.MOST_THREADS)
    with ThreadPoolExecutor(graphs.MOST_THREADS) as threads:
        found = list(threads.map(streams, range(graphs.MOST_THREADS)))
    assert len({id(stream) for one in found for stream in one}) == 32


@pytest.mark.parametrize(
    ("changes", "place", "visible", "shared"),
    [
        ({}, {}, "0", True),
        ({}, {}, "0,1", False),  # a process on each
        ({}, {"cuda_graph": False}, "0", False),
        ({}, {"device": "cpu"}, "0", False),
        ({"data": "ufm"}, {}, "0", False),
        ({"data": "imagenet", "model": "torchvision:resnet50"}, {}, "0", False),
    ],
)
def test_runs_share_a_gpu_that_replays_their_graphs(monkeypatch, changes, place, visible, shared):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    task = Task(
        settings=Settings(**changes),
        path=Path("run"),
        resume=False,
        overwrite=False,
        place=Place(**{"device": "cuda"} | place),
        command="nccli train",
    )
    assert parallel._share_a_gpu([task, task]) is shared


@pytest.mark.parametrize(
    ("visible", "names"),
    [("", []), ("-1", []), ("0,-1,1", ["0"]), ("MIG-7d, 3", ["MIG-7d", "3"]), ("NoDevFiles", [])],
)
def test_a_hidden_gpu_is_not_counted_on(tmp_path, monkeypatch, visible, names):
    """Else runs would be set up for a GPU, in bfloat16, and trained on the CPU."""
    monkeypatch.setattr(place_of_runs, "NVIDIA", tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert place_of_runs.gpus() == names
    assert Place().wants_gpu is bool(names)
    assert not Place(device="cpu").wants_gpu


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("compiled", [False, True])
def test_runs_share_a_gpu_on_streams_of_their_own(tmp_path, monkeypatch, compiled):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # of several, each would have a process
    runs = [tiny(model="resnet", seed=seed, milestones=(0.5,)) for seed in range(3)]
    place = Place(device="cuda", compiled=compiled)
    outcomes = run_all(runs, tmp_path / "together", jobs=3, per_gpu=3, place=place)
    assert [outcome.ending for outcome in outcomes] == ["finished"] * 3
    run_all(runs[:1], tmp_path / "alone", place=place)
    name = f"{runs[0].name}/log.jsonl"
    lines = [(tmp_path / way / name).read_text().splitlines() for way in ("together", "alone")]
    first, again = (json.loads(some[0])["train_loss"] for some in lines)
    assert first == pytest.approx(again, rel=1e-2)


def test_ctrl_c_stops_runs_in_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "_share_a_gpu", lambda _: True)
    runs = [tiny(seed=seed, epochs=10_000, save_epochs=(1, 10_000)) for seed in range(3)]

    def interrupt(event):
        if event.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)
            monkeypatch.setattr(os, "kill", lambda *_: None)  # once

    with pytest.raises(Interrupted, match="0 of 3 runs finished"):
        run_all(runs, tmp_path, jobs=2, on_event=interrupt)
    found = [status(tmp_path / one.name) for one in runs if (tmp_path / one.name).exists()]
    assert set(found) == {"interrupted"}


def test_there_must_be_a_job(tmp_path):
    with pytest.raises(UsageError, match="at least 1 job, got 0"):
        run_all([tiny()], tmp_path, jobs=0)


def test_ctrl_c_stops_the_run_and_those_that_wait(tmp_path):
    def interrupt(event):
        if event.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="0 of 2 runs finished; continue with: nccli train --re"):
        run_all([tiny(), tiny(seed=1)], tmp_path, on_event=interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    assert status(tmp_path / "digits-mlp-ce-s0") == "interrupted"
    assert not (tmp_path / "digits-mlp-ce-s1").exists()


def test_by_default_there_is_a_job_for_each_core_but_one_on_a_gpu(monkeypatch):
    monkeypatch.setattr(parallel.os, "sched_getaffinity", lambda _: range(4), raising=False)
    assert [default_jobs(runs, place=Place(device="cpu")) for runs in (1, 3, 9)] == [1, 3, 4]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert default_jobs(9, place=Place(device="cuda")) == 1


# --- a pool -------------------------------------------------------------------------------------

POOL = """
import sys
from pathlib import Path
from nccli.errors import NccliError
from tiny_settings import tiny
from train.parallel import run_all
epochs, options = int(sys.argv[2]), {}
if epochs > 4:
    options = {"epochs": epochs, "save_epochs": tuple(range(1, epochs + 1, 5))}
settings = [tiny(**options), tiny(seed=1, learning_rate=1e30), tiny(seed=2, **options)]
try:
    told = []
    outcomes = run_all(settings, Path(sys.argv[1]), jobs=2, on_event=told.append)
except NccliError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
print(*[outcome.ending for outcome in outcomes], len(told), "torch" in sys.modules)
"""


def test_side_by_side_gives_the_same_bits_as_one_by_one_and_keeps_torch_out(tmp_path):
    process = start(POOL, tmp_path, 4)
    out, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    assert out.split() == ["finished", "failed", "finished", "8", "False"]
    for seed in (0, 2):
        train(tiny(seed=seed), tmp_path / "alone" / str(seed))
        run = tmp_path / f"digits-mlp-ce-s{seed}"
        assert contents(run) == contents(tmp_path / "alone" / str(seed))
    assert status(tmp_path / "digits-mlp-ce-s1") == "failed"


@pytest.mark.parametrize(
    ("number", "everyone"),
    [(signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, True)],
    ids=["terminal", "parent", "batch system"],
)
def test_ctrl_c_stops_all_workers_cleanly(number, everyone, tmp_path):
    """A terminal sends Ctrl-C to the whole process group, `kill -INT` to the parent alone."""
    process = start(POOL, tmp_path, 5_000)
    for seed in (0, 2):
        wait_for(checkpoint_path(tmp_path / f"digits-mlp-ce-s{seed}", 6), process)
    if everyone:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.splitlines() == [
        "interrupted; 0 of 3 runs finished; continue with: nccli train --resume"
    ]
    for seed in (0, 2):
        assert status(tmp_path / f"digits-mlp-ce-s{seed}") == "interrupted"


def test_workers_do_not_outlive_a_killed_parent(tmp_path):
    process = start(POOL, tmp_path, 5_000)
    wait_for(checkpoint_path(tmp_path / "digits-mlp-ce-s0", 1), process)
    process.kill()
    process.communicate(timeout=120)  # returns when the last holder of the pipes is gone
    assert status(tmp_path / "digits-mlp-ce-s0") == "running"


# --- a pool whose workers are struck ------------------------------------------------------------

STRUCK = """
import multiprocessing, os, signal, sys, time
from pathlib import Path
from tiny_settings import tiny
from train.parallel import run_all
begun, told = set(), []
def strike(event):
    if event.run in begun:
        time.sleep(0.2 * (len(begun) == 1))  # the first one waits for the second
        return
    begun.add(event.run)
    workers = multiprocessing.active_children()
    {strike}
epochs = map(int, sys.argv[2:])
settings = [tiny(epochs=e, save_epochs=(1, e), seed=seed) for seed, e in enumerate(epochs)]
ends = run_all(settings, Path(sys.argv[1]), jobs=2, on_event=strike, on_outcome=told.append,
               resume=True, command="nccli sweep --seeds 0-4")
assert sorted(ends, key=str) == sorted(told, key=str)  # each run is told of once
print(*[end.ending for end in ends])
print(*[end.message for end in ends if end.ending == "failed"], sep="\\n")
"""


EPOCHS = (400, 400, 4, 4)


def struck(strike, out, epochs=EPOCHS):
    """What becomes of runs whose workers are struck when a run begins: endings, and why."""
    process = start(STRUCK.replace("{strike}", strike), out, *epochs)
    told, errors = process.communicate(timeout=200)
    assert (process.returncode, errors) == (0, "")
    first, *messages = told.splitlines()
    return first.split(), messages


ONE_OF_TWO = "if len(begun) == 2: os.kill(workers[0].pid, signal.{signal})"


def test_a_worker_that_is_killed_costs_its_own_run_and_no_other(tmp_path):
    strike = ONE_OF_TWO.format(signal="SIGKILL")
    endings, messages = struck(strike, tmp_path)
    assert sorted(endings) == ["failed", *["finished"] * 3]
    runs = [tiny(epochs=e, save_epochs=(1, e), seed=seed) for seed, e in enumerate(EPOCHS)]
    lost = tmp_path / runs[endings.index("failed")].name
    assert messages == [
        f"{lost}: its process was killed (out of memory?); continue with: nccli sweep --seeds 0-4"
    ]
    assert status(lost) == "running"
    for one in runs:
        history = read_run(tmp_path / one.name).record["provenance"]
        assert "resumed" not in history  # the other worker's run was left in peace
    last = runs[-1]  # which had not started
    train(last, tmp_path / "alone")
    assert contents(tmp_path / last.name) == contents(tmp_path / "alone")
    again = run_all(runs, tmp_path, resume=True)
    assert sorted(outcome.ending for outcome in again) == ["finished", *["skipped"] * 3]


def test_runs_that_kill_their_processes_each_time_are_each_done_once(tmp_path):
    strike = "[worker.kill() for worker in workers]"
    endings, messages = struck(strike, tmp_path, [5_000] * 3)
    assert endings == ["failed"] * 3
    assert all("its process was killed" in message for message in messages)


def test_sigterm_to_a_worker_saves_its_run_and_stops_no_other(tmp_path):
    strike = ONE_OF_TWO.format(signal="SIGTERM")
    endings, messages = struck(strike, tmp_path)
    assert sorted(endings) == ["failed", *["finished"] * 3]
    lost = tmp_path / f"digits-mlp-ce-s{endings.index('failed')}"
    assert status(lost) == "interrupted"
    (message,) = messages
    assert message.startswith(f"{lost}: interrupted after epoch ")
    assert message.endswith(" of 400; continue with: nccli sweep --seeds 0-4")


def test_a_second_ctrl_c_ends_the_workers_at_once(tmp_path):
    twice = "os.kill(os.getpid(), signal.SIGINT); time.sleep(0.1)"
    strike = f"for _ in range(2 * (len(begun) == 2)): {twice}"
    process = start(STRUCK.replace("{strike}", strike), tmp_path, *[1_000_000] * 3)
    _, errors = process.communicate(timeout=120)  # returns when the last worker is gone
    assert process.returncode == -signal.SIGINT
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    assert not (tmp_path / "digits-mlp-ce-s2").exists()


class WhereIsIt:
    """A task that fails, and says to which GPU its worker was given."""

    path = Path("run")

    @property
    def settings(self):
        raise LookupError(os.environ["CUDA_VISIBLE_DEVICES"])


def test_the_worker_after_one_that_was_killed_has_the_same_gpu():
    pids = set()
    with contextlib.closing(pool.Worker("3")) as worker:
        for _ in range(2):  # killed with nothing to do, it costs no run at all
            with pytest.raises(LookupError, match=r"^3\nin a worker process:\nTraceback"):
                worker.do(WhereIsIt(), lambda: False, pytest.fail)
            pids.add(worker._process.pid)
            worker._process.kill()
    assert len(pids) == 2
