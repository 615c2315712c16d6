"""The callback of Hugging Face's Trainer: real trainings, compared with passes by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import nccli
from nccli.errors import NccliError, UsageError
from nccli.runs import read_run

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from transformers import Trainer, TrainingArguments  # noqa: E402

from nccli.callbacks.huggingface import Recorder  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]

# of transformers and accelerate about torch, and their advice
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

CHANCE = torch.Generator().manual_seed(0)
Y = torch.arange(36) % 3
X = torch.randn(3, 1, 8, 8, generator=CHANCE)[Y] + torch.randn(36, 1, 8, 8, generator=CHANCE)
SAMPLES = [{"pixel_values": x, "label": int(y), "weight": 1.0} for x, y in zip(X, Y, strict=True)]
TRAIN, TEST = SAMPLES[:24], SAMPLES[24:]


class Classifier(nn.Module):
    """Somebody's own, that cannot do without labels."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Dropout(0.5))
        self.fc = nn.Linear(8, 3)
        self.scale = scale

    def forward(self, pixel_values, labels):
        logits = self.fc(self.body(pixel_values))
        logits = logits if self.scale == 1 else self.scale * logits
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def resnet():
    config = transformers.ResNetConfig(
        num_channels=1, embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic",
        num_labels=3,
    )  # fmt: skip
    return transformers.ResNetForImageClassification(config)


def vit():
    config = transformers.ViTConfig(
        image_size=8, patch_size=4, num_channels=1, hidden_size=8, intermediate_size=8,
        num_hidden_layers=1, num_attention_heads=2, num_labels=3,
    )  # fmt: skip
    return transformers.ViTForImageClassification(config)


@pytest.fixture(autouse=True)
def quiet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def fit(*callbacks, make=Classifier, **options):
    torch.manual_seed(1)
    model = make()
    words = {"num_train_epochs": 5, "save_strategy": "no", "optim": "sgd", "learning_rate": 0.1}
    arguments = TrainingArguments(
        "out", **(words | options), per_device_train_batch_size=6, use_cpu=True, disable_tqdm=True,
        report_to="none", seed=3, weight_decay=5e-4,
    )  # fmt: skip
    Trainer(
        model, arguments, train_dataset=TRAIN, eval_dataset=TEST, callbacks=list(callbacks)
    ).train()
    return model


def epochs():
    return [int(path.stem[-5:]) for path in read_run(Path("run")).checkpoints]


def by_hand(model, images):
    """What goes into the classifier, by the model's own parts."""
    with torch.no_grad():
        if isinstance(model, Classifier):
            return model.body(images)
        if isinstance(model, transformers.ViTForImageClassification):
            return model.vit(images).last_hidden_state[:, 0]
        return model.resnet(images).pooler_output.flatten(1)


