"""The callback of Lightning: real trainings, whose checkpoints are compared with passes by hand."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import nccli
from nccli.errors import NccliError, UsageError
from nccli.runs import read_run

pl = pytest.importorskip("lightning.pytorch")

from nccli.callbacks.lightning import Recorder  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]

# of Lightning about torch, and its advice on loaders
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

CHANCE = torch.Generator().manual_seed(0)
Y = torch.arange(60) % 3
X = torch.randn(3, 6, generator=CHANCE)[Y] + 0.5 * torch.randn(60, 6, generator=CHANCE)
TRAIN, TEST = TensorDataset(X[:40], Y[:40]), TensorDataset(X[40:], Y[40:])


class Classifier(pl.LightningModule):
    def __init__(self, scale=1.0, stop_at=None, error=None):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5))
        self.fc = nn.Linear(8, 3)
        self.scale, self.stop_at, self.error = scale, stop_at, error

    def forward(self, x):
        logits = self.fc(self.body(x))
        return logits if self.scale == 1 else self.scale * logits

    def training_step(self, batch, _):
        assert self.training
        assert torch.is_grad_enabled()
        if self.current_epoch + 1 == self.stop_at:
            if self.error is not None:
                raise self.error
            self.trainer.should_stop = True
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, weight_decay=5e-4)


class Mute(Classifier):
    forward = nn.Module.forward

    def training_step(self, batch, _):
        return nn.functional.cross_entropy(self.fc(self.body(batch[0])), batch[1])


@pytest.fixture(autouse=True)
def quiet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def fit(*callbacks, module=None, **options):
    torch.manual_seed(1)
    module = module or Classifier()
    trainer = pl.Trainer(
        **({"max_epochs": 5} | options), callbacks=list(callbacks), accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, DataLoader(TRAIN, batch_size=10, shuffle=True))
    return module


def epochs():
    return [int(path.stem[-5:]) for path in read_run(Path("run")).checkpoints]


def test_what_is_recorded_is_a_pass_by_hand_and_the_last_epoch_is_there():
    module = fit(Recorder("run", train=TRAIN, test=DataLoader(TEST, batch_size=7), every=2,
                          label_smoothing=0.0, dataset="blobs", batch_size=16))  # fmt: skip
    assert epochs() == [2, 4, 5]
    assert module.training
    hooks = [one for one in module.modules() if one._forward_hooks or one._forward_pre_hooks]
    assert not hooks
    found = nccli.read_checkpoint(read_run(Path("run")).checkpoints[-1])
    module.eval()
    with torch.no_grad():
        for split, data in (("train", TRAIN), ("test", TEST)):
            inputs, labels = data.tensors
            stored = found.split(split)
            np.testing.assert_allclose(stored.features.load(), module.body(inputs), rtol=1e-6)
            np.testing.assert_array_equal(stored.labels.load(), labels)
        weight, bias = found.classifier.arrays()
        np.testing.assert_array_equal(weight, module.fc.weight)
        np.testing.assert_array_equal(bias, module.fc.bias)
    said = found.metadata
    assert (said.epoch, said.seed, said.weight_decay) == (5, 7, 5e-4)
    assert (said.loss, said.label_smoothing) == ("cross-entropy", 0.0)
    assert (said.dataset, said.architecture) == ("blobs", "Classifier")
    run = read_run(Path("run"))
    assert (run.status, run.record["epochs_done"]) == ("finished", 5)
    assert all(nccli.check(path, verify=True).ok for path in run.checkpoints)


def test_a_recorded_training_goes_the_very_way_of_one_that_is_not():
    plain = fit().state_dict()
    recorded = fit(Recorder("run", train=DataLoader(TRAIN, shuffle=True), epochs=[1, 3]))
    assert epochs() == [1, 3, 5]
    for name, one in recorded.state_dict().items():
        assert torch.equal(one, plain[name]), name


@pytest.mark.parametrize(
    ("options", "last"), [({"max_steps": 6, "max_epochs": -1}, 2), ({"max_epochs": 4}, 4)]
)
def test_the_last_epoch_is_always_recorded(options, last):
    fit(Recorder("run", train=TRAIN, every=100), **options)
    assert epochs() == [last]


def test_an_epoch_that_ends_the_training_early_is_the_last():
    fit(Recorder("run", train=TRAIN, epochs=[1]), module=Classifier(stop_at=3))
    assert epochs() == [1, 3]


@pytest.mark.parametrize(
    ("recorder", "module", "message"),
    [
        ({}, Classifier(scale=2.0), r"gives the network's output as it is; give layer='NAME'; it "
                                    r"has: fc, body\.0"),
        ({"layer": "head"}, Classifier(), r"no linear layer is called 'head'; it has: fc, body\.0"),
        ({"train": TensorDataset(X)}, Classifier(), "train: a batch has no labels"),
        ({"test": [X[0], X[1]]}, Classifier(), "test: a batch has no labels"),
        ({}, Mute(), r"Mute has no forward\(\); define forward"),
        ({"los": 1}, Classifier(), "unexpected keyword"),
    ],
)  # fmt: skip
def test_what_cannot_be_recorded_is_told_before_training(recorder, module, message):
    before = {name: one.clone() for name, one in module.state_dict().items()}
    with pytest.raises(NccliError, match=message):
        fit(Recorder("run", **({"train": TRAIN} | recorder)), module=module)
    assert all(torch.equal(one, before[name]) for name, one in module.state_dict().items())
    assert not Path("run").exists()


def test_a_layer_can_be_named():
    module = fit(Recorder("run", train=TRAIN, layer="fc"), module=Classifier(scale=2.0))
    found = nccli.read_checkpoint(read_run(Path("run")).checkpoints[-1])
    with torch.no_grad():
        features = module.eval().body(TRAIN.tensors[0])
    np.testing.assert_allclose(found.split("train").features.load(), features, rtol=1e-6)


@pytest.mark.parametrize(
    ("error", "raised", "status"),
    [
        (ValueError("loss is nan"), ValueError, "failed"),
        (KeyboardInterrupt(), SystemExit, "interrupted"),
    ],
)
def test_a_training_that_breaks_off_says_so_and_can_go_on(error, raised, status):
    before = signal.getsignal(signal.SIGINT)
    recorder = Recorder("run", train=TRAIN)
    try:
        with pytest.raises(raised):
            fit(recorder, module=Classifier(stop_at=3, error=error))
    finally:
        signal.signal(signal.SIGINT, before)  # Lightning leaves it ignored
    run = read_run(Path("run"))
    assert run.status == status
    assert run.record["message"] == (str(error) or "KeyboardInterrupt")
    with pytest.raises(UsageError, match="has checkpoints already"):
        fit(recorder)
    fit(Recorder("run", train=TRAIN, append=True))
    assert (epochs(), read_run(Path("run")).status) == ([1, 2, 3, 4, 5], "finished")


class Torn(TensorDataset):
    """Can be read a few times only."""

    left = 60

    def __getitem__(self, index):
        self.left -= 1
        if self.left < 0:
            raise OSError("the disk is gone")
        return super().__getitem__(index)


def test_an_error_while_recording_ends_the_training_and_is_told():
    with pytest.raises(OSError, match="the disk is gone"):
        fit(Recorder("run", train=Torn(*TRAIN.tensors), batch_size=10))
    run = read_run(Path("run"))
    assert (run.status, run.record["message"]) == ("failed", "the disk is gone")
    assert epochs() == [1]


def test_a_sharded_model_is_refused_in_every_process():
    strategy = type("FSDPStrategy", (), {})()
    for zero in (True, False):
        trainer = SimpleNamespace(strategy=strategy, is_global_zero=zero)
        with pytest.raises(UsageError, match="sharded over processes cannot be recorded"):
            Recorder("run", train=TRAIN).on_train_start(trainer, Classifier())


TWO = """
import torch
from test_lightning_callback import Classifier, Recorder, TRAIN, fit

