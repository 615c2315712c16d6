"""One network on several processes, as torchrun starts them: the steps of one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from tiny import ROOT, arrays, tiny, train, wait_for

from nccli.runs import checkpoint_path, read_log, read_run

WORDS = ["--width", "32", "--depth", "2", "--epochs", "4", "--batch-size", "250", "--norm", "group"]
WORDS += ["--save-epochs", "1,3,4", "--device", "cpu"]
SETTINGS = tiny(norm="group", width=32)


def torchrun(out, *words):
    """Start two processes on one run."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [
            sys.executable,
            *launcher,
            "-m",
            "nccli",
            "train",
            "--loss",
            "ce",
            *WORDS,
            "--out",
            str(out),
            *words,
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    path = tmp_path_factory.mktemp("alone") / "run"
    train(SETTINGS, path)
    return path


def same(run, alone):
    """Losses and features of one process with the whole batch, within rounding; and it learns."""
    ours, theirs = read_log(run), read_log(alone)
    assert [line["epoch"] for line in ours] == [line["epoch"] for line in theirs]
    for line, other in zip(ours, theirs, strict=True):
        assert line["train_loss"] == pytest.approx(other["train_loss"], rel=1e-5)
        assert line["train_accuracy"] == pytest.approx(other["train_accuracy"], abs=2e-3)
    found, expected = (arrays(checkpoint_path(path, 4)) for path in (run, alone))
    np.testing.assert_allclose(found["weight"], expected["weight"], rtol=1e-3, atol=1e-4)
    for name in ("train/features", "test/features"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-3, atol=1e-3)
        assert found[name].std(axis=0).mean() > 0.1  # the features tell the images apart
    assert ours[-1]["train_loss"] < 0.8 * ours[0]["train_loss"]


def test_two_processes_train_as_one_with_the_double_batch(alone, tmp_path):
    process = torchrun(tmp_path)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert out == f"{tmp_path / 'digits-mlp-ce-s0'}\n"
    assert error.count("finished") == 1
    same(tmp_path / "digits-mlp-ce-s0", alone)
    again = torchrun(tmp_path, "--resume")
    assert "finished already" in again.communicate(timeout=120)[1]


def test_many_runs_of_two_processes_come_to_their_end(tmp_path):
    """Joined anew for every run, the two now and then waited for each other for ever."""
    words = ["--loss", "ce,ls", "--seeds", "0-3", "--epochs", "1", "--save-epochs", "1"]
    process = torchrun(tmp_path, *words)
    out, error = process.communicate(timeout=240)
    assert process.returncode == 0, error
    assert len(out.splitlines()) == 8


def test_a_run_of_two_that_was_killed_goes_on(alone, tmp_path):
    run = tmp_path / "digits-mlp-ce-s0"
    process = torchrun(tmp_path)
    wait_for(run / "resume.pt", process, seconds=120)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    process = torchrun(tmp_path, "--resume")
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert read_run(run).status == "finished"
    same(run, alone)


def test_what_cannot_be_trained_together_is_one_line_each(tmp_path):
    process = torchrun(tmp_path, "--batch-size", "251")
    _, error = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "a batch of 251 cannot be shared out among 2 processes" in error
