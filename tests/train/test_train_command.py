"""`nccli train`: what it prints where, and its exit codes."""

from __future__ import annotations

import importlib.util

import pytest
import typer
from tiny import contents, tiny, train

from nccli.cli import train as command
from nccli.errors import MissingExtraError, UsageError
from nccli.runs import read_log, read_run

app = typer.Typer(rich_markup_mode=None)
app.command()(command.train)
TINY = ["--width", "12", "--depth", "2", "--epochs", "4", "--batch-size", "250"]
SAVED = ["--save-epochs", "1,3,4"]


def nccli_train(*words):
    """Run the command in this process; returns its exit code."""
    sizes = ["--epochs", "4"] if "ufm" in words else TINY
    words = [*sizes, *map(str, words), "--jobs", "1"]
    return typer.main.get_command(app).main(words, standalone_mode=False) or 0


def test_stdout_holds_the_run_directories_and_stderr_the_talk(tmp_path, capsys):
    assert nccli_train("--out", tmp_path) == 0
    out, err = capsys.readouterr()
    names = ["digits-mlp-ce-s0", "digits-mlp-ls0.05-s0"]
    assert out.splitlines() == [str(tmp_path / name) for name in names]
    assert err.splitlines() == [f"nccli: {tmp_path / name}: finished" for name in names]


def test_the_command_trains_what_the_library_trains(tmp_path):
    nccli_train("--out", tmp_path, "--loss", "ce", "--device", "cpu", *SAVED)
    train(tiny(), tmp_path / "library")
    assert contents(tmp_path / "digits-mlp-ce-s0") == contents(tmp_path / "library")


