"""Settings: what is refused and how, names, and the words that name epochs."""

from __future__ import annotations

import json

import pytest

from nccli.errors import UsageError
from train.config import Settings
from train.epochs import LOG_EPOCHS, log_epochs, parse_save_epochs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "digit"}, r"unknown data 'digit'; did you mean 'digits'\? choose one of: digits"),
        (
            {"loss": "mae"},
            "unknown loss 'mae'; .*one of: cross-entropy, label-smoothing, focal, mse",
        ),
        ({"data": "ufm", "loss": "mse"}, "unknown loss 'mse'; .*cross-entropy, label-smoothing$"),
        ({"model": "mpl"}, r"unknown model 'mpl'; did you mean 'mlp'\? choose one of: mlp, resnet"),
        ({"model": "resnet", "depth": 4}, "a resnet has 6, 8 ... layers, got a depth of 4"),
        ({"model": "resnet", "depth": 9}, "a resnet has 6, 8 ... layers, got a depth of 9"),
        ({"dtype": "int8"}, "unknown dtype 'int8'.*float16, float32, float64"),
        (
            {"loss": "label-smoothing", "label_smoothing": 1.0},
            r"label smoothing must lie in \[0, 1\), got 1.0; 0.05",
        ),
        ({"loss": "label-smoothing", "label_smoothing": -0.1}, r"lie in \[0, 1\), got -0.1"),
        (
            {"loss": "label-smoothing", "label_smoothing": float("nan")},
            r"lie in \[0, 1\), got nan",
        ),
        ({"label_smoothing": 0.1}, "cross-entropy has no label smoothing, got 0.1; choose"),
        ({"batch_size": 1_001}, r"batch size must lie in 2..1,000 .*, got 1,001; 125"),
        ({"batch_size": 1}, "batch size must lie in 2..1,000"),  # BatchNorm needs two
        ({"epochs": 0}, "at least 1 epoch, got 0"),
        ({"seed": -1}, "seed must not be negative, got -1"),
        ({"width": -1}, "width must be at least 1, got -1"),
        ({"model": "resnet", "width": 6}, "width of a resnet must be divisible by 4, got 6; its"),
        ({"learning_rate": 0.0}, "learning rate must be positive, got 0.0"),
        ({"learning_rate": float("inf")}, "learning rate must be positive, got inf"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\), got 1.0; 0.9"),
        ({"weight_decay": -1e-3}, "weight decay must not be negative, got -0.001"),
        ({"pixel_noise": -1.0}, "pixel noise must not be negative, got -1.0"),
        ({"gamma": 0.0}, r"gamma must lie in \(0, 1\], got 0.0"),
        ({"milestones": (0.75, 0.5)}, r"rising fractions .* got \(0.75, 0.5\); 0.5,0.75 lowers"),
        ({"milestones": (150.0,)}, "fractions of the epochs between 0 and 1"),
        ({"save_epochs": (5,), "epochs": 4}, "cannot save epoch 5: the run has epochs 1 to 4; "),
        ({"data": "ufm", "dim": 2}, "closed form needs d >= K - 1 = 3, got d = 2"),
        ({"data": "ufm", "lambda_w": 0.0}, "lambda_w must be positive, got 0.0"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_cause_and_remedy(changes, message):
    with pytest.raises(UsageError, match=message):
        Settings(**changes)


def test_the_defaults_are_the_laptop_experiment():
    settings = Settings()
    assert (settings.data, settings.model, settings.depth, settings.width) == (
        *("digits", "mlp"),
        *(6, 128),
    )
    assert (settings.epochs, settings.batch_size, settings.learning_rate) == (200, 125, 0.1)
    assert (settings.weight_decay, settings.pixel_noise) == (2e-3, 0.8)
    assert settings.dtype == "float32"


def test_a_ufm_is_saved_in_float64_unless_told_otherwise():
    assert Settings(data="ufm").dtype == "float64"
    assert Settings(data="ufm", dtype="float32").dtype == "float32"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "digits-mlp-ce-s0"),
        (
            {"loss": "label-smoothing", "label_smoothing": 0.05, "seed": 1},
            "digits-mlp-ls0.05-s1",
        ),
        ({"model": "resnet", "seed": 12}, "digits-resnet-ce-s12"),
        ({"data": "ufm"}, "ufm-ce-s0"),
        ({"data": "ufm", "loss": "label-smoothing", "label_smoothing": 0.1}, "ufm-ls0.1-s0"),
    ],
)
def test_a_run_is_named_by_data_model_loss_and_seed(changes, name):
    assert Settings(**changes).name == name


def test_the_record_holds_what_matters_to_the_kind_of_run_as_json():
    digits, ufm = Settings().recorded(), Settings(data="ufm").recorded()
    assert "lambda_w" not in digits
    assert "learning_rate" not in ufm
    assert digits["milestones"] == [0.5, 0.75]
    for record in (digits, ufm):
        assert json.loads(json.dumps(record)) == record


def test_default_epochs_are_spread_over_the_logarithm_and_end_with_the_last():
    saved = Settings(epochs=200).save_epochs
    assert saved == log_epochs(200, count=LOG_EPOCHS)
    assert saved == (1, 2, 3, 4, 7, 11, 18, 29, 47, 76, 124, 200)


@pytest.mark.parametrize("epochs", [1, 2, 5, 13])
def test_every_run_saves_its_last_epoch(epochs):
    assert Settings(epochs=epochs).save_epochs[-1] == epochs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("log", (1, 2, 3, 4, 7, 11, 18, 29, 47, 76, 124, 200)),
        ("log:3", (1, 14, 200)),
        ("log:1", (1, 200)),
        ("every:50", (50, 100, 150, 200)),
        ("every:150", (150, 200)),
        ("10,1,5,5", (1, 5, 10)),
        (" 7 ", (7,)),
    ],
)
def test_words_name_the_epochs_to_save(text, expected):
    assert parse_save_epochs(text, epochs=200) == expected


@pytest.mark.parametrize(
    "text", ["", "lg", "log:0", "log:x", "every", "every:0", "1,,2", "0,1", "-3", "1.5"]
)
def test_words_that_name_no_epochs_are_refused_with_the_choices(text):
    with pytest.raises(UsageError, match=r"cannot read the epochs to save .*; write log, log:20"):
        parse_save_epochs(text, epochs=200)
