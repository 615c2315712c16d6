"""What the callbacks share: data as batches, the last layer's input, the decay on its weight."""

from __future__ import annotations

import itertools
import multiprocessing
import subprocess
import sys
import time
from collections import namedtuple

import numpy as np
import pytest
import torch
from conftest import network
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import nccli
from nccli.callbacks.batches import call, loader_of, parted
from nccli.callbacks.measuring import decay_of, find_layer, measure, undisturbed
from nccli.callbacks.recording import Schedule
from nccli.errors import UsageError

X, Y = torch.randn(10, 4, generator=torch.Generator().manual_seed(0)), torch.arange(10) % 3
DATA = TensorDataset(X, Y)


def body():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 3))


def test_a_data_set_becomes_batches_in_its_order_and_a_loader_stays():
    loader = DataLoader(DATA, batch_size=2)
    assert loader_of(loader, split="train", batch_size=4) is loader
    batches = list(loader_of(DATA, split="train", batch_size=4))
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    assert torch.equal(torch.cat([inputs for inputs, _ in batches]), X)
    once = {(X, Y)}
    assert loader_of(once, split="train", batch_size=4) is once


@pytest.mark.parametrize("data", [iter([(X, Y)]), 3, {"train": DATA}])
def test_data_that_cannot_be_read_again_are_refused(data):
    with pytest.raises(UsageError, match="test= must be a DataLoader or a data set, got a"):
        loader_of(data, split="test", batch_size=4)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (X, "test: a batch has no labels; it must be .* got a Tensor"),
        ([X], "test: a batch has no labels; it must be .* got a list"),
        ({"pixels": X}, "test: a batch has no labels; it has: pixels"),
        ((X, Y[:, None]), r"test: labels must be \(N,\) integers, got \(10, 1\) int64"),
        ({"labels": Y / 2}, r"test: labels must be \(N,\) integers, got \(10,\) float32"),
    ],
)
def test_batches_without_a_class_a_sample_are_told(batch, message):
    with pytest.raises(UsageError, match=message):
        parted(batch, split="test")


class Words(nn.Module):
    """Says which words it was given."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, pixels, mask=None, **_):
        return pixels, mask


class Needy(Words):
    def forward(self, pixels, labels):
        return pixels, labels


Pair = namedtuple("Pair", "pixels mask")


def test_dicts_are_given_by_the_words_of_forward():
    inputs, labels = parted({"pixels": X, "mask": Y, "label": Y}, split="train")
    assert set(inputs) == {"pixels", "mask"}
    pixels, mask = call(Words(), inputs, labels)
    assert (pixels.dtype, mask.dtype) == (torch.float64, torch.int64)  # the parameters' type
    assert call(Needy(), inputs, labels)[1] is labels
    moved = call(Words(), {"pixels": Pair(X, [Y, "text"])}, labels)[0]
    assert moved.mask[1] == "text"
    assert moved.pixels.dtype == torch.float64


def test_measuring_leaves_modes_gradients_and_chance_as_they_were():
    model = body()
    model[1].eval()  # frozen statistics
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    layer = find_layer(model, {"train": DataLoader(DATA, batch_size=4, shuffle=True)}, None)
    assert layer is model[3]
    assert torch.equal(torch.rand(3), expected)
    assert [one.training for one in model] == [True, False, True, True]
    assert torch.is_grad_enabled()
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in model.modules())
    with pytest.raises(ZeroDivisionError), undisturbed(model):
        _ = 1 / sum(one.training for one in model.modules())
    assert [one.training for one in model] == [True, False, True, True]


def test_features_are_those_of_a_pass_by_hand():
    model = body()
    features, labels = measure(model, model[3], DataLoader(DATA, batch_size=4), split="train")
    with torch.no_grad():
        expected = model.eval()[:3](X)
    torch.testing.assert_close(features, expected)
    assert torch.equal(labels, Y)


def test_an_empty_loader_is_told():
    model = body()
    with pytest.raises(UsageError, match="train= has no batch"):
        find_layer(model, {"train": DataLoader(DATA, batch_size=20, drop_last=True)}, None)
    with pytest.raises(UsageError, match="train= has no batch"):
        measure(model, model[3], set(), split="train")
    with pytest.raises(UsageError, match="the network has no parameters"):
        find_layer(nn.Flatten(), {"train": [(X, Y)]}, None)


@pytest.mark.parametrize(
    ("make", "decay", "expected"),
    [
        (torch.optim.SGD, 5e-4, 5e-4),
        (torch.optim.SGD, 0.0, 0.0),
        (torch.optim.AdamW, 1e-2, None),  # decoupled: no penalty
        (torch.optim.AdamW, 0.0, 0.0),
    ],
)
def test_the_weight_decay_is_that_of_the_last_weight(make, decay, expected):
    model = body()
    layer = model[3]
    groups = [
        {"params": [layer.bias, *model[:3].parameters()], "weight_decay": 0.1},
        {"params": [layer.weight], "weight_decay": decay},
    ]
    assert decay_of([make(groups, lr=0.1)], layer) == expected
    assert decay_of([make(model[:3].parameters(), lr=0.1)], layer) is None


def test_labels_may_be_any_numbers_and_a_layer_may_be_called_by_name():
    class ByName(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, inputs):
            return self.fc(input=inputs)

    model, inputs = ByName(), torch.randn(6, 4)
    for labels in (np.arange(6) % 3, [0, 1, 2, 0, 1, 2]):
        features, found = measure(model, model.fc, [(inputs, labels)], split="train")
        assert torch.equal(features, inputs)
        assert found.tolist() == [0, 1, 2, 0, 1, 2]


def test_a_schedule():
    assert [epoch for epoch in range(1, 10) if Schedule(every=4).due(epoch)] == [4, 8]
    assert [epoch for epoch in range(1, 10) if Schedule(epochs={1, 5}).due(epoch)] == [1, 5]
    for every in (0, 1.5, True):
        with pytest.raises(UsageError, match="every= must be a whole number"):
            Schedule(every=every)


def test_importing_callbacks_and_nccli_imports_no_trainer():
    code = (
        "import sys, nccli, nccli.callbacks, nccli.recording, nccli.observe\n"
        "print([one for one in ('torch', 'lightning', 'transformers') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("module", "missing", "name"),
    [
        ("lightning", ("lightning", "pytorch_lightning"), "Lightning"),
        ("huggingface", ("transformers",), "transformers"),
    ],
)
def test_a_trainer_that_is_not_installed_is_told(module, missing, name):
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({missing!r}))\n"
        f"import nccli.callbacks.{module}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    remedy = f"pip install 'nccli[{module}]'"
    assert f"MissingExtraError: {name} is not installed; {remedy}" in done.stderr


def test_a_worker_that_lives_on_does_not_hold_the_run(tmp_path):
    h, y, weight, _ = network(0)
    worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    with nccli.recorder(tmp_path / "run") as record:
        worker.start()
        record(1, train=(h, y), weight=weight)
    try:
        with nccli.recorder(tmp_path / "run", append=True) as record:
            record(2, train=(h, y), weight=weight)
    finally:
        worker.kill()
        worker.join()
    counts = itertools.count(1)
    for path in nccli.read_run(tmp_path / "run").checkpoints:
        found = nccli.read_checkpoint(path)
        assert found.metadata.epoch == next(counts)
        np.testing.assert_array_equal(found.split("train").labels.load(), y)
