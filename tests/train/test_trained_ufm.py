"""The unconstrained feature model: gradient descent arrives at the closed form."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tiny import contents, train

from nccli import collapse, hdf5, hessian, ufm
from nccli.runs import checkpoint_path, read_log
from train.checks import problem_of
from train.config import Settings
from train.ufm import STEPS_PER_EPOCH, UnconstrainedFeatures, step_size

torch.set_num_threads(1)


def model(delta=0.0, **changes):
    loss = "label-smoothing" if delta else "cross-entropy"
    return Settings(data="ufm", loss=loss, label_smoothing=delta, **changes)


@pytest.mark.parametrize("delta", [0.0, 0.1])
def test_a_run_arrives_at_the_minimum_of_the_closed_form(delta, tmp_path):
    settings = model(delta, epochs=100)
    train(settings, tmp_path / "run")
    theory = ufm.analyze(problem_of(settings))
    checkpoint = hdf5.read_checkpoint(checkpoint_path(tmp_path / "run", 100))
    weight, bias = checkpoint.classifier.arrays()
    split = checkpoint.split("train")
    features, labels = split.features.load(), split.labels.load()
    np.testing.assert_allclose(np.linalg.norm(weight, axis=1), theory.weight_norm, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), theory.feature_norm, rtol=1e-6)
    logits = features @ weight.T
    expected = theory.logit_scale * (np.eye(4) - 1 / 4)[labels]
    np.testing.assert_allclose(logits, expected, atol=1e-6 * theory.logit_scale)
    assert not bias.any()
    last = read_log(tmp_path / "run")[-1]
    assert last["objective"] == pytest.approx(theory.objective, rel=1e-9)
    assert last["train_loss"] == pytest.approx(theory.loss, rel=1e-6)
    report = collapse.analyze(checkpoint, split="train")
    assert report.nc1 < 1e-12
    assert report.nc3 < 1e-12


@pytest.mark.parametrize("delta", [0.0, 0.1])
def test_the_hessian_of_a_trained_run_is_that_of_the_closed_form(delta, tmp_path):
    settings = model(delta, epochs=100)
    train(settings, tmp_path / "run")
    checkpoint = hdf5.read_checkpoint(checkpoint_path(tmp_path / "run", 100))
    report = hessian.analyze(checkpoint, top=9)
    names = [field.name for field in dataclasses.fields(report) if field.name.startswith("theory_")]
    for name in [name for name in names if not name.startswith("theory_spectrum_")]:
        measured = getattr(report, name.removeprefix("theory_"))
        assert measured == pytest.approx(getattr(report, name), rel=1e-5), name
    for name in ("w", "h", "joint", "joint_regularised"):
        theory = getattr(report, f"theory_spectrum_{name}")
        expected = [one.value for one in theory for _ in range(min(one.multiplicity, 9))]
        found = [one.value for one in getattr(report, f"spectrum_{name}")]
        np.testing.assert_allclose(found, expected[:9], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    "changes",
    [
        {"lambda_w": 5e-4, "lambda_h": 5e-4},  # the curvature at the minimum alone would diverge
        {"lambda_w": 5e-2, "lambda_h": 5e-4},
        {"num_classes": 10, "per_class": 20, "dim": 9, "lambda_w": 1e-3, "lambda_h": 1e-3},
        {"num_classes": 2, "dim": 1},
        {"num_classes": 3, "per_class": 1, "dim": 2},
    ],
)
def test_the_step_size_from_the_theory_suits_other_problems_too(changes):
    settings = model(0.05, epochs=60, **changes)
    trainer = UnconstrainedFeatures(settings)
    for epoch in range(1, 61):
        line = trainer.run_epoch(epoch)
    assert line["objective"] == pytest.approx(ufm.analyze(problem_of(settings)).objective, rel=1e-7)


def test_total_collapse_is_reached_and_saved(tmp_path):
    settings = model(0.95, epochs=60, save_epochs=(60,))
    train(settings, tmp_path / "run")
    assert read_log(tmp_path / "run")[-1]["objective"] == pytest.approx(np.log(4), rel=1e-9)


def test_the_gradient_is_that_of_the_model_with_both_penalties():
    settings = model(0.1, momentum=0.0, lambda_w=2e-2, lambda_h=3e-3)
    trainer = UnconstrainedFeatures(settings)
    weight = trainer.weight.detach().clone().requires_grad_()
    features = trainer.features.detach().clone().requires_grad_()
    trainer.run_epoch(1)
    for _ in range(STEPS_PER_EPOCH):
        log_p = (features @ weight.T).log_softmax(1)
        targets = torch.nn.functional.one_hot(trainer.labels, 4).double() * 0.9 + 0.1 / 4
        objective = -(targets * log_p).sum() / 100
        objective = objective + 1e-2 * weight.square().sum() + 1.5e-3 * features.square().sum()
        slopes = torch.autograd.grad(objective, [weight, features])
        with torch.no_grad():
            weight -= trainer.step_size * slopes[0]
            features -= trainer.step_size * slopes[1]
    torch.testing.assert_close(trainer.weight, weight, rtol=1e-10, atol=0)
    torch.testing.assert_close(trainer.features, features, rtol=1e-10, atol=0)


def test_the_step_is_no_larger_than_one_over_the_curvature_at_the_minimum():
    problem = problem_of(model())
    assert 0 < step_size(problem) <= 1 / ufm.joint_spectrum(problem)[0].value


def test_the_checkpoint_says_that_features_are_penalised_too(tmp_path):
    train(model(0.1, epochs=1, lambda_w=2e-3, lambda_h=3e-3), tmp_path / "run")
    checkpoint = hdf5.read_checkpoint(checkpoint_path(tmp_path / "run", 1))
    meta = checkpoint.metadata
    assert (meta.weight_decay, meta.feature_decay) == (2e-3, 3e-3)
    assert (meta.dataset, meta.loss, meta.label_smoothing) == ("ufm", "label-smoothing", 0.1)
    assert checkpoint.classifier.bias is None
    assert list(checkpoint.splits) == ["train"]
    assert checkpoint.split("train").features.dtype == np.float64


def test_an_interrupted_run_continues_to_the_same_bits(tmp_path):
    from nccli.errors import Interrupted

    settings = model(epochs=5, save_epochs=(1, 5))
    train(settings, tmp_path / "whole")
    asked = iter([False, True])
    with pytest.raises(Interrupted):
        train(settings, tmp_path / "cut", should_stop=lambda: next(asked))
    train(settings, tmp_path / "cut", resume=True)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_seeds_differ_and_repeat():
    first, same, other = (
        UnconstrainedFeatures(model(seed=seed)).capture().weight for seed in (0, 0, 1)
    )
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)