@pytest.mark.parametrize("make", [Classifier, resnet, vit])
def test_what_is_recorded_is_a_pass_by_hand_and_the_last_epoch_is_there(make):
    model = fit(Recorder("run", train=TRAIN, test=TEST, every=2, batch_size=10), make=make)
    assert epochs() == [2, 4, 5]
    assert model.training
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in model.modules())
    found = nccli.read_checkpoint(read_run(Path("run")).checkpoints[-1])
    model.eval()
    for split, rows in (("train", slice(24)), ("test", slice(24, None))):
        stored = found.split(split)
        expected = by_hand(model, X[rows])
        np.testing.assert_allclose(stored.features.load(), expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(stored.labels.load(), Y[rows])
    layer = [one for one in model.modules() if isinstance(one, nn.Linear)][-1]
    weight, bias = found.classifier.arrays()
    np.testing.assert_array_equal(weight, layer.weight.detach())
    np.testing.assert_array_equal(bias, layer.bias.detach())
    said = found.metadata
    assert (said.epoch, said.seed, said.weight_decay) == (5, 3, 5e-4)
    assert (said.loss, said.label_smoothing) == ("cross-entropy", 0.0)
    assert said.architecture == type(model).__name__
    run = read_run(Path("run"))
    assert (run.status, run.record["epochs_done"]) == ("finished", 5)
    assert all(nccli.check(path, verify=True).ok for path in run.checkpoints)


def test_label_smoothing_and_what_the_user_says():
    fit(Recorder("run", train=TRAIN, dataset="noise", seed=9), make=resnet, num_train_epochs=1,
        label_smoothing_factor=0.1, optim="adamw_torch")  # fmt: skip
    said = nccli.read_checkpoint(read_run(Path("run")).checkpoints[-1]).metadata
    assert (said.loss, said.label_smoothing) == ("label-smoothing", 0.1)
    assert (said.dataset, said.seed, said.weight_decay) == ("noise", 9, None)  # AdamW's is none


def test_a_recorded_training_goes_the_very_way_of_one_that_is_not():
    plain = fit().state_dict()
    recorded = fit(Recorder("run", train=TRAIN, epochs=[1, 3]))
    assert epochs() == [1, 3, 5]
    for name, one in recorded.state_dict().items():
        assert torch.equal(one, plain[name]), name


def test_an_epoch_that_max_steps_cuts_short_is_recorded_as_a_whole():
    fit(Recorder("run", train=TRAIN, every=100), max_steps=6)
    assert epochs() == [2]


class Stop(transformers.TrainerCallback):
    """Early stopping."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_evaluate(self, args, state, control, **_):  # noqa: ARG002
        control.should_training_stop = state.epoch >= self.epoch


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_early_stopping_before_and_behind_the_recorder(best, first):
    recorder = Recorder("run", train=TRAIN, every=100)
    callbacks = [recorder, Stop(3)] if first else [Stop(3), recorder]
    fit(*callbacks, make=resnet, eval_strategy="epoch", save_strategy="epoch" if best else "no",
        load_best_model_at_end=best)  # fmt: skip
    assert epochs() == [3]


def test_stopping_in_the_middle_of_an_epoch_records_its_end():
    fit(Stop(2.5), Recorder("run", train=TRAIN, every=100), eval_strategy="steps", eval_steps=1)
    assert epochs() == [3]


def test_a_last_epoch_that_the_best_model_has_replaced_is_told():
    recorder = Recorder("run", train=TRAIN, epochs=[1])
    words = {"model": resnet(), "optimizer": torch.optim.SGD([torch.zeros(1)])}
    state = SimpleNamespace(is_world_process_zero=True, epoch=1.0)
    control = SimpleNamespace(should_training_stop=False)
    arguments = TrainingArguments("out", use_cpu=True, report_to="none")
    recorder.on_train_begin(arguments, state, control, **words)
    recorder.on_epoch_end(arguments, state, control, **words)
    state.epoch = 2.0
    recorder.on_epoch_end(arguments, state, control, **words)
    arguments.load_best_model_at_end = True
    with pytest.warns(RuntimeWarning, match="epoch 2, the last, is not recorded"):
        recorder.on_train_end(arguments, state, control, **words)
    assert (epochs(), read_run(Path("run")).status) == ([1], "finished")


@pytest.mark.parametrize(
    ("recorder", "make", "message"),
    [
        ({}, lambda: Classifier(scale=2.0), "gives the network's output as it is; give layer="),
        ({"layer": "head"}, resnet, r"no linear layer is called 'head'; it has: classifier\.1"),
        ({"test": [{"pixel_values": X[0]}]}, resnet, "test: a batch has no labels; it has: pixel"),
    ],
)
def test_what_cannot_be_recorded_is_told_before_training(recorder, make, message):
    with pytest.raises(NccliError, match=message):
        fit(Recorder("run", **({"train": TRAIN} | recorder)), make=make)
    assert not Path("run").exists()


class Break(transformers.TrainerCallback):
    def on_step_end(self, args, state, control, **_):  # noqa: ARG002
        if state.epoch > 2:
            raise ValueError("loss is nan")


def test_a_training_that_raises_is_closed_by_the_next_or_by_hand():
    recorder = Recorder("run", train=TRAIN)
    for _ in range(2):
        with pytest.raises((ValueError, UsageError), match=r"nan|has checkpoints already"):
            fit(recorder, Break())
    run = read_run(Path("run"))
    assert (run.status, run.record["message"]) == (
        "failed", "it did not come to its end before another training began",
    )  # fmt: skip
    recorder = Recorder("run", train=TRAIN, append=True)
    with pytest.raises(ValueError, match="nan"):
        fit(recorder, Break())
    recorder.close(KeyboardInterrupt())
    assert read_run(Path("run")).status == "interrupted"


BROKEN = """
from test_huggingface_callback import Break, Recorder, TRAIN, fit

fit(Recorder("run", train=TRAIN), Break())
"""


def test_a_process_that_ends_by_an_error_leaves_a_failed_run(tmp_path):
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n{BROKEN}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True,
                          text=True, timeout=240)  # fmt: skip
    assert "ValueError: loss is nan" in done.stderr
    run = read_run(Path("run"))
    assert (run.status, run.record["message"]) == ("failed", "loss is nan")
    assert epochs() == [1, 2]


def test_sharded_models_are_refused_and_other_processes_write_nothing():
    recorder = Recorder("run", train=TRAIN)
    state = SimpleNamespace(is_world_process_zero=False, epoch=1.0)
    control = SimpleNamespace(should_training_stop=True)
    plain = SimpleNamespace(fsdp=[], deepspeed=None, load_best_model_at_end=False)
    for sharded in ({"fsdp": ["full_shard"]}, {"deepspeed": "config.json"}):
        with pytest.raises(UsageError, match="sharded over processes cannot be recorded"):
            recorder.on_train_begin(SimpleNamespace(**(vars(plain) | sharded)), state, control)
    for event in ("train_begin", "epoch_end", "evaluate", "save", "train_end"):
        getattr(recorder, f"on_{event}")(plain, state, control, model=None, optimizer=None)
    assert not Path("run").exists()


def test_the_example_runs_and_its_runs_can_be_compared(tmp_path):
    script = ROOT / "docs" / "examples" / "huggingface_trainer.py"
    subprocess.run([sys.executable, script], cwd=tmp_path, check=True, timeout=240)
    done = subprocess.run(
        [sys.executable, "-m", "nccli", "compare", "my-runs", "--format", "json"],
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert json.loads(done.stdout)