if __name__ == "__main__":
    torch.set_num_threads(1)
    fit(Recorder("run", train=TRAIN, every=2), strategy="ddp_spawn", devices=2)
"""


def test_of_two_processes_one_writes(tmp_path):
    (tmp_path / "two.py").write_text(TWO)
    path = f"import sys; sys.path[:0] = [{str(ROOT / 'tests')!r}, '.']; "
    code = path + "import runpy; runpy.run_path('two.py', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True,
                          text=True, timeout=240)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert epochs() == [2, 4, 5]
    assert read_run(Path("run")).status == "finished"
    assert (
        nccli.read_checkpoint("run/checkpoints/epoch-00005.h5").split("train").labels.shape[0] == 40
    )


def test_pytorch_lightning_alone_will_do():
    pytest.importorskip("pytorch_lightning")
    code = (
        "import sys\n"
        "sys.modules['lightning'] = None\n"
        "from nccli.callbacks.lightning import Recorder\n"
        "print(Recorder.__mro__[1].__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("pytorch_lightning.")


def test_the_example_runs_and_its_runs_can_be_compared(tmp_path):
    script = ROOT / "docs" / "examples" / "lightning_trainer.py"
    subprocess.run([sys.executable, script], cwd=tmp_path, check=True, timeout=240)
    done = subprocess.run(
        [sys.executable, "-m", "nccli", "compare", "my-runs", "--format", "json"],
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert json.loads(done.stdout)