def test_losses_smoothings_and_seeds_make_a_run_each(tmp_path, capsys):
    words = ["--smoothing", "0.05,0.1", "--seeds", "0-1", "--epochs", "1", "--out", tmp_path]
    assert nccli_train(*words) == 0
    names = [line.rsplit("/", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert names == [
        f"digits-mlp-{loss}-s{seed}" for seed in (0, 1) for loss in ("ce", "ls0.05", "ls0.1")
    ]


def test_every_option_reaches_the_settings(tmp_path):
    words = [
        *("--loss", "ls", "--smoothing", "0.2", "--seeds", "7", "--lr", "0.02"),
        *("--momentum", "0.8", "--weight-decay", "0.001", "--milestones", "0.25"),
        *("--pixel-noise", "0.3", "--save-epochs", "every:2", "--dtype", "float16"),
        *("--no-save-logits", "--device", "cpu", "--out", tmp_path),
    ]
    assert nccli_train(*words) == 0
    expected = tiny(
        loss="label-smoothing",
        label_smoothing=0.2,
        seed=7,
        learning_rate=0.02,
        momentum=0.8,
        weight_decay=0.001,
        milestones=(0.25,),
        pixel_noise=0.3,
        save_epochs=(2, 4),
        dtype="float16",
        save_logits=False,
    )
    assert read_run(tmp_path / expected.name).settings == expected.recorded()


def test_ufm_options_reach_the_settings(tmp_path):
    words = [
        *("--data", "ufm", "--loss", "ce", "--classes", "3", "--per-class", "2", "--dim", "5"),
        *("--lambda-w", "0.01", "--lambda-h", "0.02", "--out", tmp_path),
    ]
    assert nccli_train(*words) == 0
    found = read_run(tmp_path / "ufm-ce-s0").settings
    names = ("num_classes", "per_class", "dim", "lambda_w", "lambda_h")
    assert [found[name] for name in names] == [3, 2, 5, 0.01, 0.02]
    assert "objective" in read_log(tmp_path / "ufm-ce-s0")[0]


def test_a_second_time_needs_resume_which_skips_what_is_finished(tmp_path, capsys):
    nccli_train("--out", tmp_path, "--loss", "ce")
    with pytest.raises(UsageError, match="exists already"):
        nccli_train("--out", tmp_path, "--loss", "ce")
    capsys.readouterr()
    assert nccli_train("--out", tmp_path, "--loss", "ce", "--resume") == 0
    out, err = capsys.readouterr()
    path = tmp_path / "digits-mlp-ce-s0"
    assert (out, err) == (f"{path}\n", f"nccli: {path}: finished already\n")


def test_when_all_runs_fail_the_exit_code_is_3(tmp_path, capsys):
    assert nccli_train("--out", tmp_path, "--lr", "1e30") == 3
    out, err = capsys.readouterr()
    assert out == ""
    path = tmp_path / "digits-mlp-ce-s0"
    remedy = "the loss is not finite in epoch 1; lower the learning rate"
    assert err.splitlines()[0] == f"nccli: {path}: {remedy}"


def test_when_some_runs_fail_the_exit_code_is_4(tmp_path, capsys, monkeypatch):
    from train import experiment
    from train.loop import Classification

    def diverging(settings, *, device, **_):
        trainer = Classification(settings, device=device)
        if settings.label_smoothing:
            trainer.network.classifier.weight.data.fill_(float("nan"))
        return trainer

    monkeypatch.setattr(experiment, "make_trainer", diverging)
    assert nccli_train("--out", tmp_path) == 4
    assert capsys.readouterr().out == f"{tmp_path / 'digits-mlp-ce-s0'}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--loss", "cee"], r"unknown loss 'cee'; did you mean 'ce'\? choose one of: ce, ls"),
        (["--smoothing", "a"], "cannot read the smoothing 'a'; write numbers with commas"),
        (["--milestones", "x"], "cannot read the milestones 'x'"),
        (["--seeds", "2-0"], "cannot read the seeds '2-0'; write 0,1,2 or 0-2"),
        (["--seeds", "a"], "cannot read the seeds 'a'"),
        (["--save-epochs", "5"], "cannot save epoch 5"),
        (["--device", "gpu"], "unknown device 'gpu'.*auto, cpu, cuda"),
        (
            ["--model", "mpl"],
            r"unknown model 'mpl'; did you mean 'mlp'\? choose one of: mlp",
        ),
        (["--preset", "paper"], "unknown preset 'paper'; .*choose one of: paper-cifar10"),
        (["--preset", "paper-cifar10", "--classes", "7"], "cifar10 has 10 classes, got 7"),
        (
            ["--data", "shapes", "--depth", "6", "--batch-size", "60000"],
            "batch size must lie in 2..50,000",
        ),
        (["--model", "resnet18", "--width", "64"], "resnet18 has its own width, got 64"),
        (["--model", "vit", "--norm", "group"], "unknown norm of vit 'group'"),
        (["--dropout", "1"], r"dropout must lie in \[0, 1\), got 1.0"),
        (["--seeds", "0,0"], "two runs would be called"),
    ],
)
def test_words_that_make_no_sense_are_usage_errors_before_anything_starts(words, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        nccli_train(*words, "--out", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_no_milestones_means_a_constant_rate(tmp_path):
    nccli_train("--milestones", "none", "--loss", "ce", "--out", tmp_path)
    lines = read_log(tmp_path / "digits-mlp-ce-s0")
    assert {line["learning_rate"] for line in lines} == {0.1}


def test_the_laptop_experiment_is_cross_entropy_and_smoothing_of_each_seed():
    names = [settings.name for settings in command.digits_settings(seeds="0-1", epochs=3)]
    assert names == [f"digits-mlp-{loss}-s{seed}" for seed in (0, 1) for loss in ("ce", "ls0.05")]


def test_without_torch_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"needs PyTorch; pip install 'nccli\[train\]'"):
        nccli_train("--out", tmp_path)


def test_the_help_keeps_the_examples_on_lines_of_their_own(capsys):
    typer.main.get_command(app).main(["--help"], standalone_mode=False)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "Examples:" in lines
    assert "nccli train --resume" in lines


def test_a_terminal_sees_a_bar_and_a_line_for_each_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command.sys.stderr, "isatty", lambda: True, raising=False)
    assert nccli_train("--out", tmp_path, "--loss", "ce") == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'digits-mlp-ce-s0'}\n"
    assert "finished" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lambda-h", "1e-3", "--loss", "ce"], "--lambda-h: no setting of digits with ce; leave"),
        (["--per-class", "3", "--dim", "9"], "--per-class, --dim: no setting of digits with ce"),
        (["--focal-gamma", "1", "--loss", "ls"], "--focal-gamma: no setting of digits with ls0.05"),
        (["--loss", "ce", "--smoothing", "0.3"], "--smoothing goes with the loss ls"),
        (["--milestones", "150,350"], "milestones 150,350 must lie within the 4 epochs"),
    ],
)
def test_what_no_run_would_heed_is_refused(words, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        nccli_train(*words, "--out", tmp_path)
    assert list(tmp_path.iterdir()) == []
