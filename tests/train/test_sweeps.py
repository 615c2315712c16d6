"""Sweeps: which runs they make, that finished ones stay, and that a killed worker loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import typer
from tiny import contents, start, train, wait_for
from tiny_settings import tiny

from nccli.cli.sweep import sweep
from nccli.errors import FormatError, Interrupted, NotFoundError, UsageError
from nccli.runs import read_log, read_run
from train import parallel
from train.config import Settings
from train.parallel import run_all
from train.place import Place
from train.pool import gpu_slots
from train.presets import PRESETS, make_settings, parse_milestones
from train.sweep import content_hash, expand, parse_setting, read_sweep, sweep_name, varied

app = typer.Typer(rich_markup_mode=None)
app.command()(sweep)
TINY = {"width": 12, "depth": 2, "epochs": 4, "batch_size": 250, "save_epochs": "1,3,4"}


def told(runs, *names):
    return [tuple(getattr(one, name) for name in names) for one in runs]


# --- which runs ---------------------------------------------------------------------------------


def test_lists_make_all_combinations_and_a_smoothing_says_which_loss():
    runs = expand([{"label_smoothing": [0, 0.1], "seed": [0, 1], "dropout": 0.2}])
    assert told(runs, "loss", "label_smoothing", "seed", "dropout") == [
        ("cross-entropy", 0.0, 0, 0.2),
        ("cross-entropy", 0.0, 1, 0.2),
        ("label-smoothing", 0.1, 0, 0.2),
        ("label-smoothing", 0.1, 1, 0.2),
    ]
    assert varied(runs) == ["loss", "label_smoothing", "seed"]


def test_combinations_that_come_to_the_same_run_are_made_once():
    runs = expand([{"loss": ["ce", "ls", "mse"], "label_smoothing": [0, 0.05, 0.1]}])
    assert told(runs, "loss", "label_smoothing") == [
        ("cross-entropy", 0.0),
        ("label-smoothing", 0.05),
        ("label-smoothing", 0.1),
        ("mse", 0.0),
    ]


def test_each_table_stands_over_what_is_above_all_of_them(tmp_path):
    file = tmp_path / "sweep.toml"
    file.write_text(
        'data = "digits"\nseed = [0, 1]\nepochs = 9\n'
        "[[sweep]]\nlabel_smoothing = 0.1\n"
        '[[sweep]]\nmodel = "vit"\nwidth = 16\nepochs = 5\nmilestones = "2,4"\n'
    )
    runs = expand(read_sweep(file))
    assert told(runs, "model", "width", "epochs", "label_smoothing", "seed", "milestones") == [
        ("mlp", 128, 9, 0.1, 0, (0.5, 0.75)),
        ("mlp", 128, 9, 0.1, 1, (0.5, 0.75)),
        ("vit", 16, 5, 0.0, 0, (0.4, 0.8)),
        ("vit", 16, 5, 0.0, 1, (0.4, 0.8)),
    ]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("seed = [0", FormatError, "is not TOML"),
        ("sweep = 3", FormatError, r"sweep must be \[\[sweep\]\] tables"),
        ("sweep = []", FormatError, r"sweep must be \[\[sweep\]\] tables"),
        ("sede = 1", UsageError, "unknown setting 'sede'; did you mean 'seed'"),
        ("seed = 0.5", UsageError, "seed must be a whole number, got 0.5"),
        ('dropout = "0.1"', UsageError, "dropout must be a number, got '0.1'; write it without"),
        ("seed = []", UsageError, "no value for seed"),
        ("save_logits = 1", UsageError, "save_logits must be true or false, got 1"),
        ("milestones = [0.5, 0.7]\ndropout = 2", UsageError, "dropout must lie in"),
        ("label_smoothing = [0, 1.5]", UsageError, r"must lie in \[0, 1\), got 1.5"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path, text, error, message):
    file = tmp_path / "sweep.toml"
    file.write_text(text)
    with pytest.raises(error, match=message):
        expand(read_sweep(file))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("milestones = [0.5, 0.75]\nsave_epochs = [1, 4, 8]", [((0.5, 0.75), (1, 4, 8))]),
        ("milestones = [2, 4]\nsave_epochs = 8", [((0.25, 0.5), (8,))]),
        ("milestones = []\nsave_epochs = [8]", [((), (8,))]),
        (
            'milestones = [[0.5], "0.25,0.75"]\nsave_epochs = "every:4"',
            [((0.5,), (4, 8)), ((0.25, 0.75), (4, 8))],
        ),
    ],
)
def test_settings_that_are_lists_are_one_value_as_run_json_has_them(tmp_path, text, expected):
    file = tmp_path / "sweep.toml"
    file.write_text(f"epochs = 8\n{text}")
    assert told(expand(read_sweep(file)), "milestones", "save_epochs") == expected


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(NotFoundError, match=r"nowhere.toml: cannot be read"):
        read_sweep(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed=0-2", ("seed", [0, 1, 2])),
        ("seed=0-1,7", ("seed", [0, 1, 7])),
        ("weight-decay=1e-3,2e-3", ("weight_decay", [1e-3, 2e-3])),
        ("save_epochs=1,5,10", ("save_epochs", ["1,5,10"])),
        ("save_logits=false", ("save_logits", [False])),
        ("model=mlp,vit", ("model", ["mlp", "vit"])),
    ],
)
def test_words_name_a_setting_and_its_values(text, expected):
    assert parse_setting(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed", "cannot read 'seed'; write name=value"),
        ("sede=1", "unknown setting 'sede'; did you mean 'seed'"),
        ("seed=a", "cannot read seed 'a'; give a whole number"),
        ("dropout=", "cannot read dropout ''; give a number"),
        ("save_logits=maybe", "give true or false"),
    ],
)
def test_words_that_name_none_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        parse_setting(text)


def test_a_runs_name_follows_from_its_settings_alone():
    one, other = Settings(), Settings(width=64)
    assert content_hash(one) == content_hash(Settings(width=128, model="mlp"))
    assert content_hash(one) != content_hash(other)
    assert one.name == other.name
    assert sweep_name(one) == f"digits-mlp-ce-s0-{content_hash(one)[:8]}"
    # what plays no part in a run does not change its name
    assert content_hash(Settings(focal_gamma=3.0)) == content_hash(one)


# --- presets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_the_papers_protocol(preset):
    settings = make_settings(preset=preset)
    assert (settings.epochs, settings.batch_size, settings.learning_rate) == (800, 128, 0.05)
    assert (settings.momentum, settings.weight_decay, settings.gamma) == (0.9, 5e-4, 0.1)
    assert [round(part * settings.epochs) for part in settings.milestones] == [150, 350]
    assert settings.augment == "none"
    assert settings.model == ("resnet50" if preset == "paper-cifar100" else "resnet18")
    assert settings.save_epochs[:4] == (5, 10, 20, 30)
    assert settings.save_epochs[-1] == 800


def test_every_setting_of_a_preset_can_be_given():
    given = {"epochs": 20, "model": "vit", "milestones": "5,10", "save_epochs": "every:5"}
    settings = make_settings(preset="paper-cifar10", learning_rate=0.1, **given)
    assert told([settings], "data", "epochs", "model", "width", "learning_rate") == [
        ("cifar10", 20, "vit", 192, 0.1)
    ]
    assert settings.milestones == (0.25, 0.5)
    assert settings.save_epochs == (5, 10, 15, 20)


def test_precision_auto_is_bfloat16_on_a_gpu_but_for_digits():
    chosen = [
        make_settings(data=data, precision="auto", on_gpu=gpu).precision
        for data in ("cifar10", "digits")
        for gpu in (True, False)
    ]
    assert chosen == ["bfloat16", "float32", "float32", "float32"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", ()),
        ("0.5,0.75", (0.5, 0.75)),
        ("150/800", (0.1875,)),
        ("150,350", (0.1875, 0.4375)),
    ],
)
def test_milestones_are_shares_or_epochs(text, expected):
    assert parse_milestones(text, epochs=800) == expected


# --- doing them ---------------------------------------------------------------------------------


def test_a_sweep_that_was_killed_goes_on_and_repeats_no_finished_run(tmp_path):
    tables = [{**TINY, "seed": [0, 1, 2]}]
    runs = expand(tables)
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom train.parallel import run_all\n"
        "from train.sweep import expand, sweep_name\n"
        f"runs = expand({tables!r})\n"
        "def kill(event):\n"
        "    if event.run == sweep_name(runs[1]) and event.epoch == 2:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "run_all(runs, Path(sys.argv[1]), name=sweep_name, resume=True, on_event=kill)\n"
    )
    process = start(script, tmp_path)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    first, second, third = (tmp_path / sweep_name(one) for one in runs)
    assert read_run(first).status == "finished"
    assert read_run(second).status == "running"
    assert not third.exists()
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()}
    outcomes = run_all(runs, tmp_path, name=sweep_name, resume=True)
    assert [outcome.ending for outcome in outcomes] == ["skipped", "finished", "finished"]
    assert before == {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()}
    train(runs[1], tmp_path / "whole")
    assert contents(second) == contents(tmp_path / "whole")


def test_a_combination_that_cannot_be_trained_fails_alone(tmp_path):
    runs = [tiny(), tiny(model="torchvision:resnet81", width=0, depth=0)]
    heard = []
    outcomes = run_all(runs, tmp_path, on_outcome=heard.append)
    assert [outcome.ending for outcome in outcomes] == ["finished", "failed"]
    assert "no classifier 'resnet81'" in heard[-1].message
    with pytest.raises(UsageError, match="no classifier 'resnet81'"):
        run_all(runs[1:], tmp_path)


@pytest.mark.parametrize(
    ("visible", "jobs", "slots"),
    [
        ("0,1", 4, ["0", "1", "0", "1"]),
        ("0,1", 3, ["0", "1", "0"]),
        ("3", 2, ["3", "3"]),
        ("", 2, [None, None]),
    ],
)
def test_so_many_runs_share_a_gpu(monkeypatch, visible, jobs, slots):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    place = Place(device="cuda")
    assert gpu_slots(place, jobs, per_gpu=2) == slots
    assert parallel.default_jobs(99, place=place, per_gpu=2) == max(1, 2 * len(parallel.gpus()))


# --- on a cluster -------------------------------------------------------------------------------


def long(**changes):
    return tiny(epochs=400, save_epochs=(1, 400), **changes)


def test_a_cluster_trains_the_same_bits_and_the_next_call_skips_them(dask_cluster, tmp_path):
    runs = [tiny(seed=seed) for seed in range(3)]
    address = dask_cluster.scheduler_address
    outcomes = run_all(runs, tmp_path / "far", scheduler=address, resume=True)
    assert [outcome.ending for outcome in outcomes] == ["finished"] * 3
    for one in runs:
        train(one, tmp_path / "near" / one.name)
        assert contents(tmp_path / "far" / one.name) == contents(tmp_path / "near" / one.name)
    again = run_all(runs, tmp_path / "far", scheduler=address, resume=True)
    assert [outcome.ending for outcome in again] == ["skipped"] * 3


def test_runs_of_a_worker_that_is_killed_are_done_by_another(dask_cluster, tmp_path):
    runs = [long(seed=seed) for seed in range(2)]
    folder = tmp_path / "runs"

    def kill_one():
        deadline = time.monotonic() + 60
        while not (folder / runs[0].name / "resume.pt").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        busy = next(one for one in dask_cluster.scheduler.workers.values() if one.processing)
        os.kill(pids[busy.address], signal.SIGKILL)

    distributed = pytest.importorskip("distributed")
    with distributed.Client(dask_cluster, set_as_default=False) as client:
        pids = client.run(os.getpid)
        killer = threading.Thread(target=kill_one)
        killer.start()
        outcomes = run_all(runs, folder, scheduler=dask_cluster.scheduler_address, resume=True)
        killer.join()
        assert client.run(os.getpid) != pids
    assert [outcome.ending for outcome in outcomes] == ["finished"] * 2
    records = [read_run(folder / one.name) for one in runs]
    assert any(record.record["provenance"].get("resumed") for record in records)
    train(runs[0], tmp_path / "whole")
    assert contents(folder / runs[0].name) == contents(tmp_path / "whole")


def test_ctrl_c_lets_the_workers_save(dask_cluster, tmp_path):
    script = (
        "import sys\nfrom pathlib import Path\nfrom tiny_settings import tiny\n"
        "from train.parallel import run_all\n"
        "runs = [tiny(epochs=100_000, save_epochs=(1, 100_000), seed=s) for s in range(2)]\n"
        "run_all(runs, Path(sys.argv[1]), scheduler=sys.argv[2], resume=True)\n"
    )
    process = start(script, tmp_path, dask_cluster.scheduler_address)
    folders = [tmp_path / f"digits-mlp-ce-s{seed}" for seed in range(2)]
    for folder in folders:
        wait_for(folder / "resume.pt", process, seconds=120)
    os.killpg(process.pid, signal.SIGINT)
    error = process.communicate(timeout=120)[1]
    assert Interrupted.__name__ in error
    assert [read_run(folder).status for folder in folders] == ["interrupted"] * 2


# --- the study ----------------------------------------------------------------------------------


def test_the_studys_report_is_made_from_its_runs(tmp_path):
    runs = tmp_path / "study"
    for delta in (0.0, 0.1):
        for seed in (0, 1):
            loss = "label-smoothing" if delta else "cross-entropy"
            settings = tiny(loss=loss, label_smoothing=delta, seed=seed)
            train(settings, runs / "smoothing" / settings.name)
    for name in ("architectures", "shapes", "regularisers"):
        (runs / name).symlink_to(runs / "smoothing")
    script = Path(__file__).resolve().parents[2] / "docs" / "study" / "report.py"
    command = [sys.executable, str(script), str(runs), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "smoothing: 4 runs, 2 settings" in done.stdout
    tables = (tmp_path / "tables.md").read_text()
    rows = [line for line in tables.splitlines() if line.startswith("| 0.1 | 2 |")]
    last = [read_log(runs / "smoothing" / f"digits-mlp-ls0.1-s{s}")[-1]["metrics"] for s in (0, 1)]
    mean = sum(metrics["test"]["accuracy"] for metrics in last) / 2
    assert rows[0].split("|")[3].split()[0] == f"{mean:.3g}"
    assert (tmp_path / "smoothing.svg").read_text().startswith("<?xml")


def nccli_sweep(*words):
    """Run the command in this process; returns its exit code."""
    return typer.main.get_command(app).main(list(words), standalone_mode=False) or 0


def test_a_setting_that_no_run_has_is_refused():
    with pytest.raises(UsageError, match="weight_decay: no setting of ufm with ce; leave it out"):
        nccli_sweep("--data", "ufm", "--weight-decay", "1e-3,1e-2")


def test_the_precision_of_workers_elsewhere_must_be_said():
    """It is part of a run's name, and the machine that submits may have no GPU where they have."""
    with pytest.raises(UsageError, match="give --set precision=bfloat16 for GPUs"):
        nccli_sweep("--data", "shapes", "--scheduler", "tcp://127.0.0.1:1")
