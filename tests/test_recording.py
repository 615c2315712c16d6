"""The recorder for other people's training loops, and nccli as a library."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import network

import nccli
from nccli import hdf5
from nccli.errors import ContentError, NccliError, TrainingError, UsageError
from nccli.runs import read_run

ROOT = Path(__file__).resolve().parents[1]


def test_epochs_are_recorded_and_read_back(tmp_path):
    h, y, weight, bias = network(0)
    with nccli.recorder(tmp_path / "run", loss="cross-entropy", label_smoothing=0.0) as record:
        assert read_run(tmp_path / "run").status == "running"
        for epoch in (1, 5):
            place = record(epoch, train=(h + epoch, y), test=(h, y, h @ weight.T), weight=weight,
                           bias=bias)  # fmt: skip
            assert place == tmp_path / "run" / "checkpoints" / f"epoch-{epoch:05}.h5"
    run = read_run(tmp_path / "run")
    assert (run.status, run.record["epochs_done"]) == ("finished", 5)
    assert run.settings == {"loss": "cross-entropy", "label_smoothing": 0.0}
    for epoch, path in zip((1, 5), run.checkpoints, strict=True):
        found = nccli.read_checkpoint(path)
        assert (found.metadata.epoch, found.metadata.loss) == (epoch, "cross-entropy")
        np.testing.assert_array_equal(found.split("train").features.load(), h + epoch)
        assert found.split("test").logits is not None
        assert nccli.check(path, verify=True).ok


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors_are_taken_as_they_are(tmp_path, dtype):
    layer = torch.nn.Linear(8, 5).to(dtype)
    features = torch.randn(20, 8).to(dtype).requires_grad_()
    labels = torch.arange(20) % 5
    with nccli.recorder(tmp_path / "run") as record:
        path = record(1, train=(features, labels), weight=layer.weight, bias=layer.bias)
    found = hdf5.read_checkpoint(path)
    stored = found.split("train").features.load()
    assert stored.dtype == (np.float32 if dtype is torch.bfloat16 else np.dtype(str(dtype)[6:]))
    wide = features.detach() if dtype is torch.float64 else features.detach().float()
    np.testing.assert_array_equal(stored, wide.numpy().astype(stored.dtype))


def test_a_full_disk_is_a_warning_and_training_goes_on(tmp_path, monkeypatch):
    h, y, weight, _ = network(0)

    def full(*_):
        raise OSError(28, "No space left on device")

    with nccli.recorder(tmp_path / "run") as record:
        record(1, train=(h, y), weight=weight)
        with monkeypatch.context() as patched:
            patched.setattr("nccli.publish.os.posix_fallocate", full)
            with pytest.warns(RuntimeWarning, match=r"epoch-00002\.h5 was not saved: .*No space"):
                assert record(2, train=(h, y), weight=weight) is None
        record(3, train=(h, y), weight=weight)
    names = [path.name for path in read_run(tmp_path / "run").checkpoints]
    assert names == ["epoch-00001.h5", "epoch-00003.h5"]


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt(), "interrupted"), (ValueError("loss is nan"), "failed")],
)
def test_how_it_ended_stands_in_the_run(tmp_path, error, status):
    with pytest.raises(type(error)), nccli.recorder(tmp_path / "run"):
        raise error
    run = read_run(tmp_path / "run")
    assert run.status == status
    assert run.record["message"] == (str(error) or "KeyboardInterrupt")


def test_one_writer_and_no_run_overwritten(tmp_path):
    h, y, weight, _ = network(0)
    with nccli.recorder(tmp_path / "run") as record:
        record(1, train=(h, y), weight=weight)
        with (
            pytest.raises(TrainingError, match="another process is training this run"),
            nccli.recorder(tmp_path / "run"),
        ):
            pass
    with (
        pytest.raises(UsageError, match="has checkpoints already; append=True"),
        nccli.recorder(tmp_path / "run"),
    ):
        pass
    with nccli.recorder(tmp_path / "run", append=True) as record:
        record(2, train=(h, y), weight=weight)
    assert len(read_run(tmp_path / "run").checkpoints) == 2


def test_what_does_not_fit_is_told(tmp_path):
    h, y, weight, _ = network(0)
    with nccli.recorder(tmp_path / "run") as record, pytest.raises(ContentError, match="shape"):
        record(1, train=(h, y[:-1]), weight=weight)
    with (
        pytest.raises(UsageError, match="unexpected keyword"),
        nccli.recorder(tmp_path / "b", los=1),
    ):
        pass
    with (
        pytest.raises(ContentError, match="label_smoothing must be"),
        nccli.recorder(tmp_path / "c", label_smoothing=2),
    ):
        pass


def test_the_example_of_a_pytorch_loop_runs_and_its_runs_can_be_compared(tmp_path):
    script = ROOT / "docs" / "examples" / "pytorch.py"
    subprocess.run([sys.executable, script], cwd=tmp_path, check=True, timeout=120)
    done = subprocess.run(
        [sys.executable, "-m", "nccli", "compare", "my-runs", "--format", "json"],
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert json.loads(done.stdout)


# --- as a library ---------------------------------------------------------------------------------


def test_importing_nccli_costs_nothing():
    code = "import nccli, sys; print([m for m in ('numpy', 'scipy', 'typer') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_name_is_there():
    for name in nccli.__all__:
        assert getattr(nccli, name) is not None
        assert name in dir(nccli)
    assert nccli.collapse.analyze
    assert issubclass(nccli.NccliError, NccliError)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = nccli.nothing
